"""Files that the service has removed by now."""

import pytest
from playwright.sync_api import Browser, expect

from tests import http_client
from tests.e2e.visit import PAINTING_MS, visiting
from tests.jobs.studio import QUICK
from tests.patience import patient
from tests.service import running_service, wait_until

pytestmark = pytest.mark.e2e

EXPIRED = "The files of this job have been removed by now."


def test_a_painting_whose_files_have_expired_says_so(
    browser: Browser, tmp_path_factory: pytest.TempPathFactory
) -> None:
    folder = tmp_path_factory.mktemp("brief")
    with (
        running_service(folder, **QUICK, result_ttl_s=patient(8)) as brief,
        visiting(browser, brief.url) as visit,
    ):
        visit.foresee("status of 410")
        wait_until(brief.is_measured)
        visit.paint()
        expect(visit.title).to_have_text("Painted", timeout=PAINTING_MS)
        go_on = visit.page.get_by_role("button", name="Go on from here")
        expect(go_on).to_be_visible()
        result = f"{brief.url}/jobs/{visit.page.url.rpartition('/')[2]}/result"
        wait_until(lambda: http_client.get(result).status_code == 410)
        go_on.click()
        expect(visit.alert(EXPIRED)).to_be_visible()
        visit.page.reload()
        expect(visit.title).to_have_text("Painted")
        expect(visit.alert(EXPIRED)).to_be_visible()
        expect(visit.page.get_by_role("link", name="Download")).to_have_count(0)
