"""The room where photographs are painted, with a real worker."""

import io
import os
import re
import signal

import pytest
from PIL import Image
from playwright.sync_api import Browser, FilePayload, Locator, Page, Route, expect

from tests import http_client
from tests.e2e.visit import LONG_PX, PAINTING_MS, Visit, photo, visiting
from tests.service import Service

pytestmark = pytest.mark.e2e

BROKEN: FilePayload = {
    "name": "broken.tiff",
    "mimeType": "image/tiff",
    "buffer": b"II*\0not really",  # browsers cannot tell
}
HOSTILE = "<img src=x onerror=alert(1)>.png"


def away(visit: Visit) -> Locator:
    return visit.page.locator("#easel-away")


def share_done(page: Page) -> float:
    value = page.locator("#easel-progress").evaluate("(bar) => bar.position")
    assert isinstance(value, int | float)
    return value


def test_a_photograph_is_painted_to_the_end_with_previews_seen(visit: Visit) -> None:
    visit.enter("stylize")
    visit.choose_photo()
    visit.set_painting(128, "standard")
    visit.page.get_by_role("radio", name="Mosaic").check()
    expect(visit.page.locator("#estimate")).to_have_text(
        re.compile("About .* for 128 \u00d7 85 px")
    )
    seen: list[str] = []
    visit.page.on("response", lambda answer: seen.append(answer.url))
    visit.page.get_by_role("button", name="Paint it").click()
    expect(visit.first_picture).to_be_visible(timeout=PAINTING_MS)
    expect(visit.page.locator("#easel-left")).to_contain_text("left")
    expect(visit.title).to_have_text("Painted", timeout=PAINTING_MS)
    assert sum("/preview?version=" in url for url in seen) >= 2
    expect(visit.page.locator("#easel-facts")).to_contain_text("Mosaic · 128 \u00d7 85 px")


def test_the_result_is_compared_and_downloaded(visit: Visit) -> None:
    visit.paint()
    expect(visit.slider).to_have_value("50", timeout=PAINTING_MS)
    visit.slider.focus()
    visit.page.keyboard.press("ArrowRight")
    expect(visit.slider).to_have_value("51")
    visit.page.keyboard.press("Home")
    expect(visit.slider).to_have_attribute("aria-valuetext", "100 % painting")
    box = visit.page.locator(".slider").bounding_box()
    assert box is not None
    middle = box["y"] + box["height"] / 2
    visit.page.mouse.move(box["x"] + 1, middle)
    visit.page.mouse.down()
    visit.page.mouse.move(box["x"] + box["width"] * 0.75, middle, steps=5)
    visit.page.mouse.up()
    expect(visit.slider).to_have_value("75")
    with visit.page.expect_download() as downloading:
        visit.page.get_by_role("link", name="Download").click()
    assert downloading.value.suggested_filename.endswith(".png")
    with Image.open(io.BytesIO(downloading.value.path().read_bytes())) as painted:
        assert painted.size == (64, 43)


def test_good_enough_makes_the_present_picture_the_result(visit: Visit) -> None:
    visit.begin_long()
    visit.page.get_by_role("button", name="Good enough").click()
    expect(visit.title).to_have_text("Painted", timeout=PAINTING_MS)
    expect(visit.slider).to_be_visible()


def test_cancel_ends_a_painting_without_a_result(visit: Visit) -> None:
    visit.begin_long()
    visit.cancel()
    expect(visit.title).to_have_text("Cancelled", timeout=PAINTING_MS)
    expect(visit.page.get_by_role("link", name="Download")).to_have_count(0)
    visit.page.get_by_role("link", name="New painting").click()
    expect(visit.page.get_by_role("button", name="Paint it")).to_be_visible()
    expect(visit.page.get_by_role("heading", name="Paint a photograph")).to_be_focused()


def test_a_reload_in_mid_job_finds_it_again(visit: Visit) -> None:
    visit.begin_long()
    done = share_done(visit.page)
    visit.page.reload()
    expect(visit.first_picture).to_be_visible(timeout=PAINTING_MS)
    assert share_done(visit.page) >= done
    visit.page.get_by_role("button", name="Good enough").click()
    expect(visit.slider).to_be_visible(timeout=PAINTING_MS)  # the photograph is still there
    visit.page.get_by_role("link", name="New painting").click()
    expect(visit.page.locator("#size")).to_have_value(str(LONG_PX))  # and what was typed
    expect(visit.page.locator("#photo .drop-picture")).to_be_visible()


def test_the_gallery_survives_a_reload_and_forgets_what_is_deleted(visit: Visit) -> None:
    visit.paint()
    expect(visit.title).to_have_text("Painted", timeout=PAINTING_MS)
    job = visit.page.url.rpartition("/")[2]
    visit.page.get_by_role("link", name="New painting").click()
    visit.page.reload()
    tile = visit.page.locator(".tile").filter(has=visit.page.locator(f"a[href$='{job}']"))
    tile.get_by_role("link").click()
    expect(visit.slider).to_be_visible()
    tile.get_by_role("button", name="Delete").click()
    expect(tile).to_have_count(0)
    expect(visit.page.get_by_role("button", name="Paint it")).to_be_visible()
    expect(visit.page.locator("#title-stylize")).to_be_focused()
    visit.foresee("status of 404")
    visit.page.goto(f"{visit.url}/#stylize/{job}")
    expect(visit.alert("This job is not there any more")).to_be_visible()


def test_going_on_makes_a_larger_painting(visit: Visit) -> None:
    visit.paint()
    expect(visit.title).to_have_text("Painted", timeout=PAINTING_MS)
    first = visit.page.url
    visit.page.locator("#go-on select").select_option("96")
    visit.page.get_by_role("button", name="Go on from here").click()
    expect(visit.page).not_to_have_url(first)
    expect(visit.page.locator("#easel-facts")).to_contain_text("96 \u00d7 64 px")
    expect(visit.slider).to_be_visible(timeout=PAINTING_MS)


def test_paintings_of_ones_own_are_blended_and_their_names_stay_text(visit: Visit) -> None:
    visit.enter("stylize")
    visit.choose_photo()
    visit.set_painting()
    paintings = [photo(1) | {"name": HOSTILE}, photo(2) | {"name": "other.jpg"}]
    visit.page.locator("#style-files").set_input_files(paintings)
    expect(visit.page.get_by_text(HOSTILE)).to_be_visible()
    expect(visit.page.get_by_role("checkbox", name="Blend several")).to_be_checked()
    expect(visit.page.locator(".style input:checked")).to_have_count(2)
    visit.page.get_by_role("button", name="Paint it").click()
    expect(visit.page.locator("#easel-facts")).to_contain_text(f"{HOSTILE} + other.jpg")
    expect(visit.title).to_have_text("Painted", timeout=PAINTING_MS)


def test_a_painting_of_ones_own_is_taken_out_again(visit: Visit) -> None:
    visit.enter("stylize")
    expect(visit.page.get_by_role("radio", name="Brushwork")).to_be_checked()
    visit.page.locator("#style-files").set_input_files(photo(1) | {"name": "own.jpg"})
    own = visit.page.get_by_role("radio", name="own.jpg")
    expect(own).to_be_checked()
    visit.page.get_by_role("button", name="Remove own.jpg").click()
    expect(own).to_have_count(0)
    expect(visit.page.locator("#style-files")).to_be_focused()
    expect(visit.page.locator(".style input:checked")).to_have_count(1)


def test_a_broken_picture_is_said_at_its_place(visit: Visit) -> None:
    visit.foresee("status of 422")
    visit.enter("stylize")
    visit.set_painting()
    visit.page.locator("#photo input[type=file]").set_input_files(BROKEN)
    expect(visit.page.locator("#photo")).to_contain_text("broken.tiff")
    visit.page.get_by_role("button", name="Paint it").click()
    said = visit.page.locator("#photo").get_by_role("alert")
    expect(said).to_contain_text("The picture is damaged")
    expect(said).to_be_in_viewport()
    visit.choose_photo()
    expect(said).to_be_hidden()
    visit.page.locator("#style-files").set_input_files(BROKEN)
    visit.page.get_by_role("button", name="Paint it").click()
    expect(visit.page.locator("#styles").get_by_role("alert")).to_contain_text(
        "The picture is damaged"
    )
    expect(said).to_be_hidden()


def test_a_painting_that_cannot_be_one_is_said_at_once(visit: Visit) -> None:
    visit.enter("stylize")
    visit.page.locator("#style-files").set_input_files(BROKEN | {"buffer": b"text"})
    expect(visit.page.locator("#styles").get_by_role("alert")).to_contain_text(
        "“broken.tiff” is not a picture"
    )


def test_the_largest_size_is_the_one_of_the_host(narrow_visit: Visit) -> None:
    narrow_visit.enter("stylize")
    expect(narrow_visit.page.locator("#size")).to_have_attribute("max", "320")
    expect(narrow_visit.page.locator("#size-value")).to_have_text("320 px")


def test_a_painting_that_was_made_elsewhere_is_shown_without_its_photograph(
    visit: Visit, browser: Browser
) -> None:
    visit.paint()
    expect(visit.title).to_have_text("Painted", timeout=PAINTING_MS)
    with visiting(browser, visit.url) as other:
        other.page.goto(visit.page.url)
        expect(other.page.get_by_role("img", name="The painting", exact=True)).to_be_visible()
        expect(other.slider).to_have_count(0)


def test_older_paintings_are_shown_when_asked_for(visit: Visit, browser: Browser) -> None:
    for seed in (1, 2):
        visit.paint(seed=seed)
        expect(visit.title).to_have_text("Painted", timeout=PAINTING_MS)
    with visiting(browser, visit.url) as other:
        other.page.route("**/jobs?*", _one_at_a_time)
        other.enter("stylize")
        expect(other.page.locator(".tile")).to_have_count(1)
        other.page.get_by_role("button", name="Show older ones").click()
        expect(other.page.locator(".tile")).to_have_count(2)


def test_one_or_several_built_in_styles_are_chosen(visit: Visit) -> None:
    visit.enter("stylize")
    visit.page.get_by_role("radio", name="Mosaic").check()
    visit.page.get_by_role("radio", name="Woodcut").check()
    expect(visit.page.locator(".style input:checked")).to_have_count(1)
    visit.page.get_by_role("checkbox", name="Blend several").check()
    visit.page.get_by_role("checkbox", name="Mosaic").check()
    visit.page.reload()
    expect(visit.page.get_by_role("checkbox", name="Mosaic")).to_be_checked()
    expect(visit.page.get_by_role("checkbox", name="Woodcut")).to_be_checked()


def test_without_a_photograph_it_says_what_is_missing(visit: Visit) -> None:
    visit.enter("stylize")
    visit.page.get_by_role("button", name="Paint it").click()
    expect(visit.page.locator("#photo").get_by_role("alert")).to_have_text(
        "Choose a photograph first."
    )


def test_a_size_that_is_too_large_is_said_before_the_start(visit: Visit) -> None:
    visit.foresee("status of 422")
    visit.enter("stylize")
    visit.page.locator("#photo input[type=file]").set_input_files(
        {"name": "long.png", "mimeType": "image/png", "buffer": _long_picture()}
    )
    expect(visit.page.locator("#estimate")).to_contain_text("8 times as long as wide")


def test_a_full_queue_is_said_and_nothing_is_lost(browser: Browser, narrow: Service) -> None:
    with visiting(browser, narrow.url) as visit:
        visit.foresee("status of 429")
        visit.paint()
        expect(visit.title).to_have_text("Waiting its turn")
        visit.page.get_by_role("link", name="Stylize").click()
        visit.set_painting(192, "high")
        visit.page.get_by_role("button", name="Paint it").click()
        alert = visit.alert("Too many jobs are waiting already. Try again in 30 s.")
        expect(alert).to_be_visible()
        expect(visit.page.locator("#size")).to_have_value("192")
        expect(visit.page.locator("#photo .drop-picture")).to_be_visible()
        alert.get_by_role("button", name="Try again").click()
        expect(alert).to_be_visible()
        visit.page.locator(".tile a").click()
        visit.cancel()
        expect(visit.title).to_have_text("Cancelled")


def test_a_lost_connection_is_said_and_mends_itself(visit: Visit) -> None:
    visit.foresee("ERR_INTERNET_DISCONNECTED", "ERR_NETWORK_CHANGED")
    visit.begin_long()
    visit.page.context.set_offline(True)
    expect(away(visit)).to_be_visible()
    visit.page.context.set_offline(False)
    expect(away(visit)).to_be_hidden()
    visit.page.get_by_role("button", name="Good enough").click()
    expect(visit.title).to_have_text("Painted", timeout=PAINTING_MS)


def test_cancel_is_sent_once_the_connection_is_back(visit: Visit) -> None:
    visit.foresee("ERR_INTERNET_DISCONNECTED", "ERR_NETWORK_CHANGED")
    visit.begin_long()
    visit.page.context.set_offline(True)
    visit.cancel()
    expect(visit.page.get_by_role("button", name="Cancelling…")).to_be_disabled()
    expect(away(visit)).to_be_visible()
    visit.page.context.set_offline(False)
    expect(visit.title).to_have_text("Cancelled", timeout=PAINTING_MS)
    expect(visit.title).to_be_focused()


def test_who_comes_back_finds_what_is_being_painted(visit: Visit) -> None:
    visit.begin_long()
    job = visit.page.url
    visit.page.get_by_role("link", name="Classify").click()
    visit.page.get_by_role("link", name="Stylize").click()
    under_way = visit.page.locator("#stylize-under-way")
    expect(under_way).to_contain_text("left")
    under_way.get_by_role("link", name="Being painted").click()
    expect(visit.page).to_have_url(job)
    visit.cancel()
    expect(visit.title).to_have_text("Cancelled", timeout=PAINTING_MS)
    visit.page.get_by_role("link", name="New painting").click()
    expect(visit.page.locator("#start")).to_be_visible()
    expect(under_way).to_be_hidden()


def test_a_web_process_that_dies_is_waited_for(visit: Visit, atelier: Service) -> None:
    visit.foresee("ERR_", "status of 503")
    visit.begin_long()
    web = atelier.web_pid()
    assert web is not None
    os.kill(web, signal.SIGKILL)
    expect(away(visit)).to_be_visible()
    expect(away(visit)).to_be_hidden(timeout=PAINTING_MS)
    visit.page.get_by_role("button", name="Good enough").click()
    expect(visit.title).to_have_text("Painted", timeout=PAINTING_MS)


def test_an_answer_that_is_lost_does_not_make_two_jobs(visit: Visit) -> None:
    visit.foresee("ERR_")
    keys: list[str | None] = []

    def lose_the_first(route: Route) -> None:
        keys.append(route.request.headers.get("idempotency-key"))
        if len(keys) > 1:
            route.continue_()
            return
        route.fetch()
        route.abort("connectionreset")

    before = _newest(visit)
    visit.page.route("**/stylize", lose_the_first)
    visit.paint()
    expect(visit.title).to_have_text("Painted", timeout=PAINTING_MS)
    assert len(keys) == 2
    assert keys[0] == keys[1]
    here = visit.page.url.rpartition("/")[2]
    assert _newest(visit) == [here, *before][:2]


def _newest(visit: Visit) -> list[str]:
    """Ids of the last two paintings."""
    jobs = http_client.get(f"{visit.url}/jobs?kind=stylize&limit=2").json()["jobs"]
    return [job["id"] for job in jobs]


def _one_at_a_time(route: Route) -> None:
    route.continue_(url=route.request.url.replace("limit=24", "limit=1"))


def _long_picture() -> bytes:
    buffer = io.BytesIO()
    Image.new("RGB", (900, 100), "teal").save(buffer, "PNG")
    return buffer.getvalue()
