"""The page of a service with keys."""

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
REFUSED = "401 (Unauthorized)"  # as the console has it


@pytest.fixture(scope="module")
def keyed(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Service]:
    folder = tmp_path_factory.mktemp("keyed")
    with running_service(folder, **QUICK, api_keys=API_KEYS) as service:
        wait_until(service.is_measured)
        yield service


@pytest.fixture
def stranger(browser: Browser, keyed: Service) -> Iterator[Visit]:
    with visiting(browser, keyed.url) as opened:
        opened.foresee(REFUSED)
        yield opened


def give_key(visit: Visit, key: str) -> None:
    visit.page.get_by_label("Key").fill(key)
    visit.page.get_by_role("button", name="Enter").click()


def test_a_key_opens_the_page_and_a_reload_keeps_it_open(stranger: Visit) -> None:
    page = stranger.page
    page.goto(stranger.url)
    dialog = page.get_by_role("dialog", name="This Atelier is kept locked")
    expect(dialog).to_be_visible()
    page.keyboard.press("Escape")
    expect(dialog).to_be_visible()
    give_key(stranger, "wrong")
    expect(stranger.alert("not one of the service's")).to_be_visible()
    give_key(stranger, KEYS["ann"])
    expect(dialog).to_be_hidden()
    expect(page.locator("#visitor")).to_contain_text("ann")
    stranger.enter("classify")
    page.reload()
    expect(page.locator("#visitor")).to_contain_text("ann")
    expect(dialog).to_be_hidden()
    page.get_by_role("button", name="Leave").click()
    expect(dialog).to_be_visible()
    assert page.evaluate("localStorage.length") == 0
    assert KEYS["ann"] not in page.url
    assert page.evaluate("document.cookie") == ""


def test_a_session_that_ends_costs_nothing(stranger: Visit) -> None:
    page = stranger.page
    page.goto(stranger.url)
    give_key(stranger, KEYS["ann"])
    stranger.enter("classify")
    page.context.clear_cookies()
    page.locator("#classify-picture input[type=file]").set_input_files(photo())
    give_key(stranger, KEYS["ann"])
    expect(page.locator(".verdict")).to_be_visible()


def test_everybody_sees_their_own_paintings(
    browser: Browser, keyed: Service, stranger: Visit
) -> None:
    page = stranger.page
    page.goto(stranger.url)
    give_key(stranger, KEYS["ann"])
    stranger.paint()
    expect(stranger.title).to_have_text(re.compile("Painted|painting|Finished", re.IGNORECASE))
    expect(stranger.slider).to_be_visible(timeout=PAINTING_MS)
    headers = {"Authorization": f"Bearer {KEYS['ann']}"}
    (job,) = http_client.get(f"{keyed.url}/jobs", headers=headers).json()["jobs"]
    with visiting(browser, keyed.url) as other:
        other.foresee(REFUSED, "404 (Not Found)")
        other.page.goto(other.url)
        give_key(other, KEYS["bob"])
        other.enter("stylize")
        expect(other.page.locator("#gallery img")).to_have_count(0)
        other.page.goto(f"{other.url}/#stylize/{job['id']}")
        expect(other.alert("not there any more")).to_be_visible()


def test_too_much_in_a_minute_is_said_in_words(
    browser: Browser, tmp_path_factory: pytest.TempPathFactory
) -> None:
    folder = tmp_path_factory.mktemp("hurried")
    with (
        running_service(folder, max_pixels_per_minute=1000) as service,
        visiting(browser, service.url) as visit,
    ):
        visit.foresee("429 (Too Many Requests)")
        visit.enter("classify")
        chooser = visit.page.locator("#classify-picture input[type=file]")
        chooser.set_input_files(photo())
        expect(visit.page.locator(".verdict")).to_be_visible()
        chooser.set_input_files(photo(1))
        expect(visit.alert(re.compile("in a minute.*Try again in"))).to_be_visible()
