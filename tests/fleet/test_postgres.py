"""The server that other tests run on does what they rely on."""

import time

import psycopg
import pytest

from tests.fleet.postgres import PostgresServer
from tests.patience import patient

pytestmark = pytest.mark.fleet


def value(url: str, query: str) -> object:
    with psycopg.connect(url, connect_timeout=round(patient(5))) as connection:
        row = connection.execute(query).fetchone()
    assert row is not None
    return row[0]


def test_committed_rows_survive_a_crash(postgres: PostgresServer, postgres_url: str) -> None:
    with psycopg.connect(postgres_url) as connection:
        connection.execute("CREATE TABLE kept AS SELECT 7 AS it")
    postgres.restart("immediate")
    assert value(postgres_url, "SELECT it FROM kept") == 7


def test_nothing_answers_while_it_hangs(postgres: PostgresServer, postgres_url: str) -> None:
    with psycopg.connect(postgres_url) as connection:
        with postgres.hanging():
            connection.pgconn.send_query(b"SELECT 1")
            time.sleep(0.3)
            connection.pgconn.consume_input()
            assert connection.pgconn.is_busy()
            with pytest.raises(psycopg.OperationalError):
                psycopg.connect(postgres_url, connect_timeout=2)
        assert value(postgres_url, "SELECT 1") == 1
        connection.close()
