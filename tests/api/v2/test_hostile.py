"""Requests that no honest client sends: each is refused with a reason, and costs nothing."""

import base64
import gzip
import json
import struct
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import httpx
import numpy as np
import pytest

from tests.api.hostile import assert_still_serves
from tests.pictures import encode, photograph
from tests.service import Service, wait_until

URL = "/v2/models/cifar10/infer"
PICTURE = encode(photograph())
PIXELS = {"name": "pixels", "datatype": "UINT8", "shape": [1, 32, 32, 3]}
TENSOR = {"name": "tensor", "datatype": "FP32", "shape": [1, 3, 32, 32]}
FILES = {"name": "encoded", "datatype": "BYTES", "shape": [1]}
OUTPUT = {"name": "probabilities"}
GOOD = [0] * 3072
HUGE = 2**62


def sized(size: Any, **given: Any) -> dict[str, Any]:
    return {**PIXELS, **given, "parameters": {"binary_data_size": size}}


def body(*inputs: dict[str, Any], **more: Any) -> bytes:
    return json.dumps({"inputs": inputs, **more}).encode()


def framed(given: dict[str, Any], binary: bytes) -> dict[str, Any]:
    """A request with binary data."""
    head = body(given)
    headers = {"Inference-Header-Content-Length": str(len(head))}
    return {"content": head + binary, "headers": headers}


def assert_refused(response: httpx.Response, status: int, reason: str) -> None:
    assert response.status_code == status, response.text
    assert response.headers["Content-Type"] == "application/json"
    (name, sentence), *_ = response.json().items()
    assert name == "error"
    assert reason in sentence


@pytest.mark.parametrize(
    ("shape", "status"),
    [
        ([], 400),
        ([1], 400),
        ([1, 3, 32, 32], 400),
        ([1, 32, 32, 3, 1], 400),
        ([0, 32, 32, 3], 400),
        ([-1, 32, 32, 3], 400),
        ([1, -32, -32, 3], 400),
        ([True, 32, 32, 3], 400),
        ([1.0, 32, 32, 3], 400),
        (["1", 32, 32, 3], 400),
        ([None], 400),
        ([HUGE, 32, 32, 3], 413),
        ([10**30, 32, 32, 3], 400),
        ([1, HUGE, HUGE, 3], 400),
        ([2, 32, 32, 3], 400),
        ("1x32x32x3", 400),
        ([[1, 32, 32, 3]], 400),
        ([1] * 100_000, 400),
    ],
)
@pytest.mark.parametrize("binary", [True, False])
def test_a_shape_that_is_not_the_models(
    client: httpx.Client, shape: Any, status: int, binary: bool
) -> None:
    given = {**PIXELS, "shape": shape}
    if binary:
        request = framed(sized(3072, shape=shape), bytes(3072))
    else:
        request = {"content": body({**given, "data": GOOD})}
    assert_refused(client.post(URL, **request), status, "")


@pytest.mark.parametrize(
    ("given", "reason"),
    [
        ({**PIXELS, "datatype": "INT64", "data": GOOD}, "datatype"),
        ({**PIXELS, "datatype": "FP32", "data": GOOD}, "'pixels' has the datatype UINT8"),
        ({**PIXELS, "name": "input0", "data": GOOD}, "inputs.0.name"),
        ({**PIXELS, "data": GOOD[1:]}, "neither 3072 elements"),
        ({**PIXELS, "data": [GOOD]}, "neither 3072 elements"),
        ({**PIXELS, "data": []}, "neither 3072 elements"),
        ({**PIXELS, "data": [[[]]]}, "neither 3072 elements"),
        ({**PIXELS, "data": GOOD * 2}, "neither 3072 elements"),
        ({**PIXELS, "data": "AAAA"}, "data"),
        ({**PIXELS, "data": [256, *GOOD[1:]]}, "from 0 to 255"),
        ({**PIXELS, "data": [-1, *GOOD[1:]]}, "from 0 to 255"),
        ({**PIXELS, "data": [0.5, *GOOD[1:]]}, "no whole numbers"),
        ({**PIXELS, "data": [True, *GOOD[1:]]}, "no whole numbers"),
        ({**PIXELS, "data": ["0", *GOOD[1:]]}, "no whole numbers"),
        ({**PIXELS, "data": [None, *GOOD[1:]]}, "no whole numbers"),
        ({**PIXELS, "data": [10**400, *GOOD[1:]]}, "too large"),
        ({**PIXELS, "data": [{}, *GOOD[1:]]}, "no whole numbers"),
        ({**TENSOR, "data": [float("nan"), *GOOD[1:]]}, "from 0 to 1"),
        ({**TENSOR, "data": [float("inf"), *GOOD[1:]]}, "from 0 to 1"),
        ({**TENSOR, "data": [1e308, *GOOD[1:]]}, "from 0 to 1"),
        ({**TENSOR, "data": [1.01, *GOOD[1:]]}, "from 0 to 1"),
        (PIXELS, "needs `data`, or `binary_data_size`"),
        ({**sized(3072), "data": GOOD}, "not both"),
        ({**FILES, "data": ["not base64!"]}, "base64"),
        ({**FILES, "data": ["\u00e9"]}, "base64"),
        ({**FILES, "data": [7]}, "base64"),
        ({**FILES, "data": [None]}, "base64"),
        ({**FILES, "data": [["AA=="]]}, "base64"),
        ({**FILES, "shape": [1, 2], "data": ["AA==", "AA=="]}, "has the shape [-1]"),
    ],
)
def test_input_that_contradicts_its_description_is_refused(
    client: httpx.Client, given: dict[str, Any], reason: str
) -> None:
    assert_refused(client.post(URL, content=body(given)), 400, reason)


@pytest.mark.parametrize(
    ("more", "reason"),
    [
        ({"outputs": [{"name": "logits"}]}, "outputs.0.name"),
        ({"outputs": [OUTPUT, OUTPUT]}, "outputs: List should have at most 1 item"),
        ({"outputs": [{**OUTPUT, "parameters": {"classification": 0}}]}, "classification"),
        ({"outputs": [{**OUTPUT, "parameters": {"classification": True}}]}, "classification"),
        ({"outputs": [{**OUTPUT, "parameters": {"binary_data": 1}}]}, "binary_data"),
        ({"outputs": [{**OUTPUT, "parameters": {"shared_memory_region": "a"}}]}, "Shared memory"),
        ({"parameters": {"binary_data_output": "yes"}}, "binary_data_output"),
        ({"parameters": {"timeout": -1}}, "timeout"),
        ({"parameters": []}, "parameters"),
        ({"id": 42}, "id"),
    ],
)
def test_unsupported_output_is_refused(
    client: httpx.Client, more: dict[str, Any], reason: str
) -> None:
    given = {**PIXELS, "data": GOOD}
    assert_refused(client.post(URL, content=body(given, **more)), 400, reason)


def test_one_input_at_a_time(client: httpx.Client) -> None:
    given = {**PIXELS, "data": GOOD}
    assert_refused(client.post(URL, content=body(given, given)), 400, "inputs: List should have at")
    assert_refused(client.post(URL, content=body()), 400, "inputs: List should have at least 1")


@pytest.mark.parametrize(
    ("content", "most"),
    [
        (body(*[PIXELS] * 30_000), "1,000 members"),
        (body(*[{}] * 30_000), "100 objects"),
        (body(PIXELS, outputs=[OUTPUT] * 60_000), "1,000 members"),
        (body(PIXELS, **{f"{number:x}": 0 for number in range(30_000)}), "1,000 members"),
        (body(*[{}] * 30_000)[:-2], "100 objects"),
        (body({**PIXELS, "data": [[]] * 200_000}), "150,000 lists"),
    ],
    ids=["inputs", "empty inputs", "outputs", "members", "truncated", "lists"],
)
def test_json_of_very_many_parts_is_refused_before_it_is_parsed(
    client: httpx.Client, content: bytes, most: str
) -> None:
    assert_refused(client.post(URL, content=content), 413, f"may have at most {most}")


@pytest.mark.parametrize("name", ["pixels", "tensor"])
def test_large_nested_tensor_in_json_is_read(client: httpx.Client, name: str) -> None:
    shape = {"pixels": (48, 32, 32, 3), "tensor": (48, 3, 32, 32)}[name]
    datatype = {"pixels": "UINT8", "tensor": "FP32"}[name]
    given = {"name": name, "datatype": datatype, "shape": shape}
    answer = client.post(URL, content=body({**given, "data": np.zeros(shape, int).tolist()}))
    assert answer.status_code == 200, answer.text
    assert answer.json()["outputs"][0]["shape"] == [48, 10]


def test_large_json_of_one_client_is_parsed_a_few_at_a_time(client: httpx.Client) -> None:
    pixels = {**PIXELS, "shape": [48, 32, 32, 3], "data": [200] * 48 * 3072}
    content = body(pixels)

    def send(_: int) -> httpx.Response:
        return client.post(URL, content=content)

    def refused() -> list[httpx.Response]:
        with ThreadPoolExecutor(16) as threads:
            answers = list(threads.map(send, range(16)))
        assert {answer.status_code for answer in answers} <= {200, 429}
        return [answer for answer in answers if answer.status_code == 429]

    first, *_ = wait_until(refused)
    assert_refused(first, 429, "4 large JSON requests")
    assert send(0).status_code == 200


@pytest.mark.parametrize(
    ("size", "sent"),
    [(3072, 3071), (3072, 3073), (3071, 3071), (0, 0), (0, 3072), (3072, 0), (HUGE, 3072)],
)
def test_binary_data_of_another_size(client: httpx.Client, size: int, sent: int) -> None:
    assert_refused(client.post(URL, **framed(sized(size), bytes(sent))), 400, "bytes")


@pytest.mark.parametrize("size", [-1, True, 3072.0, "3072", 10**30, [3072]])
def test_a_size_that_is_none(client: httpx.Client, size: Any) -> None:
    response = client.post(URL, **framed(sized(size), bytes(3072)))
    assert_refused(response, 400, "binary_data_size")


def test_undeclared_binary_data_is_refused(client: httpx.Client) -> None:
    response = client.post(URL, **framed({**PIXELS, "data": GOOD}, b"more"))
    assert_refused(response, 400, "4 bytes follow the JSON object")


@pytest.mark.parametrize(
    "binary",
    [
        b"",
        b"\1\0",
        PICTURE,  # its length is missing
        struct.pack("<I", len(PICTURE)) + PICTURE[:-1],
        struct.pack("<I", len(PICTURE)) + PICTURE + b"\0",
        struct.pack(">I", len(PICTURE)) + PICTURE,
        struct.pack("<I", 2**32 - 1) + PICTURE,
        2 * (struct.pack("<I", len(PICTURE)) + PICTURE),
    ],
)
def test_elements_with_wrong_lengths_are_refused(client: httpx.Client, binary: bytes) -> None:
    given = {**FILES, "parameters": {"binary_data_size": len(binary)}}
    assert_refused(client.post(URL, **framed(given, binary)), 400, "each after its length")


@pytest.mark.parametrize(
    ("length", "status"),
    [("1", 400), ("50", 400), ("999999", 400), ("-1", 422), ("x", 422), ("", 422), ("1.5", 422)],
)
def test_wrong_length_of_the_json_is_refused(
    client: httpx.Client, length: str, status: int
) -> None:
    request = framed(sized(3072), bytes(3072))
    request["headers"] = {"Inference-Header-Content-Length": length}
    assert_refused(client.post(URL, **request), status, "")


@pytest.mark.parametrize(
    ("content", "status"),
    [
        (b"", 400),
        (b"{", 400),
        (b"null", 400),
        (b"[]", 400),
        (b'"text"', 400),
        (b"\xff\xfe{}", 400),
        (PICTURE, 400),
        (b"{}", 400),
        (b'{"inputs": {}}', 400),
        (b'{"inputs": [[]]}', 400),
        (b'{"inputs":' + b"[" * 100_000, 400),
        (b'{"inputs":' + b"[" * 200_000, 413),
        (b'{"inputs": [], "more": "' + b"x" * 4_000_000 + b'"}', 413),
        (b'{"inputs": [{"shape": [' + b"-1," * 100_000 + b"0]}]}", 400),
    ],
)
def test_body_that_is_not_an_inference_request_is_refused(
    client: httpx.Client, content: bytes, status: int
) -> None:
    assert_refused(client.post(URL, content=content), status, "")


@pytest.mark.parametrize(
    ("encoding", "content", "status"),
    [
        ("br", b"", 415),
        ("gzip, gzip", b"", 415),
        ("gzip", b"", 422),
        ("gzip", b"{}", 422),
        ("gzip", gzip.compress(PICTURE)[:-9], 422),
        ("deflate", gzip.compress(PICTURE), 422),
        ("gzip", gzip.compress(PICTURE), 400),
    ],
)
def test_body_with_a_wrong_content_encoding_is_refused(
    client: httpx.Client, encoding: str, content: bytes, status: int
) -> None:
    response = client.post(URL, content=content, headers={"Content-Encoding": encoding})
    assert_refused(response, status, "")


def test_decompression_bomb_is_refused(strict: Service, strict_client: httpx.Client) -> None:
    before = strict.resident_bytes()
    for size, reason in ((50_000_000, "decompressed request is larger"), (200_000_000, "at most")):
        bomb = gzip.compress(bytes(size), 9)
        response = strict_client.post(URL, content=bomb, headers={"Content-Encoding": "gzip"})
        assert_refused(response, 413, reason)
    assert strict.resident_bytes() - before < 20_000_000
    assert_still_serves(strict_client)


@pytest.mark.parametrize(
    "rest",
    [b"junk", bytes(200_000), gzip.compress(b"{}", mtime=0)],
    ids=["junk", "zeros", "another"],
)
def test_bytes_after_the_end_of_a_compressed_body_are_refused(
    strict: Service, strict_client: httpx.Client, rest: bytes
) -> None:
    before = strict.resident_bytes()
    compressed = gzip.compress(body(FILES)) + rest
    response = strict_client.post(URL, content=compressed, headers={"Content-Encoding": "gzip"})
    assert_refused(response, 422, "Bytes follow the end of the compressed data")
    assert strict.resident_bytes() - before < 20_000_000
    assert_still_serves(strict_client)


def test_a_good_request_in_plain_json(client: httpx.Client) -> None:
    given = {**FILES, "data": [base64.b64encode(PICTURE).decode()]}
    outputs = [{**OUTPUT, "parameters": {"unknown": "to us"}}]
    answer = client.post(URL, content=body(given, outputs=outputs, parameters=None, more=1))
    assert answer.status_code == 200
    expected = client.post("/classify?model=cifar10", files={"file": PICTURE}).json()
    (output,) = answer.json()["outputs"]
    assert output["shape"] == [1, 10]
    best = max(range(10), key=output["data"].__getitem__)
    assert best == expected["predictions"][0]["index"]


def test_nested_elements_are_those_in_a_row(client: httpx.Client) -> None:
    row = [at % 256 for at in range(3072)]
    nested = [[[row[96 * y + 3 * x :][:3] for x in range(32)] for y in range(32)]]
    flat = client.post(URL, content=body({**PIXELS, "data": row})).json()
    assert client.post(URL, content=body({**PIXELS, "data": nested})).json() == flat


def test_too_much_is_cut_off_and_refusals_cost_nothing(
    strict: Service, strict_client: httpx.Client
) -> None:
    too_large = strict_client.post(URL, content=b" " * 300_001)
    assert_refused(too_large, 413, "limit of 300,000 bytes")
    raw = {"Inference-Header-Content-Length": "0"}
    large_image = strict_client.post(URL, content=PICTURE + bytes(100_000), headers=raw)
    assert_refused(large_image, 413, "image 0")
    before = strict.resident_bytes()
    for shape in ([HUGE, 32, 32, 3], [8, HUGE, HUGE, 3]):
        for _ in range(20):
            response = strict_client.post(URL, **framed(sized(HUGE, shape=shape), bytes(3072)))
            assert 400 <= response.status_code < 500
    assert strict.resident_bytes() - before < 20_000_000
    assert_still_serves(strict_client)


@pytest.mark.parametrize("path", ["/v2/models", "/v2/models/mnist/config", "/v2/nothing"])
def test_other_paths_are_refused_in_the_protocols_form(client: httpx.Client, path: str) -> None:
    assert_refused(client.get(path), 404, path)


def test_other_methods_are_refused_in_the_protocols_form(client: httpx.Client) -> None:
    response = client.put(URL)
    assert_refused(response, 405, URL)
    assert response.headers["Allow"] == "POST"
