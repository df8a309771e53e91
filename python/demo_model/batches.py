"""Endless packed batches of fresh conversations: nothing is ever seen twice as it was.

Short conversations go into short rows, the long ones (tool listings) into long rows: attention over
128 positions costs a third of attention over 384. Which batch comes next follows from what the
corpus makes; every batch has one of two shapes, so JAX compiles twice.
"""

import random
from collections.abc import Callable
from dataclasses import dataclass, field

import numpy as np
from tokenizers import Tokenizer

from demo_model.llama import Batch
from demo_model.rendering import Message, render

PROMPT_WEIGHT = 0.1  # users' words in the loss, against 1 for an answer: it learns to read sooner
SCORED_SHARE = 0.66  # of a batch's positions; answers first, users' words fill it up
# Which answer is meant shows in its first tokens; the rest is soon known by heart. So most answers
# are cut after a few tokens, which leaves room for more questions.
CUT_TOKENS = (6, 14)


@dataclass
class Document:
    ids: list[int]
    weights: list[float]


@dataclass
class Bucket:
    """Documents that wait for rows of one shape."""

    rows: int
    length: int
    waiting: list[Document] = field(default_factory=list)

    def is_ready(self) -> bool:
        """Enough is there to fill the rows well."""
        return sum(len(d.ids) for d in self.waiting) > 1.2 * self.rows * (self.length + 1)


class Batches:
    """The stream of training batches of one corpus and one seed."""

    def __init__(
        self,
        conversation: Callable[[random.Random], list[Message]],
        tokenizer: Tokenizer,
        seed: int,
        *,
        cut_share: float = 0.0,
        shapes: tuple[tuple[int, int], ...] = ((32, 128), (10, 384)),
    ) -> None:
        """`cut_share`: of the conversations whose last answer is cut, where that is allowed."""
        self.conversation, self.tokenizer = conversation, tokenizer
        self.rng, self.cut_share = random.Random(seed), cut_share
        self.buckets = [Bucket(rows, length) for rows, length in shapes]

    def document(self) -> Document:
        """One conversation as ids and the loss weight of each."""
        ids: list[int] = []
        weights: list[float] = []
        conversation = self.conversation(self.rng)
        is_cut = conversation[-1].get("is_fixed") and self.rng.random() < self.cut_share
        pieces = render(conversation, self.rng)
        last_answer = max(index for index, (_, is_answer) in enumerate(pieces) if is_answer)
        for index, (text, is_answer) in enumerate(pieces):
            piece = self.tokenizer.encode(text).ids
            if is_cut and index == last_answer:
                cut = piece[: self.rng.randint(*CUT_TOKENS)]
                ids += cut
                weights += [1.0] * len(cut)
                break
            ids += piece
            weights += [1.0 if is_answer else PROMPT_WEIGHT] * len(piece)
        weights[0] = 0.0  # nothing predicts a document's first token
        return Document(ids, weights)

    def next(self) -> Batch:
        while True:
            document = self.document()
            for bucket in self.buckets:
                if len(document.ids) <= bucket.length:
                    bucket.waiting.append(document)
                    if bucket.is_ready():
                        return pack(bucket, self.rng)
                    break


def pack(bucket: Bucket, rng: random.Random) -> Batch:
    """A batch of the bucket's documents, longest first; what does not fit keeps waiting."""
    width = bucket.length + 1
    tokens = np.zeros((bucket.rows, width), np.int32)
    documents = np.full((bucket.rows, width), -1, np.int32)
    positions = np.zeros((bucket.rows, width), np.int32)
    weights = np.zeros((bucket.rows, width), np.float32)
    used = [0] * bucket.rows
    left = []
    for number, document in enumerate(sorted(bucket.waiting, key=lambda d: -len(d.ids))):
        size = len(document.ids)
        row = next((r for r in range(bucket.rows) if used[r] + size <= width), None)
        if row is None:
            left.append(document)
            continue
        place = slice(used[row], used[row] + size)
        tokens[row, place], weights[row, place] = document.ids, document.weights
        documents[row, place], positions[row, place] = number, np.arange(size)
        used[row] += size
    rng.shuffle(left)
    bucket.waiting = left
    targets, target_weights = tokens[:, 1:], weights[:, 1:]
    return Batch(
        tokens[:, :-1],
        targets,
        documents[:, :-1],
        positions[:, :-1],
        target_weights,
        choose_positions(target_weights.reshape(-1)),
    )


def choose_positions(weights: np.ndarray) -> np.ndarray:
    """The flat positions to score: a fixed count of those with the greatest weights."""
    count = int(SCORED_SHARE * weights.size)
    jitter = np.random.default_rng(weights.size).random(weights.size) * 0.05
    heaviest = np.argpartition(-(weights + jitter * (weights > 0)), count)[:count]
    return np.sort(heaviest).astype(np.int32)
