"""Files that are meant to break an image service, each beside a good request at the same moment."""

import io
import json
import pickle
import struct
import zipfile
import zlib
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor

import httpx
import numpy as np
import pytest
from PIL import Image

from tests.patience import patient
from tests.pictures import encode, photograph
from tests.service import Service

GOOD = encode(photograph())
_MEMORY_SLACK_BYTES = 400_000_000


def png(width: int, height: int, *chunks: bytes) -> bytes:
    """A PNG that declares a size, with whatever chunks follow the header."""
    header = b"IHDR" + struct.pack(">IIBBBBB", width, height, 8, 2, 0, 0, 0)
    return b"\x89PNG\r\n\x1a\n" + b"".join(map(chunk, (header, *chunks, b"IEND")))


def chunk(data: bytes) -> bytes:
    return struct.pack(">I", len(data) - 4) + data + struct.pack(">I", zlib.crc32(data))


def flat_png_bomb() -> bytes:
    return encode(Image.new("1", (13_000, 13_000)), optimize=True)


def png_that_declares_two_gigapixels() -> bytes:
    return png(50_000, 50_000, b"IDAT" + zlib.compress(b"\0" * 1000))


def gif_that_declares_a_huge_canvas() -> bytes:
    data = encode(photograph(), "GIF")
    return data[:6] + struct.pack("<HH", 65_535, 65_535) + data[10:]


def bmp_that_declares_a_huge_canvas() -> bytes:
    data = bytearray(encode(photograph(), "BMP"))
    data[18:26] = struct.pack("<ii", 60_000, 60_000)
    return bytes(data)


def webp_that_declares_a_huge_canvas() -> bytes:
    chunk = b"VP8X" + struct.pack("<I", 10) + b"\0\0\0\0" + b"\xfe\x3f\0" * 2
    return b"RIFF" + struct.pack("<I", 4 + len(chunk)) + b"WEBP" + chunk


def ico() -> bytes:
    return encode(photograph(), "ICO")


def text_chunk_bomb() -> bytes:
    bomb = b"zTXtbomb\0\0" + zlib.compress(b"a" * 100_000_000)
    return png(8, 8, bomb, b"IDAT" + zlib.compress(b"\0" * 1000))


def profile_bomb() -> bytes:
    bomb = b"iCCPbomb\0\0" + zlib.compress(b"a" * 100_000_000)
    return png(8, 8, bomb, b"IDAT" + zlib.compress(b"\0" * (8 * 25)))


def pixel_bomb_in_idat() -> bytes:
    return png(64, 64, b"IDAT" + zlib.compress(b"\0" * 200_000_000))


def archive() -> bytes:
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w") as file:
        file.writestr("cat/1.png", GOOD)
    return buffer.getvalue()


def jpeg_of_a_hundred_thousand_scans() -> bytes:
    data = encode(Image.new("RGB", (3000, 3000)), "JPEG", progressive=True)
    last_scan = data[data.rindex(b"\xff\xda") : -2]
    return data[:-2] + last_scan * 100_000 + data[-2:]


HOSTILE: list[tuple[Callable[[], bytes], set[int]]] = [
    (flat_png_bomb, {413}),
    (png_that_declares_two_gigapixels, {413}),
    (gif_that_declares_a_huge_canvas, {413}),
    (bmp_that_declares_a_huge_canvas, {413}),
    (webp_that_declares_a_huge_canvas, {413, 422}),
    (ico, {415}),
    (text_chunk_bomb, {422}),
    (profile_bomb, {200, 422}),
    (pixel_bomb_in_idat, {200, 422}),
    (jpeg_of_a_hundred_thousand_scans, {413}),
    (archive, {415}),
    (lambda: b"", {422}),
    (lambda: b"\xff", {415}),
    (lambda: b"just text", {415}),
    (lambda: b"<!doctype html><html></html>", {415}),
    (lambda: json.dumps({"image": "x"}).encode(), {415}),
    (lambda: pickle.dumps({"image": 1}), {415}),
    (lambda: b"<svg xmlns='http://www.w3.org/2000/svg' width='9' height='9'/>", {415}),
    (lambda: b"%PDF-1.7\n%%EOF", {415}),
    (lambda: encode(photograph(), "EPS"), {415}),
    (lambda: encode(photograph(), "TIFF"), {200}),
    (lambda: encode(photograph(), "JPEG") + b"<html><script>alert(1)</script></html>", {200}),
    (lambda: encode(Image.new("RGB", (1, 1))), {200}),
    (lambda: encode(Image.new("RGB", (1, 65_000))), {200}),
    (lambda: encode(Image.new("RGB", (65_000, 1))), {200}),
    (lambda: encode(photograph().convert("CMYK"), "JPEG"), {200}),
    (lambda: encode(photograph().convert("1")), {200}),
    (lambda: encode(photograph().convert("LA")), {200}),
    (lambda: encode(photograph().convert("RGBA")), {200}),
    (lambda: encode(photograph().convert("P"), transparency=3), {200}),
    (lambda: encode(Image.fromarray(np.full((9, 9), 60_000, np.uint16))), {200}),
    (
        lambda: encode(
            photograph(), "GIF", save_all=True, append_images=[Image.new("RGB", (9, 9))]
        ),
        {200},
    ),
    (lambda: encode(photograph(), "JPEG", exif=b"Exif\0\0II*\0" + b"\xff" * 60), {200}),
]


def classify(client: httpx.Client, data: bytes) -> httpx.Response:
    files = {"file": ("picture.png", data)}
    return client.post("/classify?model=cifar10", files=files)


@pytest.mark.parametrize("model", ["mnist", "cifar10"])
@pytest.mark.parametrize(
    ("make", "expected"),
    HOSTILE,
    ids=[f"{i}-{make.__name__}" for i, (make, _) in enumerate(HOSTILE)],
)
def test_hostile_file_does_not_affect_other_requests(
    client: httpx.Client,
    service: Service,
    make: Callable[[], bytes],
    expected: set[int],
    model: str,
) -> None:
    data = make()
    before_bytes = service.resident_bytes()
    with ThreadPoolExecutor(2) as senders:
        hostile = senders.submit(
            client.post, f"/classify?model={model}", files={"file": ("picture.png", data)}
        )
        good = senders.submit(classify, client, GOOD)
        assert good.result().status_code == 200
        response = hostile.result()
    assert response.status_code in expected, response.text
    if response.status_code != 200:
        assert response.headers["Content-Type"] == "application/problem+json"
        assert len(response.json()["detail"]) < 300
    assert response.elapsed.total_seconds() < patient(10)
    assert service.resident_bytes() - before_bytes < _MEMORY_SLACK_BYTES
    assert classify(client, GOOD).status_code == 200


@pytest.mark.parametrize("image_format", ["JPEG", "PNG", "WEBP", "TIFF", "GIF", "BMP"])
def test_truncated_and_damaged_files_are_answered_one_by_one(
    client: httpx.Client, image_format: str
) -> None:
    data = encode(photograph(), image_format)
    random = np.random.default_rng(1)
    broken = [data[: len(data) * tenths // 10] for tenths in range(10)]
    for _ in range(40):
        damaged = bytearray(data)
        damaged[random.integers(len(data))] ^= 1 << int(random.integers(8))
        broken.append(bytes(damaged))
    files = [("file", (f"{index}", each)) for index, each in enumerate([*broken, GOOD])]
    response = client.post("/classify?model=cifar10", files=files)
    assert response.status_code == 200
    *results, good = response.json()["results"]
    assert good["predictions"]
    codes = {result["error"]["code"] for result in results if "error" in result}
    assert codes <= {"undecodable_image", "unsupported_format", "image_too_large"}
    assert "undecodable_image" in codes


def test_all_eight_orientations_classify_alike(client: httpx.Client) -> None:
    upright = photograph(96, 64)
    back = [
        None,
        Image.Transpose.FLIP_LEFT_RIGHT,
        Image.Transpose.ROTATE_180,
        Image.Transpose.FLIP_TOP_BOTTOM,
        Image.Transpose.TRANSPOSE,
        Image.Transpose.ROTATE_90,
        Image.Transpose.TRANSVERSE,
        Image.Transpose.ROTATE_270,
    ]
    answers = []
    for orientation, method in enumerate(back, start=1):
        exif = Image.Exif()
        exif[0x0112] = orientation
        stored = upright if method is None else upright.transpose(method)
        answers.append(classify(client, encode(stored, exif=exif)).json())
    first = answers[0]["predictions"]
    for answer in answers:
        assert answer["image"] == {"width": 96, "height": 64, "format": "PNG"}
        assert [each["label"] for each in answer["predictions"]] == [e["label"] for e in first]
        probabilities = [each["probability"] for each in answer["predictions"]]
        assert probabilities == pytest.approx([each["probability"] for each in first], abs=1e-5)
