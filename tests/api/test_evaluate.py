"""`POST /evaluate` over HTTP with a real worker."""

import gzip
import json
import os
import signal
import socket
import zipfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import httpx
import numpy as np
import pytest
from PIL import Image

from tests.api.hostile import exchange
from tests.checkpoints import save_always
from tests.evaluation import archives
from tests.evaluation.archives import put, zipped
from tests.jobs.studio import QUICK, Studio, studio
from tests.patience import patient
from tests.pictures import encode, photograph
from tests.service import MODELS, ROOT, Service, running_service, wait_until

DIGIT = encode(Image.new("L", (28, 28)))
FILES = {
    **{f"digits/3/{n}.png": DIGIT for n in range(30)},
    **{f"digits/Seven/{n}.png": encode(photograph(200, 100)) for n in range(20)},
    "digits/3/broken.png": DIGIT[:40],
    "digits/11/1.png": DIGIT,
}


@pytest.fixture(scope="module")
def evaluating_service(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Service]:
    """Serves a network that answers 3 to everything, and two data sets of the host's."""
    folder = tmp_path_factory.mktemp("evaluating")
    save_always(3, folder / "models")
    put(folder / "datasets", {"digits/3/1.png": DIGIT, "digits/7/1.png": DIGIT, "notes.txt": b""})
    put(folder / "datasets", {"pets/cat/1.png": DIGIT, "flat/1.png": DIGIT, ".hidden/3/1.png": b""})
    settings = {
        **QUICK,
        "models_dir": folder / "models",
        "datasets": folder / "datasets",
        "max_archive_bytes": 10_000_000,
        "max_archive_entries": 5000,
        "decode_threads": 1,
        "upload_stall_s": patient(1),
    }
    with running_service(folder, **settings) as service:
        yield service


@pytest.fixture(scope="module")
def jobs(evaluating_service: Service) -> Iterator[Studio]:
    with studio(evaluating_service) as opened:
        yield opened
        opened.cancel_all()


def send(jobs: Studio, data: bytes, query: str = "", **headers: str) -> httpx.Response:
    """Send an archive as a form."""
    files = {"file": ("set.zip", data)}
    return jobs.client.post(f"/evaluate?model=mnist{query}", files=files, headers=headers)


def files_of(service: Service) -> set[Path]:
    """All files of jobs, and those being received."""
    state = service.log.parent / "var"
    return {path for name in ("jobs", "incoming") for path in (state / name).rglob("*")}


def report_of(jobs: Studio, response: httpx.Response) -> dict[str, Any]:
    assert response.status_code == 202, response.text
    done = jobs.wait(response.json()["id"])
    assert done["status"] == "succeeded", done
    report: dict[str, Any] = jobs.client.get(done["links"]["result"]).json()
    return report


def test_from_archive_to_report(jobs: Studio) -> None:
    response = send(jobs, zipped(FILES))
    job = response.json()
    assert (job["kind"], job["status"]) == ("evaluate", "queued")
    assert response.headers["location"] == f"/jobs/{job['id']}"
    assert job["options"]["images"] == 51
    report = report_of(jobs, response)
    assert report["n"] == 50
    assert report["accuracy"] == pytest.approx(0.6)
    assert report["unknown_folders"] == {"11": 1}
    assert report["skipped_count"] == 2
    assert {each["filename"] for each in report["skipped"]} == {
        "digits/3/broken.png",
        "digits/11/1.png",
    }
    assert report["model"]["name"] == "mnist"
    assert report["engine"]["dtype"] == "float32"
    for mistake in report["worst_mistakes"]:
        thumbnail = jobs.client.get(mistake["links"]["thumbnail"])
        assert thumbnail.headers["content-type"] == "image/jpeg"
        assert thumbnail.content.startswith(b"\xff\xd8")


def test_archive_is_deleted_after_the_job_and_deletion_leaves_no_files(
    jobs: Studio, evaluating_service: Service
) -> None:
    job_id = send(jobs, zipped(FILES)).json()["id"]
    jobs.wait(job_id)
    state = evaluating_service.log.parent / "var"
    folder = state / "jobs" / job_id

    def names() -> set[str]:
        return {path.name for path in folder.rglob("*") if path.is_file()}

    assert "report.json" in names()
    wait_until(lambda: "archive" not in names())  # removed once the job has ended
    assert jobs.client.delete(f"/jobs/{job_id}").status_code == 204
    assert not folder.exists()
    assert not list((state / "incoming").iterdir())


def test_a_raw_body_a_form_and_a_data_set_are_evaluated_alike(jobs: Studio) -> None:
    data = zipped({"3/1.png": DIGIT, "7/1.png": DIGIT})
    raw = jobs.client.post(
        "/evaluate?model=mnist", content=data, headers={"Content-Type": "application/zip"}
    )
    named = jobs.client.post("/evaluate?model=mnist&dataset=digits")
    reports = [report_of(jobs, each) for each in (raw, send(jobs, data), named)]
    for report in reports:
        assert (report["n"], report["accuracy"]) == (2, 0.5)


def test_data_sets_are_the_folders_with_folders_in_them(jobs: Studio) -> None:
    assert jobs.client.get("/datasets").json() == {
        "datasets": [
            {"name": "digits", "folders": ["3", "7"]},
            {"name": "pets", "folders": ["cat"]},
        ]
    }


@pytest.mark.parametrize(
    "name", ["..", "../datasets/digits", "flat", "nothing", "", ".hidden", "/"]
)
def test_unknown_data_sets_are_refused_with_404(jobs: Studio, name: str) -> None:
    response = jobs.client.post("/evaluate", params={"model": "mnist", "dataset": name})
    assert (response.status_code, response.json()["code"]) == (404, "unknown_dataset")


HOSTILE = {
    "nothing": (b"", 422),
    "no archive": (b"GIF89a", 422),
    "cut short": (zipped(FILES)[:-50], 422),
    "path traversal": (zipped({"../../3/1.png": DIGIT}), 422),
    "a name of 64 kB": (zipped({"3/" + "a/" * 32_000 + "1.png": DIGIT}), 422),
    "absolute name": (zipped({"/etc/3/1.png": DIGIT}), 422),
    "overlapping": (archives.overlapping(), 422),
    "a directory without end": (archives.endless_directory(), 422),
    "a bomb": (zipped({f"3/{n}.bmp": bytes(10**7) for n in range(11)}), 413),
    "too many entries": (archives.crowded(5001), 413),
    "a hundred thousand entries": (archives.crowded(20_000), 413),
    "too many bytes": (zipped({"3/1.png": os.urandom(10_100_000)}), 413),
    "unknown classes only": (zipped({"zebra/1.png": DIGIT, "gnu/1.png": DIGIT}), 422),
    "empty classes": (zipped({"3/": b"", "7/": b""}), 422),
}


@pytest.mark.parametrize(("data", "status"), HOSTILE.values(), ids=HOSTILE)
def test_hostile_archives_are_refused_and_cost_nothing(
    jobs: Studio, evaluating_service: Service, data: bytes, status: int
) -> None:
    before = files_of(evaluating_service)
    response = send(jobs, data)
    assert response.status_code == status, response.text
    assert response.headers["content-type"] == "application/problem+json"
    assert files_of(evaluating_service) == before
    assert jobs.client.get("/health/ready").status_code == 200


READABLE = {
    "a symbolic link": archives.symbolic_link(),
    "a nested archive": zipped({"3/inner.zip": zipped(FILES), "3/1.png": DIGIT}),
    "a large file": zipped({"3/1.bmp": b"BM" + bytes(25_000_000), "3/1.png": DIGIT}),
    "an unknown compression": archives.compressed_with(zipfile.ZIP_LZMA),
}


@pytest.mark.parametrize("data", READABLE.values(), ids=READABLE)
def test_file_that_is_not_an_image_is_skipped_with_the_reason(jobs: Studio, data: bytes) -> None:
    report = report_of(jobs, send(jobs, data))
    assert (report["n"], report["skipped_count"]) == (1, 1)
    assert report["skipped"][0]["reason"]


@pytest.mark.parametrize(
    ("query", "status", "code"),
    [
        ("model=resnet", 404, "unknown_model"),
        ("model=cifar10", 503, "model_unavailable"),
        ("model=mnist&engine=fast", 422, "invalid_request"),
        ("model=mnist&color=red", 422, "invalid_request"),
        ("model=mnist&dataset=digits", 422, "invalid_request"),
    ],
)
def test_invalid_query_is_explained(jobs: Studio, query: str, status: int, code: str) -> None:
    response = jobs.client.post(f"/evaluate?{query}", files={"file": ("set.zip", zipped(FILES))})
    assert (response.status_code, response.json()["code"]) == (status, code)


@pytest.mark.parametrize(
    ("files", "status"),
    [
        ([("archive", zipped(FILES))], 422),
        ([("file", zipped(FILES)), ("file", zipped(FILES))], 413),
    ],
)
def test_a_form_has_one_archive(jobs: Studio, files: list[tuple[str, bytes]], status: int) -> None:
    assert jobs.client.post("/evaluate?model=mnist", files=files).status_code == status


def test_other_media_types_are_refused(jobs: Studio) -> None:
    response = jobs.client.post(
        "/evaluate?model=mnist", content=DIGIT, headers={"Content-Type": "image/png"}
    )
    assert (response.status_code, response.json()["code"]) == (415, "unsupported_media_type")


def test_the_same_key_finds_the_same_evaluation(jobs: Studio) -> None:
    data = zipped(FILES)
    first, second = (send(jobs, data, **{"Idempotency-Key": "k1"}) for _ in range(2))
    assert first.json()["id"] == second.json()["id"]
    other = send(jobs, zipped({"3/1.png": DIGIT}), **{"Idempotency-Key": "k1"})
    assert (other.status_code, other.json()["code"]) == (422, "idempotency_key_reused")
    elsewhere = send(jobs, data, "&engine=served", **{"Idempotency-Key": "k1"})
    assert elsewhere.status_code == 422


def test_stalled_upload_leaves_no_files(evaluating_service: Service) -> None:
    head = (
        b"POST /evaluate?model=mnist HTTP/1.1\r\nHost: localhost\r\n"
        b"Content-Type: application/zip\r\nContent-Length: 1000000\r\n\r\n"
    )
    answer = exchange(evaluating_service, head + zipped(FILES)[:1000])
    assert answer.startswith(b"HTTP/1.1 408")
    assert b'"code":"upload_timeout"' in answer
    assert not list((evaluating_service.log.parent / "var/incoming").iterdir())


def test_interrupted_upload_leaves_no_files(evaluating_service: Service) -> None:
    head = (
        b"POST /evaluate?model=mnist HTTP/1.1\r\nHost: localhost\r\n"
        b"Content-Type: application/zip\r\nContent-Length: 9000000\r\n\r\n"
    )
    incoming = evaluating_service.log.parent / "var/incoming"
    with socket.create_connection(("127.0.0.1", evaluating_service.port)) as connection:
        connection.sendall(head + bytes(2_000_000))
        wait_until(lambda: list(incoming.glob("*")))
    wait_until(lambda: not list(incoming.glob("*")))


def test_unknown_file_of_a_job_is_refused_with_404(jobs: Studio) -> None:
    job_id = send(jobs, zipped({"3/1.png": DIGIT})).json()["id"]
    jobs.wait(job_id)
    for name in ("report.json", "mistake-01.jpg", "..%2Freport.json"):
        response = jobs.client.get(f"/jobs/{job_id}/files/{name}")
        assert response.status_code == 404


@pytest.fixture(scope="module")
def many() -> bytes:
    """Photographs that take a while to decode."""
    picture = encode(photograph(2000, 1500), "JPEG")
    return zipped((f"3/{number}.jpg", picture) for number in range(100))


@pytest.mark.processes
def test_an_evaluation_survives_its_worker(tmp_path: Path, many: bytes) -> None:
    save_always(3, tmp_path / "models")
    settings = {**QUICK, "models_dir": tmp_path / "models", "decode_threads": 1}
    with running_service(tmp_path, **settings) as service, studio(service) as jobs:
        job_id = send(jobs, many).json()["id"]
        jobs.wait_for_step(job_id, 20)
        pid = service.worker_pid()
        assert pid is not None
        os.kill(pid, signal.SIGKILL)
        done = jobs.wait(job_id)
        assert done["status"] == "succeeded"
        (left,) = wait_until(lambda: service.events("job left"))
        assert left["attempt"] == 2
        report = jobs.result(job_id).json()
        assert (report["n"], report["accuracy"]) == (100, 1)


def test_an_evaluation_is_cancelled_and_finished_early(jobs: Studio, many: bytes) -> None:
    cancelled, finished = (send(jobs, many).json()["id"] for _ in range(2))
    jobs.wait_for_step(cancelled, 8)
    jobs.client.post(f"/jobs/{cancelled}/cancel")
    assert jobs.wait(cancelled)["status"] == "cancelled"
    jobs.wait_for_step(finished, 8)
    jobs.client.post(f"/jobs/{finished}/finish")
    assert jobs.wait(finished)["status"] == "succeeded"
    assert 8 <= jobs.result(finished).json()["n"] < 100


def test_evaluation_finished_early_continues_until_its_first_usable_image(jobs: Studio) -> None:
    broken, whole = encode(photograph(2000, 1500), "PNG")[:-1000], encode(Image.new("L", (28, 28)))
    pictures = [*[broken] * 60, *[whole] * 8]
    archive = zipped((f"3/{number:03}.png", picture) for number, picture in enumerate(pictures))
    job_id = send(jobs, archive).json()["id"]
    jobs.wait_for_step(job_id, 1)
    jobs.client.post(f"/jobs/{job_id}/finish")
    assert jobs.wait(job_id)["status"] == "succeeded"
    report = jobs.result(job_id).json()
    assert 1 <= report["n"] <= 8
    assert report["skipped_count"] <= 60


@pytest.mark.processes
def test_evaluation_over_the_time_limit_reports_on_the_images_so_far(
    tmp_path: Path, many: bytes
) -> None:
    save_always(3, tmp_path / "models")
    settings = {**QUICK, "models_dir": tmp_path / "models", "max_evaluation_s": 0.01}
    with running_service(tmp_path, **settings) as service, studio(service) as jobs:
        job_id = send(jobs, many).json()["id"]
        assert jobs.wait(job_id)["status"] == "succeeded"
        report = jobs.result(job_id).json()
        assert (report["n"] < report["labeled"], report["labeled"]) == (True, 100)


def images_to_test(model: str, datasets: Path) -> bytes:
    """All test images of a model's data set, in an archive with class folders."""
    if model == "mnist":
        images, labels = (
            np.frombuffer(
                gzip.decompress((datasets / f"mnist/t10k-{name}.gz").read_bytes())[skip:], np.uint8
            )
            for name, skip in (("images-idx3-ubyte", 16), ("labels-idx1-ubyte", 8))
        )
        pairs = enumerate(zip(images.reshape(-1, 28, 28), labels, strict=True))
        return zipped(
            (f"{label}/{n}.png", encode(Image.fromarray(each))) for n, (each, label) in pairs
        )
    with zipfile.ZipFile(datasets / f"{model}.zip") as source:
        names = [name for name in source.namelist() if "/test/" in name and name.endswith(".jpg")]
        return zipped((name.partition("/test/")[2], source.read(name)) for name in names)


@pytest.fixture(scope="module")
def shipped(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Studio]:
    """The shipped models, in a service that uses all cores."""
    folder = tmp_path_factory.mktemp("shipped")
    settings = {**QUICK, "models_dir": MODELS}
    with running_service(folder, **settings, threads=None) as service, studio(service) as jobs:
        yield jobs


@pytest.mark.parametrize("model", ["mnist", "cifar10", "catdog"])
@pytest.mark.models
def test_all_test_images_give_the_accuracy_on_the_card(
    shipped: Studio, datasets: Path, model: str
) -> None:
    files = {"file": ("test.zip", images_to_test(model, datasets))}
    report = report_of(shipped, shipped.client.post(f"/evaluate?model={model}", files=files))
    card = json.loads((ROOT / f"models/{model}.json").read_text())
    assert report["n"] == card["test"]["count"]
    borderline = 3 / report["n"]  # pictures whose answer may depend on the processor's rounding
    assert report["accuracy"] == pytest.approx(card["test"]["accuracy"], abs=borderline)
    assert report["loss"] == pytest.approx(card["test"]["loss"], rel=1e-3)
