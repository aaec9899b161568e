"""The reference engine answers from the start; another takes its place when it is selected."""

import os
import signal
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import AbstractContextManager, contextmanager
from pathlib import Path
from typing import Any

import pytest

from app.engines.parity import TOLERANCE
from tests import http_client
from tests.checkpoints import save_always
from tests.patience import patient
from tests.pictures import encode, photograph
from tests.service import Service, is_running, running_service, wait_until

pytestmark = pytest.mark.processes

PICTURE = {"file": encode(photograph())}
PENDING = "The reference engine is used until a faster one has been selected."


@pytest.fixture
def models(tmp_path: Path) -> Path:
    """A folder with a checkpoint that sees a 3 in everything."""
    folder = tmp_path / "models"
    save_always(3, folder)
    return folder


def running(folder: Path, models: Path) -> AbstractContextManager[Service]:
    """Run a service whose engines are of PyTorch alone: nothing has to be converted."""
    return running_service(folder, models_dir=models, log_format="json", engine="torch")


@contextmanager
def selecting(folder: Path, models: Path) -> Iterator[tuple[Service, int]]:
    """Run a service, and stop the process that selects an engine for it before it is done."""
    with running(folder, models) as service:
        process = wait_until(lambda: service.child_of_web("prepare"))
        assert process is not None
        os.kill(process, signal.SIGSTOP)
        yield service, process


def shown(service: Service) -> Any:
    return http_client.get(f"{service.url}/models/mnist").json()


def awaited(service: Service, selection: str) -> Any:
    """Wait until the model is shown with this state of the selection."""
    wait_until(lambda: shown(service)["engine_selection"] == selection)
    return shown(service)


def answer(service: Service) -> Any:
    """Return the digit that the service sees in a picture."""
    response = http_client.post(f"{service.url}/classify?model=mnist&top_k=1", files=PICTURE)
    assert response.status_code == 200, response.text
    (prediction,) = response.json()["predictions"]
    assert prediction["probability"] == pytest.approx(0.99, abs=TOLERANCE)
    return prediction["label"]


def reload(service: Service) -> Any:
    response = http_client.post(f"{service.url}/admin/reload")
    assert response.status_code == 200, response.text
    return response.json()["models"]["mnist"]


def test_the_reference_answers_until_an_engine_is_selected_and_the_next_start_knows_which(
    tmp_path: Path, models: Path
) -> None:
    with selecting(tmp_path, models) as (service, process):
        ready = http_client.get(f"{service.url}/health/ready")
        assert (ready.status_code, ready.json()["selecting"]) == (200, ["mnist"])
        model = shown(service)
        assert (model["engine"], model["dtype"]) == ("torch", "float32")
        assert (model["engine_selection"], model["engine_reason"]) == ("pending", PENDING)
        assert answer(service) == "3"
        os.kill(process, signal.SIGCONT)
        selected = awaited(service, "done")
        assert selected["engine_reason"].startswith(
            "This is the fastest engine that matches float32 PyTorch"
        )
        assert selected["version"] == model["version"]
        assert answer(service) == "3"
        assert http_client.get(f"{service.url}/health/ready").json()["selecting"] == []
    with running(tmp_path, models) as service:
        again = awaited(service, "done")
        facts = ("engine", "dtype", "engine_reason")
        assert [again[each] for each in facts] == [selected[each] for each in facts]
        assert service.events("selecting an engine") == []
        assert answer(service) == "3"


def test_the_reference_stays_when_the_selection_fails_and_a_reload_tries_again(
    tmp_path: Path, models: Path
) -> None:
    with selecting(tmp_path, models) as (service, process):
        os.kill(process, signal.SIGKILL)  # as the kernel does when memory is short
        model = awaited(service, "failed")
        assert (model["engine"], model["dtype"]) == ("torch", "float32")
        assert "ended with status -9" in model["engine_reason"]
        (warning,) = service.events("engine selection failed")
        assert (warning["level"], warning["model"]) == ("warning", "mnist")
        assert answer(service) == "3"
        assert reload(service)["outcome"] == "unchanged"
        assert shown(service)["engine_selection"] == "done"


def test_without_an_engine_that_can_be_used_the_reference_serves_each_checkpoint(
    tmp_path: Path, models: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "broken/openvino").mkdir(parents=True)
    (tmp_path / "broken/openvino/__init__.py").write_text("raise ImportError('libtbb.so.12')")
    monkeypatch.setenv("PYTHONPATH", str(tmp_path / "broken"))
    with running_service(tmp_path, models_dir=models, engine="openvino") as service:
        model = awaited(service, "failed")
        assert (model["engine"], model["dtype"]) == ("torch", "float32")
        assert "libtbb" in model["engine_reason"]
        version = save_always(7, models).version
        assert reload(service) == {"outcome": "reloaded", "version": version, "reason": None}
        assert shown(service)["engine_selection"] == "failed"
        assert answer(service) == "7"


def test_reload_waits_for_an_engine_selection_and_then_serves_the_new_checkpoint(
    tmp_path: Path, models: Path
) -> None:
    with selecting(tmp_path, models) as (service, process), ThreadPoolExecutor(1) as operator:
        seven = save_always(7, models).version
        reloading = operator.submit(reload, service)
        assert answer(service) == "3"
        os.kill(process, signal.SIGCONT)
        expected = {"outcome": "reloaded", "version": seven, "reason": None}
        assert reloading.result() == expected
        assert shown(service)["engine_selection"] == "done"
        assert answer(service) == "7"


@pytest.mark.parametrize("how", [signal.SIGTERM, signal.SIGKILL])
def test_a_service_that_ends_during_a_selection_leaves_no_process(
    tmp_path: Path, models: Path, how: signal.Signals
) -> None:
    with selecting(tmp_path, models) as (service, process):
        os.kill(process, signal.SIGCONT)
        service.process.send_signal(how)
        service.process.wait(patient(10))
        wait_until(lambda: not is_running(process), 10)
