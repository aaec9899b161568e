"""The service dies and comes back at the same address; the page goes on by itself."""

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
LOADED_LATER = re.compile("The model is still being loaded…|No model can answer now.")


@pytest.fixture
def mortal(tmp_path: Path) -> Iterator[Service]:
    with running_service(tmp_path, **QUICK) as service:
        yield service


@pytest.fixture
def visit(browser: Browser, mortal: Service) -> Iterator[Visit]:
    with visiting(browser, mortal.url) as opened:
        opened.foresee("ERR_", "status of 503")
        yield opened


@contextmanager
def held(service: Service) -> Iterator[None]:
    """Let the web process take what is sent, and answer nothing."""
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
    """Let the browser send so little at a time that 30 MB last longer than any test waits."""
    usual = {"offline": False, "latency": 0, "downloadThroughput": -1, "uploadThroughput": -1}
    devtools = page.context.new_cdp_session(page)
    devtools.send(
        "Network.emulateNetworkConditions", usual | {"uploadThroughput": 300_000 / PATIENCE}
    )
    yield
    devtools.send("Network.emulateNetworkConditions", usual)


def is_live(service: Service) -> bool:
    try:
        return http_client.get(f"{service.url}/health/live").is_success
    except httpx.TransportError:
        return False


def again(service: Service, **settings: Any) -> AbstractContextManager[Service]:
    """Start a service that died once more: the same port, the same data."""
    return running_service(service.log.parent, **QUICK, port=service.port, **settings)


def test_a_picture_is_answered_although_the_service_restarts_meanwhile(
    visit: Visit, mortal: Service
) -> None:
    visit.enter("classify")
    visit.page.get_by_role("radio", name="cifar10").check()
    with held(mortal):
        visit.page.get_by_label("A picture").last.set_input_files(SHIP)
        expect(visit.page.locator("#answers")).to_have_attribute("aria-busy", "true")
        mortal.die()
    expect(visit.alert("The service cannot be reached")).to_be_visible(timeout=PAINTING_MS)
    with again(mortal):
        expect(visit.page.locator(".verdict strong")).to_have_text("ship", timeout=PAINTING_MS)


def test_a_picture_is_answered_once_the_models_are_loaded(
    visit: Visit, mortal: Service, tmp_path: Path
) -> None:
    visit.enter("classify")
    visit.page.get_by_role("radio", name="cifar10").check()
    mortal.die()
    card = tmp_path / "models/mnist.json"
    shutil.copytree(small_models(), card.parent)
    whole = card.rename(tmp_path / "mnist.json")
    os.mkfifo(card)  # loading stops here until somebody writes
    with ExitStack() as stack, ThreadPoolExecutor(1) as pool:
        ready = pool.submit(stack.enter_context, again(mortal, models_dir=card.parent))
        wait_until(lambda: is_live(mortal))
        visit.page.get_by_label("A picture").last.set_input_files(SHIP)
        expect(visit.page.locator("#answers")).to_contain_text(LOADED_LATER, timeout=PAINTING_MS)
        with card.open("w"):
            whole.rename(card)
        ready.result()
        expect(visit.page.locator(".verdict strong")).to_have_text("ship", timeout=PAINTING_MS)


def test_an_archive_is_sent_again_when_the_service_restarts_in_mid_upload(
    visit: Visit, mortal: Service, tmp_path: Path
) -> None:
    seven = web.files()["samples/seven.jpg"].read_bytes()
    archive = tmp_path / "large.zip"
    archive.write_bytes(zipped({"7/a.jpg": seven, "notes.bin": os.urandom(30_000_000)}))
    visit.enter("evaluate")
    visit.page.locator("#evaluate-models").get_by_role("radio", name="mnist").check()
    visit.page.locator("#archive").set_input_files(archive)
    expect(visit.page.get_by_text("large.zip")).to_be_visible()
    with slow_uploads(visit.page):
        visit.page.get_by_role("button", name="Evaluate").click()
        upload = visit.page.get_by_role("progressbar", name="Upload")
        expect(upload).not_to_have_js_property("value", 0, timeout=PAINTING_MS)
        mortal.die()
    expect(visit.alert("The connection is lost. Trying again…")).to_be_visible(timeout=PAINTING_MS)
    with again(mortal):
        expect(visit.page.locator(".headline")).to_contain_text("1 picture", timeout=PAINTING_MS)
        expect(visit.page.locator(".left-out")).to_contain_text("notes.bin")


def test_a_painting_goes_on_after_a_restart(visit: Visit, mortal: Service) -> None:
    visit.begin_long()
    mortal.die()
    away = visit.page.locator("#easel-away")
    expect(away).to_be_visible(timeout=PAINTING_MS)
    with again(mortal):
        expect(away).to_be_hidden(timeout=PAINTING_MS)
        visit.page.get_by_role("button", name="Good enough").click()
        expect(visit.title).to_have_text("Painted", timeout=PAINTING_MS)
