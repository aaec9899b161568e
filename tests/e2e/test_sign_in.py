"""The page of a service that requires API keys."""

import re
from collections.abc import Iterator

import pytest
from playwright.sync_api import Browser, expect

from app.keys import entry_for, new_key
from tests import http_client
from tests.e2e.visit import PAINTING_MS, Visit, photo, visiting
from tests.jobs.studio import QUICK
from tests.service import Service, running_service, wait_until

pytestmark = pytest.mark.e2e

KEYS = {name: new_key() for name in ("ann", "bob")}
API_KEYS = " ".join(str(entry_for(name, key)) for name, key in KEYS.items())
UNAUTHORIZED = "401 (Unauthorized)"  # in the console


@pytest.fixture(scope="module")
def keyed(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Service]:
    folder = tmp_path_factory.mktemp("keyed")
    with running_service(folder, **QUICK, api_keys=API_KEYS) as service:
        wait_until(service.is_measured)
        yield service


@pytest.fixture
def signed_out(browser: Browser, keyed: Service) -> Iterator[Visit]:
    with visiting(browser, keyed.url) as opened:
        opened.allow_console_errors(UNAUTHORIZED)
        yield opened


def submit_key(visit: Visit, key: str) -> None:
    visit.page.get_by_label("API key").fill(key)
    visit.page.get_by_role("button", name="Sign in").click()


def test_session_survives_a_reload_and_ends_with_sign_out(signed_out: Visit) -> None:
    page = signed_out.page
    page.goto(signed_out.url)
    dialog = page.get_by_role("dialog", name="Sign in to Atelier")
    expect(dialog).to_be_visible()
    page.keyboard.press("Escape")
    expect(dialog).to_be_visible()
    submit_key(signed_out, "wrong")
    expect(signed_out.alert("The API key is not valid")).to_be_visible()
    submit_key(signed_out, KEYS["ann"])
    expect(dialog).to_be_hidden()
    expect(page.locator("#user")).to_contain_text("ann")
    signed_out.open_tab("classify")
    page.reload()
    expect(page.locator("#user")).to_contain_text("ann")
    expect(dialog).to_be_hidden()
    page.get_by_role("button", name="Sign out").click()
    expect(dialog).to_be_visible()
    assert page.evaluate("localStorage.length") == 0
    assert KEYS["ann"] not in page.url
    assert page.evaluate("document.cookie") == ""


def test_request_continues_after_the_session_expires_and_is_renewed(signed_out: Visit) -> None:
    page = signed_out.page
    page.goto(signed_out.url)
    submit_key(signed_out, KEYS["ann"])
    signed_out.open_tab("classify")
    page.context.clear_cookies()
    page.locator("#classify-upload input[type=file]").set_input_files(photo())
    submit_key(signed_out, KEYS["ann"])
    expect(page.locator(".top-result")).to_be_visible()


def test_users_see_only_their_own_paintings(
    browser: Browser, keyed: Service, signed_out: Visit
) -> None:
    page = signed_out.page
    page.goto(signed_out.url)
    submit_key(signed_out, KEYS["ann"])
    signed_out.start_painting()
    expect(signed_out.title).to_have_text(re.compile("^Painting "))
    expect(signed_out.slider).to_be_visible(timeout=PAINTING_MS)
    headers = {"Authorization": f"Bearer {KEYS['ann']}"}
    (job,) = http_client.get(f"{keyed.url}/jobs", headers=headers).json()["jobs"]
    with visiting(browser, keyed.url) as other:
        other.allow_console_errors(UNAUTHORIZED, "404 (Not Found)")
        other.page.goto(other.url)
        submit_key(other, KEYS["bob"])
        other.open_tab("stylize")
        expect(other.page.locator("#gallery img")).to_have_count(0)
        other.page.goto(f"{other.url}/#stylize/{job['id']}")
        expect(other.alert("The job does not exist")).to_be_visible()


def test_rate_limit_shows_a_message_with_the_waiting_time(
    browser: Browser, tmp_path_factory: pytest.TempPathFactory
) -> None:
    folder = tmp_path_factory.mktemp("rate-limited")
    with (
        running_service(folder, max_pixels_per_minute=1000) as service,
        visiting(browser, service.url) as visit,
    ):
        visit.allow_console_errors("429 (Too Many Requests)")
        visit.open_tab("classify")
        chooser = visit.page.locator("#classify-upload input[type=file]")
        chooser.set_input_files(photo())
        expect(visit.page.locator(".top-result")).to_be_visible()
        chooser.set_input_files(photo(1))
        expect(visit.alert(re.compile("within a minute.*Try again in"))).to_be_visible()
