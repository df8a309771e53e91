"""The tokenizer: byte-level BPE whose only special tokens are the three of the prompt format.

`<tool_call>` stays plain text on purpose: mistral.rs drops added tokens from its output, and a
grammar's string literal cannot spell them. Digits are split, so that numbers are copied one by one.
"""

from collections.abc import Iterable

from tokenizers import Tokenizer, decoders, models, pre_tokenizers, trainers

from demo_model.rendering import END_OF_TEXT, MESSAGE_END, MESSAGE_START

SPECIAL_TOKENS = [END_OF_TEXT, MESSAGE_START, MESSAGE_END]
PADDING_ID, MESSAGE_END_ID = 0, 2


def train_tokenizer(vocabulary: int, samples: Iterable[str]) -> Tokenizer:
    """A tokenizer of exactly `vocabulary` tokens.

    Raises: ValueError, if the samples are too few to fill it.
    """
    tokenizer = Tokenizer(models.BPE())
    tokenizer.pre_tokenizer = pre_tokenizers.Sequence(
        [
            pre_tokenizers.Digits(individual_digits=True),
            pre_tokenizers.ByteLevel(add_prefix_space=False),
        ]
    )
    tokenizer.decoder = decoders.ByteLevel()
    trainer = trainers.BpeTrainer(
        vocab_size=vocabulary,
        special_tokens=SPECIAL_TOKENS,
        initial_alphabet=pre_tokenizers.ByteLevel.alphabet(),
        show_progress=False,
    )
    tokenizer.train_from_iterator(samples, trainer)
    if tokenizer.get_vocab_size() != vocabulary:
        raise ValueError(f"the samples fill only {tokenizer.get_vocab_size()} tokens")
    return tokenizer
