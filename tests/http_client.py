"""HTTP calls of the tests: httpx with one generous timeout, and without a TLS context per call.

A call that polls would otherwise cost more processor time than what it waits for.
"""

import ssl
from typing import Any

import httpx

from tests.patience import patient

_OPTIONS: dict[str, Any] = {
    "timeout": patient(),
    "verify": ssl.create_default_context(),
    "trust_env": False,
}


def get(url: str, **options: Any) -> httpx.Response:
    """Call `httpx.get`."""
    return httpx.get(url, **_OPTIONS | options)


def post(url: str, **options: Any) -> httpx.Response:
    """Call `httpx.post`."""
    return httpx.post(url, **_OPTIONS | options)


def put(url: str, **options: Any) -> httpx.Response:
    """Call `httpx.put`."""
    return httpx.put(url, **_OPTIONS | options)


def connect(**options: Any) -> httpx.Client:
    """Return an `httpx.Client`."""
    return httpx.Client(**_OPTIONS | options)
