import httpx
import pytest


@pytest.mark.parametrize("path", ["/", "/models", "/jobs?limit=1", "/styles/mosaic/thumbnail"])
def test_head_is_answered_as_get_without_the_body(client: httpx.Client, path: str) -> None:
    got, head = client.get(path), client.head(path)
    assert (head.status_code, head.content) == (200, b"")
    for name in ("content-type", "content-length", "etag", "cache-control"):
        assert head.headers.get(name) == got.headers.get(name)


def test_head_is_counted_as_head(client: httpx.Client) -> None:
    client.head("/models/mnist")
    counted = 'atelier_requests_total{method="HEAD",route="/models/{name}",status="200"}'
    assert counted in client.get("/metrics").text


def test_head_of_a_problem_is_that_problem(client: httpx.Client) -> None:
    assert client.head("/models/nope").status_code == 404
    assert client.head("/classify").status_code == 405


def test_head_of_a_stream_ends(client: httpx.Client) -> None:
    form = {"style_name": "mosaic", "size": "64"}
    files = {"content": ("photo.jpg", client.get("/web/samples/cat.jpg").content)}
    job = client.post("/stylize", data=form, files=files).json()
    head = client.head(job["links"]["events"])
    assert head.headers["content-type"].startswith("text/event-stream")
    assert client.get(job["links"]["self"]).json()["status"] == "queued"
    client.post(f"{job['links']['self']}/cancel")


@pytest.mark.parametrize(
    ("method", "path", "allowed"),
    [
        ("DELETE", "/classify", "POST"),
        ("OPTIONS", "/jobs/nosuch", "GET, DELETE, HEAD"),
        ("PUT", "/health/live", "GET, HEAD"),
        ("HEAD", "/jobs/nosuch/cancel", "POST"),
    ],
)
def test_allow_names_every_method_of_a_path(
    client: httpx.Client, method: str, path: str, allowed: str
) -> None:
    answer = client.request(method, path)
    assert (answer.status_code, answer.headers["allow"]) == (405, allowed)
