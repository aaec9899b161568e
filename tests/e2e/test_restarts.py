"""Recovery of the page after the service is killed and restarted at the same address."""

import os
import re
import shutil
import signal
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import AbstractContextManager, ExitStack, contextmanager, suppress
from pathlib import Path
from typing import Any

import httpx
import pytest
from playwright.sync_api import Browser, Page, expect

from app import web
from tests import http_client
from tests.e2e.visit import PAINTING_MS, Visit, visiting
from tests.evaluation.archives import zipped
from tests.jobs.studio import QUICK
from tests.patience import PATIENCE
from tests.service import Service, running_service, small_models, wait_until

pytestmark = [pytest.mark.e2e, pytest.mark.timeout(300)]

SHIP = web.files()["samples/ship.jpg"]
MODELS_LOADING = re.compile("The model is still loading…|No model is available.")


@pytest.fixture
def restartable(tmp_path: Path) -> Iterator[Service]:
    with running_service(tmp_path, **QUICK) as service:
        yield service


@pytest.fixture
def visit(browser: Browser, restartable: Service) -> Iterator[Visit]:
    with visiting(browser, restartable.url) as opened:
        opened.allow_console_errors("ERR_", "status of 503")
        yield opened


@contextmanager
def suspended(service: Service) -> Iterator[None]:
    """Suspend the web process, so that it accepts connections but sends no response."""
    web_pid = service.web_pid()
    assert web_pid is not None
    os.kill(web_pid, signal.SIGSTOP)
    try:
        yield
    finally:
        with suppress(ProcessLookupError):
            os.kill(web_pid, signal.SIGCONT)


@contextmanager
def slow_uploads(page: Page) -> Iterator[None]:
    """Throttle the browser so that an upload of 30 MB outlasts every timeout of a test."""
    unlimited = {"offline": False, "latency": 0, "downloadThroughput": -1, "uploadThroughput": -1}
    devtools = page.context.new_cdp_session(page)
    devtools.send(
        "Network.emulateNetworkConditions", unlimited | {"uploadThroughput": 300_000 / PATIENCE}
    )
    yield
    devtools.send("Network.emulateNetworkConditions", unlimited)


def is_live(service: Service) -> bool:
    try:
        return http_client.get(f"{service.url}/health/live").is_success
    except httpx.TransportError:
        return False


def restarted(service: Service, **settings: Any) -> AbstractContextManager[Service]:
    """Start a killed service again on the same port with the same data."""
    return running_service(service.log.parent, **QUICK, port=service.port, **settings)


def test_image_is_classified_after_a_restart_during_the_request(
    visit: Visit, restartable: Service
) -> None:
    visit.open_tab("classify")
    visit.page.get_by_role("radio", name="cifar10").check()
    with suspended(restartable):
        visit.page.get_by_label("Choose an image").set_input_files(SHIP)
        expect(visit.page.locator("#classify-results")).to_have_attribute("aria-busy", "true")
        restartable.die()
    expect(visit.alert("The service cannot be reached")).to_be_visible(timeout=PAINTING_MS)
    with restarted(restartable):
        expect(visit.page.locator(".top-result strong")).to_have_text("ship", timeout=PAINTING_MS)


def test_image_is_classified_once_the_models_are_loaded(
    visit: Visit, restartable: Service, tmp_path: Path
) -> None:
    visit.open_tab("classify")
    visit.page.get_by_role("radio", name="cifar10").check()
    restartable.die()
    card = tmp_path / "models/mnist.json"
    shutil.copytree(small_models(), card.parent)
    whole = card.rename(tmp_path / "mnist.json")
    os.mkfifo(card)  # loading blocks here until the test writes
    with ExitStack() as stack, ThreadPoolExecutor(1) as pool:
        ready = pool.submit(stack.enter_context, restarted(restartable, models_dir=card.parent))
        wait_until(lambda: is_live(restartable))
        visit.page.get_by_label("Choose an image").set_input_files(SHIP)
        expect(visit.page.locator("#classify-results")).to_contain_text(
            MODELS_LOADING, timeout=PAINTING_MS
        )
        with card.open("w"):
            whole.rename(card)
        ready.result()
        expect(visit.page.locator(".top-result strong")).to_have_text("ship", timeout=PAINTING_MS)


def test_archive_is_sent_again_after_a_restart_during_the_upload(
    visit: Visit, restartable: Service, tmp_path: Path
) -> None:
    seven = web.files()["samples/seven.jpg"].read_bytes()
    archive = tmp_path / "large.zip"
    archive.write_bytes(zipped({"7/a.jpg": seven, "notes.bin": os.urandom(30_000_000)}))
    visit.open_tab("evaluate")
    visit.page.locator("#evaluate-models").get_by_role("radio", name="mnist").check()
    visit.page.locator("#archive").set_input_files(archive)
    expect(visit.page.get_by_text("large.zip")).to_be_visible()
    with slow_uploads(visit.page):
        visit.page.get_by_role("button", name="Evaluate").click()
        upload = visit.page.get_by_role("progressbar", name="Upload")
        expect(upload).not_to_have_js_property("value", 0, timeout=PAINTING_MS)
        restartable.die()
    expect(visit.alert("Connection lost. Trying again…")).to_be_visible(timeout=PAINTING_MS)
    with restarted(restartable):
        expect(visit.page.locator(".report-summary")).to_contain_text(
            "1 image", timeout=PAINTING_MS
        )
        expect(visit.page.locator(".skipped-files")).to_contain_text("notes.bin")


def test_painting_continues_after_a_restart(visit: Visit, restartable: Service) -> None:
    visit.start_long_painting()
    restartable.die()
    disconnected = visit.page.locator("#painting-disconnected")
    expect(disconnected).to_be_visible(timeout=PAINTING_MS)
    with restarted(restartable):
        expect(disconnected).to_be_hidden(timeout=PAINTING_MS)
        visit.page.get_by_role("button", name="Finish now").click()
        expect(visit.title).to_have_text("Painting finished", timeout=PAINTING_MS)
