"""`POST /stylize` and the job routes, over HTTP with a real worker."""

import io
import json
import socket
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from datetime import datetime
from typing import Any

import pytest
from PIL import Image

from app.style.images import PARAMETERS_KEY
from tests.jobs.studio import LONG, QUICK, Studio, picture, studio
from tests.patience import patient
from tests.service import Service, running_service, wait_until


@pytest.fixture(scope="module")
def painting_service(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Service]:
    with running_service(tmp_path_factory.mktemp("painting"), **QUICK) as service:
        wait_until(service.is_measured)
        yield service


@pytest.fixture
def jobs(painting_service: Service) -> Iterator[Studio]:
    with studio(painting_service) as opened:
        yield opened
        opened.cancel_all()


@pytest.fixture(scope="module")
def painted(painting_service: Service) -> dict[str, Any]:
    """A finished job with many options."""
    fields = {
        "size": 80,
        "quality": "preview",
        "strength": 0.7,
        "layer_weights": "1,1,2,1,1",
        "color": "content",
        "seed": 7,
    }
    with studio(painting_service) as jobs:
        return jobs.paint(**fields)


def events_of(jobs: Studio, job_id: str, **headers: str) -> list[dict[str, Any]]:
    """Read a stream to its end."""
    events: list[dict[str, Any]] = []
    with jobs.client.stream("GET", f"/jobs/{job_id}/events", headers=headers) as response:
        assert response.status_code == 200
        assert response.headers["content-type"].startswith("text/event-stream")
        present: dict[str, Any] = {}
        for line in response.iter_lines():
            if line:
                name, _, value = line.partition(": ")
                present[name] = json.loads(value) if name == "data" else value
            elif present:
                events.append(present)
                present = {}
    return events


def test_from_submit_to_picture(jobs: Studio) -> None:
    response = jobs.submit(size=96, quality="preview", seed=3)
    assert response.status_code == 202
    job = response.json()
    assert response.headers["location"] == f"/jobs/{job['id']}" == job["links"]["self"]
    assert int(response.headers["retry-after"]) >= 1
    assert job["kind"] == "stylize"
    assert job["estimate_s"] > 0
    assert job["options"]["seed"] == 3
    assert datetime.fromisoformat(job["created_at"]).tzinfo is not None
    done = jobs.wait(job["id"])
    assert done["status"] == "succeeded"
    result = jobs.result(job["id"])
    assert result.headers["content-type"] == "image/png"
    assert "attachment" in result.headers["content-disposition"]
    image = Image.open(io.BytesIO(result.content))
    assert image.size == (96, 64)
    parameters = json.loads(image.info[PARAMETERS_KEY])
    assert parameters["seed"] == 3
    etag = result.headers["etag"]
    for known in (etag, f'"other", W/{etag}', "*"):
        again = jobs.client.get(done["links"]["result"], headers={"If-None-Match": known})
        assert (again.status_code, again.content) == (304, b"")
    for unknown in ('"other"', f"{etag}x"):
        again = jobs.client.get(done["links"]["result"], headers={"If-None-Match": unknown})
        assert again.content == result.content


def test_an_idle_worker_begins_at_once(jobs: Studio) -> None:
    done = jobs.paint()
    began, made = (datetime.fromisoformat(done[name]) for name in ("started_at", "created_at"))
    assert (began - made).total_seconds() < patient(2)


def test_the_options_are_shown_as_they_were_understood(painted: dict[str, Any]) -> None:
    wanted = {
        "size": 80,
        "quality": "preview",
        "strength": 0.7,
        "layer_weights": [1, 1, 2, 1, 1],
        "color": "content",
        "seed": 7,
        "format": "png",
        "style_name": ["mosaic"],
        "width": 80,
        "height": 53,
    }
    assert painted["status"] == "succeeded"
    assert {name: painted["options"][name] for name in wanted} == wanted
    assert painted["progress"]["step"] > 0


def test_style_pictures_are_blended(jobs: Studio) -> None:
    files = [
        ("content", ("c.jpg", picture())),
        ("style", ("a.jpg", picture(seed=1))),
        ("style", ("b.jpg", picture(seed=2))),
    ]
    data = {"size": 64, "quality": "preview", "style_weights": "3,1", "format": "webp"}
    job = jobs.client.post("/stylize", data=data, files=files).json()
    jobs.finish(job["id"])
    assert jobs.result(job["id"]).headers["content-type"] == "image/webp"


def test_waiting_is_a_preference(jobs: Studio) -> None:
    with ThreadPoolExecutor(1) as other:
        waiting = other.submit(jobs.submit, {"Prefer": "wait=60"})
        (job,) = wait_until(lambda: jobs.client.get("/jobs?status=running").json()["jobs"])
        jobs.finish(job["id"])
        done = waiting.result()
    assert done.status_code == 200
    assert done.json()["status"] == "succeeded"
    assert done.headers["preference-applied"] == "wait=60"
    late = jobs.submit({"Prefer": 'respond-async, WAIT = "0";x=1'}, **LONG)
    assert late.status_code == 202
    assert late.headers["preference-applied"] == "wait=0"
    jobs.cancel(late.json()["id"])


def test_a_key_makes_one_job(jobs: Studio) -> None:
    headers = {"Idempotency-Key": "one"}
    first = jobs.submit(headers).json()
    for same in ({}, {"color": "style", "strength": "0.5"}):  # a default may be spelt out
        again = jobs.submit(headers, quality="preview", **same)
        assert again.json()["id"] == first["id"]
    other = jobs.submit(headers, quality="high")
    assert other.status_code == 422
    assert other.json()["code"] == "idempotency_key_reused"


def test_a_key_finds_its_continuation_when_the_source_has_gone(
    jobs: Studio, painted: dict[str, Any]
) -> None:
    source = jobs.paint()["id"]
    url, headers = f"/jobs/{source}/continue", {"Idempotency-Key": "further"}
    first = jobs.client.post(url, json={"size": 80}, headers=headers)
    jobs.finish(first.json()["id"])
    assert jobs.client.delete(f"/jobs/{source}").status_code == 204
    again = jobs.client.post(url, json={"size": 80}, headers=headers)
    assert again.json()["id"] == first.json()["id"]
    other = jobs.client.post(url, json={"size": 90}, headers=headers)
    assert (other.status_code, other.json()["code"]) == (422, "idempotency_key_reused")
    elsewhere = f"/jobs/{painted['id']}/continue"
    assert jobs.client.post(elsewhere, json={"size": 80}, headers=headers).status_code == 422


def test_a_key_whose_request_still_arrives_is_taken(
    jobs: Studio, painting_service: Service
) -> None:
    headers = {"Idempotency-Key": "slow"}
    form = b'--x\r\nContent-Disposition: form-data; name="size"\r\n\r\n64\r\n--x--\r\n'
    head = (
        "POST /stylize HTTP/1.1\r\nHost: localhost\r\nIdempotency-Key: slow\r\n"
        "Content-Type: multipart/form-data; boundary=x\r\n"
        f"Content-Length: {len(form)}\r\nExpect: 100-continue\r\n\r\n"
    )
    address = ("127.0.0.1", painting_service.port)
    with socket.create_connection(address, timeout=patient()) as connection:
        connection.sendall(head.encode())
        assert connection.recv(100).startswith(b"HTTP/1.1 100")  # the service reads the body
        refused = jobs.submit(headers)
        assert (refused.status_code, refused.json()["code"]) == (409, "still_receiving")
        connection.sendall(form)
        assert connection.recv(100).startswith(b"HTTP/1.1 422")
    taken = jobs.submit(headers)
    assert taken.status_code == 202
    jobs.finish(taken.json()["id"])


def test_events_show_the_work_and_end_with_the_job(jobs: Studio) -> None:
    job_id = jobs.start()
    events = events_of(jobs, job_id)
    names = [event["event"] for event in events]
    assert names[-1] == "end"
    assert names.count("end") == 1
    assert {"progress", "preview"} <= set(names)
    assert events[-1]["data"]["status"] == "succeeded"
    numbers = [int(event["id"]) for event in events]
    assert numbers == sorted(numbers)
    preview = next(event["data"]["url"] for event in events if event["event"] == "preview")
    assert jobs.client.get(preview).headers["content-type"] == "image/jpeg"


def test_a_waiting_job_is_told_when_its_place_changes(jobs: Studio) -> None:
    first, second, third = (jobs.start(**LONG) for _ in range(3))
    jobs.wait_for_step(first, 1)
    places = []
    with jobs.client.stream("GET", f"/jobs/{third}/events") as response:
        for line in response.iter_lines():
            if not line.startswith("data: {"):
                continue
            places.append(json.loads(line.partition(": ")[2]).get("position"))
            if places[-1] == 2:
                jobs.client.post(f"/jobs/{second}/cancel")
            if places[-1] != 2:
                break
    assert places == [2, 1]
    for job_id in (first, third):
        jobs.cancel(job_id)


def test_who_comes_late_gets_the_present_state_and_the_end_once(
    jobs: Studio, painted: dict[str, Any]
) -> None:
    (end,) = events_of(jobs, painted["id"])
    assert end["event"] == "end"
    url = f"/jobs/{painted['id']}/events"
    again = jobs.client.get(url, headers={"Last-Event-ID": end["id"]})
    assert again.status_code == 204


def test_good_enough_makes_the_present_picture_the_result(jobs: Studio) -> None:
    job_id = jobs.start(**LONG)
    jobs.wait_for_step(job_id, 3)
    done = jobs.finish(job_id)
    assert done["progress"]["step"] < done["progress"]["steps"]
    assert Image.open(io.BytesIO(jobs.result(job_id).content)).size == (256, 171)


def test_a_painting_is_gone_on_with_larger(jobs: Studio, painted: dict[str, Any]) -> None:
    response = jobs.client.post(f"/jobs/{painted['id']}/continue", json={"size": 120})
    assert response.status_code == 202, response.text
    job = response.json()
    assert job["id"] != painted["id"]
    assert job["options"]["seed"] == painted["options"]["seed"]
    jobs.finish(job["id"])
    assert Image.open(io.BytesIO(jobs.result(job["id"]).content)).size == (120, 80)
    smaller = jobs.client.post(f"/jobs/{painted['id']}/continue", json={"size": 64})
    assert smaller.status_code == 422


def test_going_on_does_not_shrink_what_is_there(jobs: Studio) -> None:
    done = jobs.wait(jobs.start(size=72, quality="standard"))
    coarser = jobs.client.post(f"/jobs/{done['id']}/continue", json={"quality": "preview"})
    assert coarser.status_code == 422
    assert "72" in coarser.json()["detail"]
    longer = jobs.client.post(f"/jobs/{done['id']}/continue", json={"strength": 0.8})
    jobs.finish(longer.json()["id"])


def test_a_finished_job_is_removed_with_its_files(jobs: Studio, painting_service: Service) -> None:
    job_id = jobs.start(**LONG)
    live = jobs.client.delete(f"/jobs/{job_id}")
    assert live.status_code == 409
    jobs.finish(job_id)
    folder = painting_service.log.parent / "var/jobs" / job_id
    assert folder.exists()
    assert jobs.client.delete(f"/jobs/{job_id}").status_code == 204
    assert not folder.exists()
    for path in ("", "/result", "/preview", "/events"):
        missing = jobs.client.get(f"/jobs/{job_id}{path}")
        assert (missing.status_code, missing.json()["code"]) == (404, "unknown_job")


def test_what_is_not_there_yet_is_a_conflict(jobs: Studio) -> None:
    running = jobs.start(**LONG)
    early = jobs.result(running)
    assert (early.status_code, early.json()["code"]) == (409, "wrong_state")
    jobs.cancel(running)
    gone_on = jobs.client.post(f"/jobs/{running}/continue", json={})
    assert gone_on.status_code == 409


def test_jobs_are_listed_in_pages(jobs: Studio, painted: dict[str, Any]) -> None:
    seen: list[str] = []
    cursor: dict[str, str] = {}
    while True:
        page = jobs.client.get("/jobs", params={"limit": "2", "kind": "stylize"} | cursor).json()
        seen += [job["id"] for job in page["jobs"]]
        if page["cursor"] is None:
            break
        cursor = {"cursor": page["cursor"]}
    assert painted["id"] in seen
    assert len(seen) == len(set(seen))
    assert jobs.client.get("/jobs", params={"status": "lost"}).status_code == 422
    assert jobs.client.get("/jobs", params={"cursor": "x"}).status_code == 422


def test_the_styles_are_listed_with_their_pictures(jobs: Studio) -> None:
    styles = jobs.client.get("/styles").json()["styles"]
    assert len(styles) == 6
    for style in styles:
        thumbnail = jobs.client.get(style["links"]["thumbnail"])
        assert max(Image.open(io.BytesIO(thumbnail.content)).size) == 256
    missing = jobs.client.get("/styles/none/image")
    assert (missing.status_code, missing.json()["code"]) == (404, "unknown_style")


def test_the_estimate_grows_with_the_size(jobs: Studio) -> None:
    def estimate(**asked: Any) -> dict[str, Any]:
        response = jobs.client.post("/stylize/estimate", json={"width": 400, "height": 300} | asked)
        assert response.status_code == 200, response.text
        found: dict[str, Any] = response.json()
        return found

    small, large = estimate(size=256), estimate(size=512)
    assert (large["width"], large["height"]) == (512, 384)
    assert 0 < small["seconds"] < large["seconds"]
    assert 0 < small["bytes"] < large["bytes"]
    assert estimate(size=512, quality="high")["seconds"] > large["seconds"]


@pytest.mark.parametrize(
    ("fields", "code", "field", "words"),
    [
        ({"size": 63}, "invalid_request", "size", "equal to 64"),
        ({"size": "large"}, "invalid_request", "size", "body.size"),
        ({"size": 10**9}, "size_too_large", "size", "at most 2048"),
        ({"strength": 1.5}, "invalid_request", "strength", "strength"),
        ({"strength": "nan"}, "invalid_request", "strength", "body.strength"),
        ({"strength": "nan", "seed": "x"}, "invalid_request", None, "body.seed"),
        (
            {"strength": 0.5, "content_weight": 1, "style_weight": 2},
            "invalid_request",
            None,
            "exclude",
        ),
        ({"content_weight": 1}, "invalid_request", None, "must be set together"),
        ({"layer_weights": "1,2"}, "invalid_request", None, "5 numbers"),
        ({"style_weights": "1,2"}, "invalid_request", "style_weights", "2 numbers for 1 styles"),
        ({"quality": "best"}, "invalid_request", "quality", "body.quality"),
        ({"format": "gif"}, "invalid_request", "format", "body.format"),
        ({"seed": -1}, "invalid_request", "seed", "seed"),
        ({"style_name": "cubism"}, "unknown_style", "style_name", "mosaic"),
        ({"steps": 5}, "malformed_upload", None, "fields named"),
        ({"size": ["64", "65"]}, "invalid_request", "size", "more than once"),
        ({"size": "9" * 3000}, "malformed_upload", None, "too long"),
    ],
)
def test_fields_that_make_no_sense_are_named(
    jobs: Studio, fields: dict[str, Any], code: str, field: str | None, words: str
) -> None:
    refused = jobs.submit(**fields)
    problem = refused.json()
    assert problem["code"] == code
    assert problem.get("field") == field
    assert refused.status_code in {404, 422}
    assert words in problem["detail"]


def test_pictures_that_cannot_be_used_are_refused_before_a_job_is_made(jobs: Studio) -> None:
    before = len(jobs.client.get("/jobs", params={"limit": 200}).json()["jobs"])
    good = picture()
    for files, status, field in (
        ({"content": good[:-200]}, 422, "content"),
        ({"content": b"<html>"}, 415, "content"),
        ({"style": good}, 422, "content"),
        ({"content": picture(1600, 100)}, 422, "content"),
        ({"content": good, "style": good}, 422, "style"),
        ({"photo": good}, 422, None),
    ):
        refused = jobs.client.post("/stylize", data={"style_name": "mosaic"}, files=files)
        assert refused.status_code == status, refused.text
        assert refused.json().get("field") == field
    for broken, status in ((b"<html>", 415), (good[:-200], 422)):
        parts = [("content", good), ("style", good), ("style", broken)]
        refused = jobs.client.post("/stylize", files=parts)
        assert (refused.status_code, refused.json()["field"]) == (status, "style")
    raw = jobs.client.post("/stylize", content=good, headers={"Content-Type": "image/jpeg"})
    assert raw.status_code == 415
    assert len(jobs.client.get("/jobs", params={"limit": 200}).json()["jobs"]) == before


def test_a_worker_reports_itself(jobs: Studio) -> None:
    (worker,) = jobs.client.get("/health/ready").json()["workers"]
    assert worker["dtype"] in {"bfloat16", "float32"}
