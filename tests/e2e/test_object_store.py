"""Results that the browser fetches from an object store."""

from pathlib import Path

import pytest
from playwright.sync_api import Browser, expect

from tests.e2e.visit import PAINTING_MS, visiting
from tests.fleet.s3 import BUCKET, environment, running_store
from tests.jobs.studio import QUICK
from tests.service import running_service, wait_until

pytestmark = pytest.mark.e2e


def test_painting_in_an_object_store_is_shown_and_downloaded(
    browser: Browser, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    with running_store(tmp_path) as store:
        for name, value in environment(store).items():
            monkeypatch.setenv(name, value)
        settings = {**QUICK, "blobs_url": f"s3://{BUCKET}/files"}
        with (
            running_service(tmp_path / "service", **settings) as service,
            visiting(browser, service.url) as visit,
        ):
            wait_until(service.is_measured)
            visit.start_painting()
            expect(visit.slider).to_have_value("50", timeout=PAINTING_MS)
            after = visit.page.locator("img.comparison-after")
            expect(after).to_have_js_property("complete", True)
            assert after.evaluate("image => image.naturalWidth") > 0
            with visit.page.expect_download() as download:
                visit.page.get_by_role("link", name="Download").click()
            assert download.value.url.startswith(store.url)
            assert download.value.suggested_filename.startswith("atelier-")
