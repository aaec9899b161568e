"""Zip archives for tests, including malicious ones."""

import io
import struct
import warnings
import zipfile
from collections.abc import Iterable, Mapping
from pathlib import Path

from tests.pictures import encode, photograph

PICTURE = encode(photograph(32, 32))


def zipped(files: Mapping[str, bytes] | Iterable[tuple[str, bytes]]) -> bytes:
    """Return an archive of these files, in this order; names may occur twice."""
    pairs = files.items() if isinstance(files, Mapping) else files
    buffer = io.BytesIO()
    with warnings.catch_warnings(), zipfile.ZipFile(buffer, "w", zipfile.ZIP_DEFLATED) as archive:
        warnings.simplefilter("ignore", UserWarning)  # about duplicate names
        for name, data in pairs:
            archive.writestr(name, data)
    return buffer.getvalue()


def crowded(count: int) -> bytes:
    """Return an archive of `count` empty entries."""
    return zipped((f"3/{number}", b"") for number in range(count))


def overlapping() -> bytes:
    """Return an archive of two entries that share their bytes, as in Fifield's bomb."""
    data = bytearray(zipped({"3/1.bmp": bytes(100_000), "3/2.bmp": bytes(100_000)}))
    first, second = (data.find(b"PK\1\2"), data.rfind(b"PK\1\2"))
    data[second + 42 : second + 46] = data[first + 42 : first + 46]
    return bytes(data)


def endless_directory() -> bytes:
    """Return an archive that claims a directory of a gigabyte."""
    data = bytearray(zipped({"3/1.png": PICTURE}))
    data[-10:-6] = struct.pack("<L", 2**30)
    return bytes(data)


def symbolic_link() -> bytes:
    """Return an archive of a symbolic link, as `zip --symlinks` stores it, and an image."""
    link = zipfile.ZipInfo("3/link.png")
    link.external_attr = 0o120777 << 16
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w") as archive:
        archive.writestr(link, "/etc/passwd")
        archive.writestr("3/1.png", PICTURE)
    return buffer.getvalue()


def offset_beyond_64_bits() -> bytes:
    """Return an archive of an image and an entry with an invalid zip64 offset."""
    data = bytearray(zipped({"3/1.png": PICTURE, "3/2.png": PICTURE}))
    second = data.rfind(b"PK\1\2")
    extra = struct.pack("<HHQ", 1, 8, 2**63 + 5)
    data[second + 42 : second + 46] = b"\xff" * 4
    data[second + 30 : second + 32] = struct.pack("<H", len(extra))
    data[second + 46 + len("3/2.png") : second + 46 + len("3/2.png")] = extra
    end = data.rfind(b"PK\5\6")
    (size,) = struct.unpack_from("<L", data, end + 12)
    data[end + 12 : end + 16] = struct.pack("<L", size + len(extra))
    return bytes(data)


def name_not_utf8() -> bytes:
    """Return an archive of an image and an entry whose name is falsely declared UTF-8."""
    data = bytearray(zipped({"3/1.png": PICTURE, "3/2.png": PICTURE}))
    local = data.rfind(b"PK\3\4")
    data[local + 7] |= 0x08  # the flag for UTF-8
    data[local + 30] = 0xFF
    return bytes(data)


def compressed_with(method: int) -> bytes:
    """Return an archive of an image with another compression and a usual one."""
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w") as archive:
        archive.writestr("3/1.png", PICTURE, compress_type=method)
        archive.writestr("3/2.png", PICTURE)
    return buffer.getvalue()


def put(folder: Path, files: Mapping[str, bytes]) -> Path:
    """Write files into a folder."""
    for name, data in files.items():
        path = folder / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(data)
    return folder
