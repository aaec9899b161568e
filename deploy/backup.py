"""Writes a copy of Atelier's state to standard output, as a tar archive, while the service runs.

The database is copied in one transaction; files come after it, and are whole, since the service
puts each in its place when it is. What can be made again is left out.
"""

import os
import sqlite3
import sys
import tarfile
import tempfile
from contextlib import closing, suppress
from pathlib import Path

_DATABASE = "atelier.db"
_NOT_KEPT = ("engines", "incoming", "serve.lock", _DATABASE, ".")
"""How names begin: converted networks, uploads, a lock, the database, what is not whole yet."""


def main() -> None:
    """Copy the data directory that `ATELIER_DATA_DIR` names."""
    data = Path(os.environ.get("ATELIER_DATA_DIR", "var"))
    with (
        tarfile.open(fileobj=sys.stdout.buffer, mode="w|") as archive,
        tempfile.TemporaryDirectory(dir=data, prefix=".") as temporary,
    ):
        copy = Path(temporary, _DATABASE)
        with closing(sqlite3.connect(f"file:{data / _DATABASE}?mode=rw", uri=True)) as database:
            database.execute("VACUUM INTO ?", [str(copy)])
        archive.add(copy, _DATABASE)
        for path in sorted(data.rglob("*")):
            name = path.relative_to(data)
            if any(part.startswith(_NOT_KEPT) for part in name.parts):
                continue
            with suppress(FileNotFoundError):  # removed in the meantime
                archive.add(path, str(name), recursive=False)


if __name__ == "__main__":
    main()
