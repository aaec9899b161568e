"""One caller's pictures do not hold up those of others."""

import socket
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import Any

import pytest
from PIL import Image

from app.api.auth.identity import ANONYMOUS, flow_of
from app.keys import entry_for, new_key
from tests import http_client
from tests.patience import patient
from tests.pictures import encode, photograph
from tests.service import Service, running_service, wait_until

KEYS = {name: new_key() for name in ("ann", "mallory")}
API_KEYS = " ".join(str(entry_for(name, key)) for name, key in KEYS.items())
SETTINGS: dict[str, Any] = {
    "decode_threads": 1,
    "metrics": "open",
    "classify_deadline_s": patient(),
}
GOOD = encode(photograph())
EXPENSIVE = encode(Image.new("RGB", (6000, 6000)), "JPEG", progressive=True)
MANY, FEW = 24, 6


def counted(service: Service, name: str) -> int:
    """A value of `GET /metrics`."""
    text = http_client.get(f"{service.url}/metrics").text
    (line,) = (line for line in text.splitlines() if line.startswith(f"{name} "))
    return int(float(line.rpartition(" ")[2]))


@contextmanager
def flooded(service: Service, address: str, *headers: str) -> Iterator[None]:
    """Let expensive pictures from one address wait to be decoded."""
    lines = [
        "POST /classify?model=cifar10 HTTP/1.1",
        "Host: localhost",
        "Content-Type: image/jpeg",
        f"Content-Length: {len(EXPENSIVE)}",
        *headers,
    ]
    request = "\r\n".join([*lines, "", ""]).encode() + EXPENSIVE
    with ExitStack() as stack:
        for _ in range(2 * MANY):
            connection = socket.create_connection(
                ("127.0.0.1", service.port), timeout=patient(), source_address=(address, 0)
            )
            stack.enter_context(connection).sendall(request)
        wait_until(lambda: counted(service, 'atelier_queued_images{stage="decode"}') >= MANY)
        yield
        assert counted(service, 'atelier_queued_images{stage="decode"}') >= FEW


@contextmanager
def before_most_others(service: Service) -> Iterator[None]:
    """Check that few pictures are decoded meanwhile; in the order of arrival it were `MANY`."""
    before = counted(service, "atelier_decode_seconds_count")
    yield
    assert counted(service, "atelier_decode_seconds_count") - before <= FEW


@pytest.mark.processes
def test_caller_does_not_wait_for_images_of_other_callers(tmp_path: Path) -> None:
    headers = {"Authorization": f"Bearer {KEYS['ann']}"}
    with (
        running_service(tmp_path, api_keys=API_KEYS, **SETTINGS) as service,
        http_client.connect(base_url=service.url, headers=headers) as client,
        flooded(service, "127.0.0.1", f"Authorization: Bearer {KEYS['mallory']}"),
    ):
        with before_most_others(service):
            assert client.post("/classify?model=mnist", files={"file": GOOD}).status_code == 200
        with before_most_others(service):
            raw = {"Inference-Header-Content-Length": "0"}
            infer = client.post("/v2/models/mnist/infer", content=GOOD, headers=raw)
            assert infer.status_code == 200
        with before_most_others(service):
            files = {"content": GOOD, "style": GOOD}
            assert client.post("/stylize", files=files, data={"size": "64"}).status_code == 202


@pytest.mark.processes
def test_without_keys_an_address_does_not_wait_for_another(tmp_path: Path) -> None:
    with (
        running_service(tmp_path, **SETTINGS) as service,
        flooded(service, "127.0.0.2"),
        before_most_others(service),
    ):
        url = f"{service.url}/classify?model=mnist"
        assert http_client.post(url, files={"file": GOOD}).status_code == 200


@pytest.mark.parametrize(
    ("caller", "address", "flow"),
    [
        ("ann", "192.0.2.1", "ann"),
        (ANONYMOUS, "192.0.2.1", "192.0.2.1"),
        (ANONYMOUS, "2001:db8:1:2:3:4:5:6", "2001:db8:1:2::/64"),
        (ANONYMOUS, "2001:db8:1:2::1", "2001:db8:1:2::/64"),
        (ANONYMOUS, "::ffff:192.0.2.1", "192.0.2.1"),
        (ANONYMOUS, "proxy", ANONYMOUS),
        (ANONYMOUS, "fe80::1%" + 1000 * "x", "fe80::/64"),
        (ANONYMOUS, None, ANONYMOUS),
    ],
)
def test_turns_are_taken_by_callers_or_by_addresses(
    caller: str, address: str | None, flow: str
) -> None:
    assert flow_of(caller, address and (address, 50_000)) == flow


@pytest.mark.parametrize("scans", [32, 33])
def test_a_jpeg_of_too_many_scans_is_refused(service: Service, scans: int) -> None:
    data = encode(photograph(), "JPEG", progressive=True)
    last_scan = data[data.rindex(b"\xff\xda") : -2]
    picture = data[:-2] + last_scan * (scans - 10) + data[-2:]
    answer = http_client.post(f"{service.url}/classify?model=mnist", files={"file": picture})
    if scans == 32:
        assert answer.status_code == 200
    else:
        assert (answer.status_code, answer.json()["code"]) == (413, "image_too_large")
        assert "more than 32 scans. Save it again" in answer.json()["detail"]
