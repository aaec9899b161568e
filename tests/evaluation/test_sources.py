import os
import random
import tracemalloc
import zipfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from app.evaluation.errors import ArchiveError, ArchiveTooLargeError, UnreadableFileError
from app.evaluation.labeled_images import open_source
from app.evaluation.sources import ImageArchive, ImageFolder
from app.limits import ArchiveLimits
from tests.evaluation import archives
from tests.evaluation.archives import PICTURE, put, zipped

_NOBODY = 65534

LIMITS = ArchiveLimits(max_bytes=10_000_000, max_entries=1000)


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "set.zip"


def test_archive_and_folder_have_the_same_files(tmp_path: Path, path: Path) -> None:
    files = {"3/1.png": PICTURE, "dog/2.png": PICTURE[:100]}
    path.write_bytes(zipped({"empty/": b"", **files}))
    put(tmp_path / "set", files)
    for place, kind in ((path, ImageArchive), (tmp_path / "set", ImageFolder)):
        with open_source(place, LIMITS) as source:
            assert isinstance(source, kind)
            assert {name: source.read(name, 10_000) for name in source.names} == files


def test_at_most_one_byte_over_the_limit_is_read(tmp_path: Path, path: Path) -> None:
    files = {"3/1.bmp": bytes(5_000_000)}
    path.write_bytes(zipped(files))
    for place in (path, put(tmp_path / "set", files)):
        with open_source(place, LIMITS) as source:
            tracemalloc.start()
            assert len(source.read("3/1.bmp", 1000)) == 1001
            assert tracemalloc.get_traced_memory()[1] < 1_000_000
            tracemalloc.stop()


@pytest.mark.parametrize(
    "data",
    [
        b"",
        b"PK",
        b"\x89PNG\r\n\x1a\n",
        zipped({"3/1.png": PICTURE})[:-30],
        archives.overlapping(),
        archives.endless_directory(),
        zipped({"../3/1.png": PICTURE}),
        zipped({"3/../../1.png": PICTURE}),
        zipped({"/etc/3/1.png": PICTURE}),
        zipped({"C:/3/1.png": PICTURE}),
        zipped({"..\\cat\\1.png": PICTURE}),
        zipped({"3/" + "a/" * 600 + "1.png": PICTURE}),
    ],
)
def test_invalid_or_malicious_archive_is_refused(path: Path, data: bytes) -> None:
    path.write_bytes(data)
    with pytest.raises(ArchiveError):
        ImageArchive(path, LIMITS)


@pytest.mark.parametrize(
    "data",
    [
        archives.crowded(1001),
        archives.crowded(20_000),
        zipped({f"3/{n}.bmp": bytes(10_000_001) for n in range(10)}),
    ],
    ids=["entries", "many entries", "unpacked"],
)
def test_archive_over_the_limits_is_refused_in_little_memory(path: Path, data: bytes) -> None:
    path.write_bytes(data)
    tracemalloc.start()
    with pytest.raises(ArchiveTooLargeError):
        ImageArchive(path, LIMITS)
    assert tracemalloc.get_traced_memory()[1] < 3_000_000
    tracemalloc.stop()


@pytest.mark.parametrize(
    ("data", "name", "reason"),
    [
        (archives.symbolic_link(), "3/link.png", "symbolic link"),
        (archives.compressed_with(zipfile.ZIP_BZIP2), "3/1.png", "compression"),
        (archives.compressed_with(zipfile.ZIP_LZMA), "3/1.png", "compression"),
    ],
)
def test_unreadable_file_does_not_affect_other_files(
    path: Path, data: bytes, name: str, reason: str
) -> None:
    path.write_bytes(data)
    with ImageArchive(path, LIMITS) as source:
        with pytest.raises(UnreadableFileError, match=reason):
            source.read(name, 100_000)
        assert [source.read(each, 100_000) for each in source.names if each != name] == [PICTURE]


def test_a_damaged_file_is_noticed(path: Path) -> None:
    data = bytearray(zipped({"3/1.png": PICTURE, "3/2.png": PICTURE}))
    data[60] ^= 0xFF
    path.write_bytes(data)
    with ImageArchive(path, LIMITS) as source:
        with pytest.raises(UnreadableFileError, match="damaged"):
            source.read("3/1.png", 100_000)
        assert source.read("3/2.png", 100_000) == PICTURE


def test_an_encrypted_file_is_not_read(path: Path) -> None:
    data = bytearray(zipped({"3/1.png": PICTURE}))
    data[data.find(b"PK\1\2") + 8] |= 1
    path.write_bytes(data)
    with (
        ImageArchive(path, LIMITS) as source,
        pytest.raises(UnreadableFileError, match="encrypted"),
    ):
        source.read("3/1.png", 100_000)


@pytest.mark.parametrize("compression", [zipfile.ZIP_STORED, zipfile.ZIP_DEFLATED])
def test_files_may_be_larger_than_a_directory(path: Path, compression: int) -> None:
    large = random.Random(0).randbytes(2_000_000)  # noqa: S311 - not a secret
    with zipfile.ZipFile(path, "w", compression) as archive:
        archive.writestr("3/1.png", large)
    with ImageArchive(path, ArchiveLimits(max_bytes=10_000_000, max_entries=10)) as source:
        assert source.read("3/1.png", 5_000_000) == large


@pytest.mark.parametrize("data", [archives.offset_beyond_64_bits(), archives.name_not_utf8()])
def test_an_entry_that_leads_nowhere_is_damaged(path: Path, data: bytes) -> None:
    path.write_bytes(data)
    with ImageArchive(path, LIMITS) as source:
        with pytest.raises(UnreadableFileError, match="damaged"):
            source.read("3/2.png", 100_000)
        assert source.read("3/1.png", 100_000) == PICTURE


def test_links_in_a_folder_are_followed_but_not_in_circles(tmp_path: Path) -> None:
    put(tmp_path, {"elsewhere/1.png": PICTURE, "set/dog/2.png": PICTURE})
    (tmp_path / "set/cat").symlink_to(tmp_path / "elsewhere")
    (tmp_path / "set/dog/again").symlink_to(tmp_path / "set")
    assert ImageFolder(tmp_path / "set").names == ["cat/1.png", "dog/2.png"]


def test_names_that_are_no_text_are_made_one(tmp_path: Path) -> None:
    folder = os.fsencode(tmp_path) + b"/3"
    os.mkdir(folder)  # noqa: PTH102 - a name that is not UTF-8
    Path(os.fsdecode(folder + b"/\xff.png")).write_bytes(PICTURE)
    source = ImageFolder(tmp_path)
    assert source.names == ["3/\ufffd.png"]
    assert source.read("3/\ufffd.png", 100_000) == PICTURE


def test_a_file_that_goes_missing_is_unreadable(tmp_path: Path) -> None:
    put(tmp_path, {"3/1.png": PICTURE})
    source = ImageFolder(tmp_path)
    (tmp_path / "3/1.png").unlink()
    with pytest.raises(UnreadableFileError):
        source.read("3/1.png", 100_000)


@contextmanager
def without_access(path: Path) -> Iterator[None]:
    """Take away the right to read, from root too."""
    before, user = path.stat().st_mode, os.geteuid()
    path.chmod(0)
    if user == 0:
        os.seteuid(_NOBODY)
    try:
        yield
    finally:
        if user == 0:
            os.seteuid(user)
        path.chmod(before)


def test_a_folder_that_cannot_be_read_is_not_left_out(tmp_path: Path) -> None:
    put(tmp_path, {"set/cat/1.png": PICTURE, "set/dog/1.png": PICTURE})
    with (
        without_access(tmp_path / "set/dog"),
        pytest.raises(ArchiveError, match=r"^set(/dog)? cannot be read: Permission denied"),
    ):
        ImageFolder(tmp_path / "set")


def test_an_archive_that_cannot_be_read_is_said_in_words(path: Path) -> None:
    path.write_bytes(zipped({"3/1.png": PICTURE}))
    with (
        without_access(path),
        pytest.raises(ArchiveError, match=r"^set\.zip cannot be read: Permission denied"),
    ):
        ImageArchive(path, LIMITS)
