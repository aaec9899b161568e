"""`GET /limits`."""

import httpx


def test_the_limits_are_those_of_the_settings(
    client: httpx.Client, strict_client: httpx.Client
) -> None:
    usual = client.get("/limits").json()
    assert usual["max_size"] == 2048
    assert usual["max_archive_bytes"] == 2_000_000_000
    assert strict_client.get("/limits").json() == usual | {
        "max_image_bytes": 100_000,
        "max_request_bytes": 300_000,
        "max_request_files": 8,
    }
