"""Connections to PostgreSQL with timeouts, so that a server that hangs blocks no thread.

The server itself ends statements, lock waits and idle transactions that take too long. If it hangs
or becomes unreachable, the client closes the connection.
"""

import math
import time
from typing import Any

import psycopg
from psycopg.abc import PQGen
from sqlalchemy import URL, Engine, create_engine, event

_PING_S = 2.0
_LEAST_CONNECT_S = 2  # libpq rounds smaller values up
_GRACE_S = 1.0  # for the server's own timeout error
_IDLE_S = 10.0
"""The longest idle time of a transaction; ours are idle only while they wait for the CPU."""


def connect(url: URL, timeout_s: float) -> Engine:
    """Return an engine. A connection is tested before it is reused, because servers restart."""
    engine = create_engine(
        url,
        connect_args=_connect_args(url, timeout_s),
        pool_timeout=timeout_s,
        pool_pre_ping=True,
    )

    def opened(_dialect: Any, _record: Any, words: Any, named: Any) -> _Bounded:
        connection = _Bounded.connect(*words, **named)
        connection.patience_s = timeout_s + _GRACE_S
        return connection

    event.listen(engine, "do_connect", opened)
    return engine


def _connect_args(url: URL, timeout_s: float) -> dict[str, Any]:
    """Return the options for libpq and the server; those in the URL take precedence."""
    timeout_ms = math.ceil(1000 * timeout_s)
    server = {
        "statement_timeout": timeout_ms,
        "lock_timeout": timeout_ms,
        "idle_in_transaction_session_timeout": math.ceil(1000 * max(timeout_s, _IDLE_S)),
    }
    options = " ".join(f"-c {name}={value}" for name, value in server.items())
    client = {
        "connect_timeout": max(_LEAST_CONNECT_S, math.ceil(timeout_s / 2)),
        "tcp_user_timeout": timeout_ms,
        "keepalives_idle": 10,
        "keepalives_interval": 5,
        "keepalives_count": 3,
        "application_name": "atelier",
    }
    asked = {name: value for name, value in client.items() if name not in url.query}
    return {**asked, "options": f"{options} {url.query.get('options', '')}".strip()}


class _Bounded(psycopg.Connection[Any]):
    """A connection that is closed when the server stops responding."""

    patience_s = _PING_S

    def wait(self, gen: PQGen[Any], interval: float = 0.1, timeout: float | None = None) -> Any:
        """Wait for the server's response to any query."""
        is_ping = self.autocommit  # nothing else is
        patience_s = min(_PING_S, self.patience_s) if is_ping else self.patience_s
        ends_at = time.monotonic() + patience_s
        try:
            return super().wait(gen, interval, patience_s if timeout is None else timeout)
        except psycopg.OperationalError:
            if time.monotonic() >= ends_at:
                self.close()  # the next user of the connection would wait as long
            raise
