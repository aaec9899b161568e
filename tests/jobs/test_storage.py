"""The files of jobs behave alike in a folder and in an object store."""

import threading
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from app.jobs.errors import StorageUrlError
from app.jobs.storage.base import PIECE_BYTES, FileStorage
from app.jobs.storage.factory import StorageOptions, open_storage
from tests import http_client
from tests.fleet.door import Door
from tests.fleet.s3 import BUCKET, environment, running_store
from tests.patience import patient

KEY = "jobs/abc/1/result.png"
TIMEOUT_S = patient(1)


@pytest.fixture(scope="module")
def door(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Door]:
    with running_store(tmp_path_factory.mktemp("s3")) as running:
        yield running


@pytest.fixture(params=["folder", pytest.param("s3", marks=pytest.mark.fleet)])
def storage(request: pytest.FixtureRequest, tmp_path: Path) -> FileStorage:
    if request.param == "folder":
        return open_storage(StorageOptions(tmp_path / "var"))
    return request.getfixturevalue("store")  # type: ignore[no-any-return]


@pytest.fixture
def store(door: Door, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> FileStorage:
    """An object store that gives up soon, under a prefix of its own."""
    return opened(door, tmp_path, monkeypatch)


def opened(
    door: Door, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, **options: Any
) -> FileStorage:
    for name, value in environment(door).items():
        monkeypatch.setenv(name, value)
    url = f"s3://{BUCKET}/{tmp_path.name}"
    return open_storage(
        StorageOptions(tmp_path / "var", url, **{"timeout_s": TIMEOUT_S, **options})
    )


def nothing() -> None:
    """Nobody waits."""


def test_stored_file_can_be_read(storage: FileStorage) -> None:
    assert not storage.exists(KEY)
    assert storage.put(KEY, b"picture", download_as="mine.png") == KEY
    assert storage.exists(KEY)
    assert (storage.get(KEY), storage.size_bytes(KEY)) == (b"picture", 7)
    with storage.at_hand(KEY, nothing) as path:
        assert path.read_bytes() == b"picture"


def test_open_file_is_read_in_small_pieces_and_outlives_its_deletion(storage: FileStorage) -> None:
    data = bytes(range(256)) * 1000
    storage.put(KEY, data)
    reader = storage.open(KEY)
    assert reader.size_bytes == len(data)
    pieces = [reader.read()]
    storage.delete(KEY)
    while piece := reader.read():
        pieces.append(piece)
    reader.close()
    assert b"".join(pieces) == data
    assert max(map(len, pieces)) <= PIECE_BYTES


def test_existing_file_is_kept(storage: FileStorage) -> None:
    storage.put(KEY, b"first")
    storage.put(KEY, b"second")
    assert storage.get(KEY) == b"first"


def test_missing_file_raises_file_not_found_error(storage: FileStorage) -> None:
    for missed in (storage.get, storage.open, storage.size_bytes):
        with pytest.raises(FileNotFoundError):
            missed(KEY)
    with pytest.raises(FileNotFoundError), storage.at_hand(KEY, nothing) as path:
        path.read_bytes()
    with pytest.raises(FileNotFoundError):
        storage.copy(KEY, "jobs/abc/1/copy")
    storage.delete(KEY)


def test_a_large_file_is_put_from_the_disk(storage: FileStorage, tmp_path: Path) -> None:
    path = tmp_path / "archive"
    data = bytes(range(256)) * 50_000  # in several parts
    path.write_bytes(data)
    (tmp_path / "var").mkdir(exist_ok=True)
    storage.put_file(KEY, path)
    with storage.at_hand(KEY, nothing) as local:
        assert local.read_bytes() == data
    storage.copy(KEY, "jobs/def/0/archive")
    assert storage.size_bytes("jobs/def/0/archive") == len(data)


def test_files_that_are_not_listed_are_deleted(storage: FileStorage) -> None:
    kept, gone, other = KEY, "jobs/abc/1/painting", "jobs/abcd/1/result.png"
    for key in (kept, gone, other):
        storage.put(key, b"x")
    storage.keep_only("jobs/abc", {kept})
    assert [storage.exists(key) for key in (kept, gone, other)] == [True, False, True]
    storage.keep_only("jobs/abc", set())
    assert [storage.exists(key) for key in (kept, other)] == [False, True]


def test_old_unneeded_files_are_deleted(storage: FileStorage) -> None:
    old, needed = KEY, "jobs/def/1/result.png"
    for key in (old, needed):
        storage.put(key, b"x")
    assert storage.sweep("jobs", 3600, set) == 0
    time.sleep(1.1)  # S3 counts whole seconds
    assert sorted(storage.older_than("jobs", 0)) == [old, needed]
    assert storage.sweep("jobs", 0, lambda old: old - {needed}) == 1
    assert [storage.exists(key) for key in (old, needed)] == [False, True]


@pytest.mark.fleet
def test_a_link_needs_no_credentials(store: FileStorage, door: Door) -> None:
    store.put(KEY, b"picture", download_as="mine.png")
    link = store.link(KEY)
    assert link is not None
    assert link.startswith(f"{door.url}/")
    assert store.origin == door.url
    answer = http_client.get(link)
    assert (answer.status_code, answer.content) == (200, b"picture")
    assert answer.headers["content-type"] == "image/png"
    assert answer.headers["content-disposition"] == 'attachment; filename="mine.png"'


@pytest.mark.fleet
def test_links_lead_to_the_public_endpoint_or_there_are_none(
    door: Door, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    public = opened(door, tmp_path, monkeypatch, public_url="https://pictures.example")
    assert str(public.link(KEY)).startswith(f"https://pictures.example/{BUCKET}/{tmp_path.name}/")
    assert public.origin == "https://pictures.example"
    none = opened(door, tmp_path, monkeypatch, links=False)
    assert (none.link(KEY), none.origin) == (None, None)


@pytest.mark.fleet
def test_a_slow_line_only_takes_longer(store: FileStorage, door: Door, tmp_path: Path) -> None:
    data = bytes(2_000_000)
    path = tmp_path / "local"
    path.write_bytes(data)
    begun_at = time.monotonic()
    with door.slow(TIMEOUT_S / 20):
        store.put(KEY, data)
        took_s = time.monotonic() - begun_at
        store.put_file("jobs/abc/1/archive", path)
    assert took_s > TIMEOUT_S, "longer than an answer may take"
    assert store.get(KEY) == store.get("jobs/abc/1/archive") == data


@pytest.mark.fleet
def test_a_store_that_refuses_for_a_while_is_waited_for(store: FileStorage, door: Door) -> None:
    with door.shut():
        refused = door.refused
        opening = threading.Timer(0.3, setattr, (door, "is_shut", False))
        opening.start()
        store.put(KEY, b"picture")
        opening.join()
    assert door.refused > refused
    assert store.get(KEY) == b"picture"


@pytest.mark.fleet
def test_a_store_that_refuses_for_long_fails_as_a_disk_does(store: FileStorage, door: Door) -> None:
    store.put(KEY, b"picture")
    with door.shut(), pytest.raises(OSError, match="object store") as failed:
        store.get(KEY)
    assert not isinstance(failed.value, FileNotFoundError)
    assert store.get(KEY) == b"picture"


@pytest.mark.parametrize("url", ["nothing", "ftp://host/x", "s3://"])
def test_invalid_object_store_url_is_refused_with_advice(url: str, tmp_path: Path) -> None:
    with pytest.raises(StorageUrlError, match="ATELIER_BLOBS_URL"):
        open_storage(StorageOptions(tmp_path, url))
