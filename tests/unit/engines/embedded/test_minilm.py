"""How texts are cut and put together for the embedding model."""

import pytest

from tokenmill.engines.embedded.minilm import (
    BATCH_TOKENS_MAX,
    BEGINNING,
    END,
    WINDOW_TOKENS,
    split_batches,
    split_windows,
)


@pytest.mark.parametrize("size", [0, 1, WINDOW_TOKENS, WINDOW_TOKENS + 1, 8_192])
def test_windows_hold_every_token_once_between_their_marks(size: int) -> None:
    tokens = list(range(1_000, 1_000 + size))
    windows = split_windows(tokens)
    assert all(window[0] == BEGINNING and window[-1] == END for window in windows)
    assert all(len(window) <= WINDOW_TOKENS + 2 for window in windows)
    assert [token for window in windows for token in window[1:-1]] == tokens


def test_batches_hold_every_window_once_and_are_bounded_with_their_padding() -> None:
    windows = [(at, [0] * (1 + at * 37 % (WINDOW_TOKENS + 2))) for at in range(300)]
    batches = list(split_batches(windows))
    assert sorted(at for batch in batches for at, _ in batch) == list(range(300))
    for batch in batches:
        assert len(batch) * max(len(window) for _, window in batch) <= BATCH_TOKENS_MAX


def test_no_windows_make_no_batch() -> None:
    assert list(split_batches([])) == []
