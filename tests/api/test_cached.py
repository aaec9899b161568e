"""Values of the job database that many ask for."""

import asyncio
import threading
from collections.abc import Coroutine

import pytest

from app.api.cached import Cached
from app.jobs.errors import StoreUnavailableError
from tests.patience import patient


class Database:
    """A query that hangs until it is released."""

    def __init__(self) -> None:
        self.released = threading.Event()
        self.asked = 0

    def query(self) -> int:
        self.asked += 1
        self.released.wait()
        return self.asked


def run(scenario: Coroutine[None, None, None]) -> None:
    asyncio.run(asyncio.wait_for(scenario, patient()))


def test_one_query_serves_all_callers_while_the_database_hangs() -> None:
    database = Database()

    async def scenario() -> None:
        recent = Cached(database.query, max_age_s=patient(3600), timeout_s=patient(1))
        try:
            for _ in range(2):
                answers = await asyncio.gather(
                    *(recent.get() for _ in range(50)), return_exceptions=True
                )
                assert {type(answer) for answer in answers} == {TimeoutError}
        finally:
            database.released.set()
        assert await recent.get() == 1
        assert await recent.get() == 1

    run(scenario())
    assert database.asked == 1


def test_expired_value_is_queried_again() -> None:
    database = Database()
    database.released.set()

    async def scenario() -> None:
        recent = Cached(database.query, max_age_s=0, timeout_s=patient())
        assert [await recent.get(), await recent.get()] == [1, 2]

    run(scenario())


def test_error_of_the_query_is_raised_for_each_caller() -> None:
    def query() -> int:
        raise StoreUnavailableError("closed")

    async def scenario() -> None:
        recent = Cached(query, max_age_s=patient(3600), timeout_s=patient())
        for _ in range(2):
            with pytest.raises(StoreUnavailableError):
                await recent.get()

    run(scenario())
