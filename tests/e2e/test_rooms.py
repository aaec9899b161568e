"""Between the rooms, and what is dropped into them."""

import json

import pytest
from playwright.sync_api import expect

from tests.e2e.visit import Visit, drop, photo

pytestmark = pytest.mark.e2e


def test_back_leads_to_the_room_before(visit: Visit) -> None:
    visit.page.goto(visit.url)
    expect(visit.page.get_by_role("heading", name="What is in the picture?")).to_be_visible()
    visit.page.get_by_role("link", name="Stylize").click()
    expect(visit.page.get_by_role("heading", name="Paint a photograph")).to_be_visible()
    visit.page.go_back()
    expect(visit.page.get_by_role("heading", name="What is in the picture?")).to_be_visible()


def test_a_room_that_is_not_there_is_forgotten(visit: Visit) -> None:
    visit.page.goto(visit.url)
    visit.page.evaluate(
        "(room) => localStorage.setItem('atelier.room', room)", json.dumps("cellar")
    )
    visit.page.goto("about:blank")
    visit.page.goto(visit.url)
    expect(visit.page.get_by_role("heading", name="What is in the picture?")).to_be_visible()


def test_what_is_dropped_is_taken_or_refused_in_words(visit: Visit) -> None:
    visit.enter("classify")
    zone = visit.page.locator("#classify-picture .drop")
    drop(zone, {"name": "dropped.png", "mimeType": "image/png", "buffer": b"x"})
    expect(visit.alert("“dropped.png” is not a picture")).to_be_visible()
    drop(zone, photo())
    expect(visit.page.locator(".verdict")).to_be_visible()
    expect(visit.alert("is not a picture")).to_be_hidden()


def test_where_one_picture_is_taken_it_is_said_which_of_several(visit: Visit) -> None:
    visit.enter("stylize")
    drop(visit.page.locator("#photo .drop"), photo(1) | {"name": "first.jpg"}, photo(2))
    expect(visit.alert("“first.jpg” is used; one picture is taken here.")).to_be_visible()
    expect(visit.page.get_by_role("img", name="first.jpg")).to_be_visible()


def test_a_seed_out_of_range_is_shown_even_if_it_is_folded_away(visit: Visit) -> None:
    visit.enter("stylize")
    visit.choose_photo()
    visit.page.get_by_text("More", exact=True).click()
    visit.page.get_by_label("Seed").fill("-3")
    visit.page.get_by_text("More", exact=True).click()
    expect(visit.page.get_by_label("Seed")).to_be_hidden()
    visit.page.get_by_role("button", name="Paint it").click()
    expect(visit.page.get_by_label("Seed")).to_be_visible()


def test_where_nobody_paints_the_page_says_so(narrow_visit: Visit) -> None:
    narrow_visit.enter("stylize")
    expect(narrow_visit.page.locator("#estimate")).to_contain_text("nobody paints on this host now")


def test_a_painting_that_is_sent_does_not_call_its_maker_back(visit: Visit) -> None:
    visit.enter("stylize")
    visit.choose_photo()
    visit.set_painting()
    with visit.page.expect_response("**/stylize"):
        visit.page.get_by_role("button", name="Paint it").click()
        visit.page.get_by_role("link", name="Evaluate").click()
    expect(visit.page.locator("#start")).to_have_text("Paint it")
    expect(
        visit.page.get_by_role("heading", name="How good is it on your pictures?")
    ).to_be_visible()
