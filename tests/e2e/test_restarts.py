"""The service dies and comes back at the same address; the page goes on by itself."""

import os
import signal
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from playwright.sync_api import Browser, Response, expect

from app import web
from tests.e2e.visit import PAINTING_MS, Visit, visiting
from tests.evaluation.archives import zipped
from tests.jobs.studio import QUICK
from tests.service import Service, running_service

pytestmark = pytest.mark.e2e

SHIP = web.files()["samples/ship.jpg"]
LOADING = {"engine": "auto"}  # every engine is tried at the start, which takes some seconds


@pytest.fixture
def mortal(tmp_path: Path) -> Iterator[Service]:
    with running_service(tmp_path, **QUICK) as service:
        yield service


@pytest.fixture
def visit(browser: Browser, mortal: Service) -> Iterator[Visit]:
    with visiting(browser, mortal.url) as opened:
        opened.foresee("ERR_", "status of 503")
        yield opened


def hold(service: Service) -> None:
    """Let the web process take what is sent, and answer nothing."""
    web_pid = service.web_pid()
    assert web_pid is not None
    os.kill(web_pid, signal.SIGSTOP)


def again(service: Service, **settings: Any) -> Any:
    """Start a service that died once more: the same port, the same data."""
    return running_service(service.log.parent, **QUICK, port=service.port, **settings)


def test_a_picture_is_answered_although_the_service_restarts_meanwhile(
    visit: Visit, mortal: Service
) -> None:
    statuses: list[int] = []

    def note(answer: Response) -> None:
        if "/classify?" in answer.url:
            statuses.append(answer.status)

    visit.page.on("response", note)
    visit.enter("classify")
    visit.page.get_by_role("radio", name="cifar10").check()
    hold(mortal)
    visit.page.get_by_label("A picture").last.set_input_files(SHIP)
    expect(visit.page.locator("#answers")).to_have_attribute("aria-busy", "true")
    mortal.die()
    expect(visit.alert("The service cannot be reached")).to_be_visible()
    with again(mortal, **LOADING):
        expect(visit.page.locator(".verdict strong")).to_have_text("ship", timeout=PAINTING_MS)
        assert statuses[-1] == 200
        assert set(statuses) <= {200, 503}  # while the models were still being loaded


def test_an_archive_is_sent_again_when_the_service_restarts_in_mid_upload(
    visit: Visit, mortal: Service
) -> None:
    seven = web.files()["samples/seven.jpg"].read_bytes()
    archive = zipped({"7/a.jpg": seven, "notes.bin": os.urandom(30_000_000)})
    visit.enter("evaluate")
    visit.page.locator("#evaluate-models").get_by_role("radio", name="mnist").check()
    visit.page.locator("#archive").set_input_files(
        {"name": "large.zip", "mimeType": "application/zip", "buffer": archive}
    )
    hold(mortal)
    visit.page.get_by_role("button", name="Evaluate").click()
    upload = visit.page.get_by_role("progressbar", name="Upload")
    expect(upload).not_to_have_js_property("value", 0)
    mortal.die()
    expect(visit.alert("The connection is lost. Trying again…")).to_be_visible()
    with again(mortal, **LOADING):
        expect(visit.page.locator(".headline")).to_contain_text("1 picture", timeout=PAINTING_MS)
        expect(visit.page.locator(".left-out")).to_contain_text("notes.bin")


def test_a_painting_goes_on_after_a_restart(visit: Visit, mortal: Service) -> None:
    visit.paint(192, "high")
    expect(visit.first_picture).to_be_visible(timeout=PAINTING_MS)
    mortal.die()
    away = visit.page.locator("#easel-away")
    expect(away).to_be_visible()
    with again(mortal):
        expect(away).to_be_hidden(timeout=PAINTING_MS)
        visit.page.get_by_role("button", name="Good enough").click()
        expect(visit.title).to_have_text("Painted", timeout=PAINTING_MS)
