"""A data directory as it was left by a service that did not count revisions yet."""

import re
import sqlite3
import subprocess
import sys
from contextlib import closing
from pathlib import Path

from app.style.builtin import path_of
from tests.jobs.studio import picture
from tests.patience import patient
from tests.service import ROOT

DUMP = Path(__file__).with_name("unversioned.sql").read_text()
FINISHED = "6e4e41851b40481980a559d6f80100e5"
CANCELLED = "14c4171d5a64417d9604300b0e1e0bfe"
RUNNING = "4f13b1a5a80a4c26a02ee537c2c934bd"
QUEUED = "573eb6c0398b427fb6685966c1295502"
RESULT = b"a painting"


def make(state: Path) -> Path:
    """Write the database and the files that its jobs name; returns where the database is."""
    mosaic = path_of("mosaic")
    assert mosaic is not None
    for key in re.findall(r'jobs/\w+/0/[\w-]+(?=")', DUMP):
        content = picture() if key.endswith("content") else mosaic.read_bytes()
        write(state / key, content)
    write(state / f"jobs/{FINISHED}/1/result.png", RESULT)
    path = state / "atelier.db"
    with closing(sqlite3.connect(path)) as connection:
        connection.executescript(DUMP)
    return path


def write(path: Path, content: bytes) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(content)


def dump(path: Path) -> list[str]:
    """All that is in a database."""
    with closing(sqlite3.connect(path)) as connection:
        return list(connection.iterdump())


def stamp(path: Path, revision: str) -> None:
    """Make a database one of another revision."""
    with closing(sqlite3.connect(path)) as connection, connection:
        connection.execute("UPDATE alembic_version SET version_num = ?", [revision])


def migrate_at_once(url: str, count: int) -> None:
    """Have several processes that start at the same time migrate a database."""
    code = f"from app.jobs.db.database import Database; Database({url!r}, 5).migrate()"
    processes = [
        subprocess.Popen([sys.executable, "-c", code], cwd=ROOT, stderr=subprocess.PIPE)
        for _ in range(count)
    ]
    for process in processes:
        _, said = process.communicate(timeout=patient())
        assert process.returncode == 0, said.decode()
