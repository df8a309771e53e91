"""Numbers of model names, which the ledger stores for ever."""

from tokenmill.models.numbers import model_number


def test_a_name_has_one_number_for_ever() -> None:
    # The first eight bytes of `printf your-model-id | sha256sum`, without the top bit.
    assert model_number("your-model-id") == 8436956269618994919


def test_numbers_fit_a_signed_column_and_differ() -> None:
    numbers = {model_number(f"model-{index}") for index in range(1_000)}
    assert len(numbers) == 1_000
    assert all(0 <= number < 1 << 63 for number in numbers)
