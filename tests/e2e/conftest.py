"""Fixtures: a real browser and a real service."""

import os
import shutil
import zipfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from playwright.sync_api import Browser, sync_playwright

from app import web
from tests.e2e.visit import Visit, visiting
from tests.jobs.studio import QUICK, studio
from tests.service import Service, running_service, wait_until

_CAMERA = ["--use-fake-device-for-media-stream", "--use-fake-ui-for-media-stream"]


@pytest.fixture(scope="session")
def browser() -> Iterator[Browser]:
    """Start Chromium; without it, skip the tests, or fail in CI."""
    chromium = shutil.which("chromium")
    if chromium is None:
        reason = "needs Chromium: apt-get install chromium"
        if os.environ.get("CI") == "true":
            pytest.fail(reason)
        pytest.skip(reason)
    sandbox = ["--no-sandbox"] if os.geteuid() == 0 else []
    with sync_playwright() as playwright:
        opened = playwright.chromium.launch(executable_path=chromium, args=sandbox + _CAMERA)
        yield opened
        opened.close()


@pytest.fixture(scope="session")
def atelier(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Service]:
    """Run a service with a worker, the two small models and a data set."""
    folder = tmp_path_factory.mktemp("atelier")
    settings: dict[str, Any] = QUICK | {
        "report_s": 0.2,
        "decode_threads": 1,
        "datasets": _datasets(folder),
    }
    with running_service(folder, **settings) as service:
        wait_until(service.is_measured)
        yield service


@pytest.fixture(scope="session")
def limited(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Service]:
    """Run a service without a worker that allows small images and one queued job."""
    limits = {"max_image_bytes": 250_000, "max_size": 320, "max_queued_jobs_per_caller": 1}
    with running_service(tmp_path_factory.mktemp("limited"), **limits) as service:
        yield service


@pytest.fixture
def visit(browser: Browser, atelier: Service) -> Iterator[Visit]:
    """Open a first visit to the page."""
    try:
        with visiting(browser, atelier.url) as opened:
            yield opened
    finally:
        with studio(atelier) as jobs:
            jobs.cancel_all()


@pytest.fixture
def limited_visit(browser: Browser, limited: Service) -> Iterator[Visit]:
    with visiting(browser, limited.url) as opened:
        yield opened


def _datasets(folder: Path) -> Path:
    datasets = folder / "datasets"
    with zipfile.ZipFile(web.files()["samples/digits.zip"]) as archive:
        archive.extractall(datasets)
    return datasets
