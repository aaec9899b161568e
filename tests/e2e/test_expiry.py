"""Expired files of jobs."""

import pytest
from playwright.sync_api import Browser, expect

from tests import http_client
from tests.e2e.visit import PAINTING_MS, visiting
from tests.jobs.studio import QUICK
from tests.patience import patient
from tests.service import running_service, wait_until

pytestmark = pytest.mark.e2e

EXPIRED = "The files of this job have expired and are deleted."


def test_painting_with_expired_files_shows_an_error(
    browser: Browser, tmp_path_factory: pytest.TempPathFactory
) -> None:
    folder = tmp_path_factory.mktemp("short-lived")
    with (
        running_service(folder, **QUICK, result_ttl_s=patient(8)) as service,
        visiting(browser, service.url) as visit,
    ):
        visit.allow_console_errors("status of 410")
        wait_until(service.is_measured)
        visit.start_painting()
        expect(visit.title).to_have_text("Painting finished", timeout=PAINTING_MS)
        continue_button = visit.page.get_by_role("button", name="Continue painting")
        expect(continue_button).to_be_visible()
        result = f"{service.url}/jobs/{visit.page.url.rpartition('/')[2]}/result"
        wait_until(lambda: http_client.get(result).status_code == 410)
        continue_button.click()
        expect(visit.alert(EXPIRED)).to_be_visible()
        visit.page.reload()
        expect(visit.title).to_have_text("Painting finished")
        expect(visit.alert(EXPIRED)).to_be_visible()
        expect(visit.page.get_by_role("link", name="Download")).to_have_count(0)
