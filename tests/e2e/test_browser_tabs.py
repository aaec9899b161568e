"""Many tabs of one browser, which share six connections to a host."""

import pytest
from playwright.sync_api import Page, expect

from app import web
from tests.e2e.visit import PAINTING_MS, Visit

pytestmark = pytest.mark.e2e

HIDE = """(isHidden) => {
  Object.defineProperty(document, "hidden", { get: () => isHidden, configurable: true });
  document.dispatchEvent(new Event("visibilitychange"));
}"""


def test_classify_works_while_seven_browser_tabs_follow_a_painting(visit: Visit) -> None:
    visit.start_long_painting()
    expect(visit.title).to_have_text("Painting in progress", timeout=PAINTING_MS)
    followers = [visit.page]
    for _ in range(6):
        followers[-1].evaluate(HIDE, True)  # as when another tab is opened
        followers.append(_following(visit))
    followers[-1].evaluate(HIDE, True)
    page = visit.page.context.new_page()
    page.goto(f"{visit.url}/#classify")
    page.get_by_role("radio", name="cifar10").check()
    page.get_by_label("Choose an image").set_input_files(web.files()["samples/ship.jpg"])
    expect(page.locator(".top-result strong")).to_have_text("ship")
    visit.page.evaluate(HIDE, False)
    visit.page.get_by_role("button", name="Finish now").click()
    expect(visit.title).to_have_text("Painting finished", timeout=PAINTING_MS)
    followers[3].evaluate(HIDE, False)
    expect(followers[3].locator("#painting-title")).to_have_text("Painting finished")


def _following(visit: Visit) -> Page:
    page = visit.page.context.new_page()
    page.goto(visit.page.url)
    expect(page.locator("#painting-title")).to_have_text("Painting in progress")
    return page
