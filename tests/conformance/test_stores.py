"""The store contract, on SQLite and on PostgreSQL."""

import pytest

from tests.conformance import money_contract
from tests.conformance.store_contract import EXERCISES, Exercise
from tokenmill.database.connection import Database


@pytest.mark.parametrize(
    "exercise", EXERCISES + money_contract.EXERCISES, ids=lambda exercise: exercise.__name__
)
def test_store(exercise: Exercise, database: Database) -> None:
    exercise(database)
