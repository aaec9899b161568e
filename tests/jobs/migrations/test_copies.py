"""A copy is whole or not there, whenever the program is killed."""

import signal
import subprocess
import sys
from pathlib import Path

import pytest

from app.jobs.db.migrations.copies import keep_copy
from tests.jobs.migrations import older
from tests.service import ROOT

_KILLED_AT = """
import os, signal, sys
from pathlib import Path
from app.jobs.db.migrations.copies import keep_copy

path, event = sys.argv[1:]

def note(name, _arguments):
    if name == event:
        os.kill(os.getpid(), signal.SIGKILL)

sys.addaudithook(note)
keep_copy(Path(path), "0003")
"""


def names(folder: Path) -> list[str]:
    return sorted(path.name for path in folder.iterdir() if path.is_file())


@pytest.mark.parametrize(
    ("event", "is_whole"),
    [
        ("sqlite3.connect", False),  # the file for the copy is there, and empty
        ("os.link", False),
        ("os.remove", True),
    ],
)
def test_killed_process_leaves_a_complete_copy_or_none(
    tmp_path: Path, event: str, *, is_whole: bool
) -> None:
    path = older.make(tmp_path)
    before = older.dump(path)
    words = [sys.executable, "-c", _KILLED_AT, str(path), event]
    killed = subprocess.run(words, cwd=ROOT, check=False)
    assert killed.returncode == -signal.SIGKILL
    assert [name for name in names(tmp_path) if name.startswith(".atelier.db.copy-")]
    copy = tmp_path / "atelier.db.before-0003"
    assert copy.exists() == is_whole
    assert not is_whole or older.dump(copy) == before

    again = keep_copy(path, "0003")
    assert older.dump(again) == before
    assert names(tmp_path) == sorted({"atelier.db", copy.name, again.name})


def test_a_copy_is_for_its_owner_alone(tmp_path: Path) -> None:
    assert keep_copy(older.make(tmp_path), "0003").stat().st_mode & 0o777 == 0o600
