"""Runs an object store of our own that speaks as S3 does, behind a door."""

import os
import re
import socket
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from http import HTTPStatus
from pathlib import Path

import httpx

from tests import http_client
from tests.fleet.door import Door
from tests.service import wait_until

BUCKET = "atelier"
CREDENTIALS = {
    "AWS_ACCESS_KEY_ID": "somebody",
    "AWS_SECRET_ACCESS_KEY": "secret",
    "AWS_REGION": "us-east-1",
}


@contextmanager
def running_store(folder: Path) -> Iterator[Door]:
    """Start a store with one empty bucket."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = probe.getsockname()[1]
    with (folder / "s3.log").open("wb") as log:
        process = subprocess.Popen(
            [sys.executable, "-m", "moto.server", "-H", "127.0.0.1", "-p", str(port)],
            env=os.environ | CREDENTIALS,
            stdout=log,
            stderr=log,
        )
    bucket = f"http://127.0.0.1:{port}/{BUCKET}"

    def is_made() -> bool:
        with suppress(httpx.TransportError):
            return http_client.put(bucket).status_code == HTTPStatus.OK
        return False

    door = Door(port)
    try:
        wait_until(is_made)
        yield door
    finally:
        door.close()
        process.kill()
        process.wait()


def keys_of(door: Door, prefix: str) -> list[str]:
    """Keys of the objects that there are."""
    listed = http_client.get(f"{door.url}/{BUCKET}", params={"list-type": 2, "prefix": prefix})
    return re.findall(r"<Key>(.*?)</Key>", listed.text)


def environment(door: Door) -> dict[str, str]:
    """Return the environment variables that a process needs to use the store."""
    return CREDENTIALS | {"AWS_ENDPOINT_URL": door.url, "AWS_ALLOW_HTTP": "true"}
