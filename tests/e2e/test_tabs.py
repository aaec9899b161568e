"""Many tabs of one browser, which has six connections for all of them."""

import pytest
from playwright.sync_api import Page, expect

from app import web
from tests.e2e.visit import PAINTING_MS, Visit

pytestmark = pytest.mark.e2e

HIDE = """(isHidden) => {
  Object.defineProperty(document, "hidden", { get: () => isHidden, configurable: true });
  document.dispatchEvent(new Event("visibilitychange"));
}"""


def test_seven_tabs_follow_a_painting_and_another_still_gets_answers(visit: Visit) -> None:
    visit.begin_long()
    expect(visit.title).to_have_text("Being painted", timeout=PAINTING_MS)
    streams = [visit.page]
    for _ in range(6):
        streams[-1].evaluate(HIDE, True)  # as a browser does when another tab is opened
        streams.append(_following(visit))
    streams[-1].evaluate(HIDE, True)
    page = visit.page.context.new_page()
    page.goto(f"{visit.url}/#classify")
    page.get_by_role("radio", name="cifar10").check()
    page.get_by_label("A picture").last.set_input_files(web.files()["samples/ship.jpg"])
    expect(page.locator(".verdict strong")).to_have_text("ship")
    visit.page.evaluate(HIDE, False)
    visit.page.get_by_role("button", name="Good enough").click()
    expect(visit.title).to_have_text("Painted", timeout=PAINTING_MS)
    streams[3].evaluate(HIDE, False)
    expect(streams[3].locator("#easel-title")).to_have_text("Painted")


def _following(visit: Visit) -> Page:
    page = visit.page.context.new_page()
    page.goto(visit.page.url)
    expect(page.locator("#easel-title")).to_have_text("Being painted")
    return page
