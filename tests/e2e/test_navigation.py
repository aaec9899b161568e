"""Navigation between the tabs, and files dropped into them."""

import json

import pytest
from playwright.sync_api import expect

from tests.e2e.visit import Visit, drop, photo

pytestmark = pytest.mark.e2e


def test_back_button_returns_to_the_previous_tab(visit: Visit) -> None:
    visit.page.goto(visit.url)
    expect(visit.page.get_by_role("heading", name="Classify an image")).to_be_visible()
    visit.page.get_by_role("link", name="Stylize").click()
    expect(visit.page.get_by_role("heading", name="Turn a photo into a painting")).to_be_visible()
    visit.page.go_back()
    expect(visit.page.get_by_role("heading", name="Classify an image")).to_be_visible()


def test_unknown_saved_tab_is_ignored(visit: Visit) -> None:
    visit.page.goto(visit.url)
    visit.page.evaluate("(tab) => localStorage.setItem('atelier.room', tab)", json.dumps("unknown"))
    visit.page.goto("about:blank")
    visit.page.goto(visit.url)
    expect(visit.page.get_by_role("heading", name="Classify an image")).to_be_visible()


def test_dropped_files_are_used_or_refused_with_a_message(visit: Visit) -> None:
    visit.open_tab("classify")
    zone = visit.page.locator("#classify-upload .drop-zone")
    drop(zone, {"name": "dropped.png", "mimeType": "image/png", "buffer": b"x"})
    expect(visit.alert("“dropped.png” is not an image")).to_be_visible()
    drop(zone, photo())
    expect(visit.page.locator(".top-result")).to_be_visible()
    expect(visit.alert("is not an image")).to_be_hidden()


def test_first_of_several_photos_is_used_with_a_message(visit: Visit) -> None:
    visit.open_tab("stylize")
    drop(visit.page.locator("#photo .drop-zone"), photo(1) | {"name": "first.jpg"}, photo(2))
    expect(visit.alert("“first.jpg” is used. The other files are ignored.")).to_be_visible()
    expect(visit.page.get_by_role("img", name="first.jpg")).to_be_visible()


def test_seed_out_of_range_opens_the_collapsed_options(visit: Visit) -> None:
    visit.open_tab("stylize")
    visit.choose_photo()
    visit.page.get_by_text("Advanced options", exact=True).click()
    visit.page.get_by_label("Seed").fill("-3")
    visit.page.get_by_text("Advanced options", exact=True).click()
    expect(visit.page.get_by_label("Seed")).to_be_hidden()
    visit.page.get_by_role("button", name="Stylize photo").click()
    expect(visit.page.get_by_label("Seed")).to_be_visible()


def test_estimate_without_a_worker_says_so(limited_visit: Visit) -> None:
    limited_visit.open_tab("stylize")
    expect(limited_visit.page.locator("#estimate")).to_contain_text("No worker is running")


def test_submitted_painting_does_not_open_after_a_change_of_tab(visit: Visit) -> None:
    visit.open_tab("stylize")
    visit.choose_photo()
    visit.set_options()
    with visit.page.expect_response("**/stylize"):
        visit.page.get_by_role("button", name="Stylize photo").click()
        visit.page.get_by_role("link", name="Evaluate").click()
    expect(visit.page.locator("#stylize-button")).to_have_text("Stylize photo")
    expect(
        visit.page.get_by_role("heading", name="Evaluate a model on your images")
    ).to_be_visible()
