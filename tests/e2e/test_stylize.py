"""The Stylize tab, with a real worker."""

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
    "buffer": b"II*\0not really",  # browsers cannot decode TIFF
}
HOSTILE = "<img src=x onerror=alert(1)>.png"


def disconnected(visit: Visit) -> Locator:
    return visit.page.locator("#painting-disconnected")


def progress_of(page: Page) -> float:
    value = page.locator("#painting-progress").evaluate("(bar) => bar.position")
    assert isinstance(value, int | float)
    return value


def test_painting_shows_previews_and_finishes(visit: Visit) -> None:
    visit.open_tab("stylize")
    visit.choose_photo()
    visit.set_options(128, "standard")
    visit.page.get_by_role("radio", name="Mosaic").check()
    expect(visit.page.locator("#estimate")).to_have_text(
        re.compile("About .* for 128 \u00d7 85 px")
    )
    seen: list[str] = []
    visit.page.on("response", lambda answer: seen.append(answer.url))
    visit.page.get_by_role("button", name="Stylize photo").click()
    expect(visit.preview).to_be_visible(timeout=PAINTING_MS)
    expect(visit.page.locator("#painting-status")).to_contain_text("left")
    expect(visit.title).to_have_text("Painting finished", timeout=PAINTING_MS)
    assert sum("/preview?version=" in url for url in seen) >= 2
    expect(visit.page.locator("#painting-facts")).to_contain_text("Mosaic · 128 \u00d7 85 px")


def test_result_is_compared_with_the_photo_and_downloaded(visit: Visit) -> None:
    visit.start_painting()
    expect(visit.slider).to_have_value("50", timeout=PAINTING_MS)
    visit.slider.focus()
    visit.page.keyboard.press("ArrowRight")
    expect(visit.slider).to_have_value("51")
    visit.page.keyboard.press("Home")
    expect(visit.slider).to_have_attribute("aria-valuetext", "100% painting")
    box = visit.page.locator(".comparison").bounding_box()
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


def test_finish_now_makes_the_current_image_the_result(visit: Visit) -> None:
    visit.start_long_painting()
    visit.page.get_by_role("button", name="Finish now").click()
    expect(visit.title).to_have_text("Painting finished", timeout=PAINTING_MS)
    expect(visit.slider).to_be_visible()


def test_canceled_painting_has_no_result(visit: Visit) -> None:
    visit.start_long_painting()
    visit.cancel()
    expect(visit.title).to_have_text("Painting canceled", timeout=PAINTING_MS)
    expect(visit.page.get_by_role("link", name="Download")).to_have_count(0)
    visit.page.get_by_role("link", name="New painting").click()
    expect(visit.page.get_by_role("button", name="Stylize photo")).to_be_visible()
    expect(visit.page.get_by_role("heading", name="Turn a photo into a painting")).to_be_focused()


def test_running_painting_is_shown_after_a_reload(visit: Visit) -> None:
    visit.start_long_painting()
    done = progress_of(visit.page)
    visit.page.reload()
    expect(visit.preview).to_be_visible(timeout=PAINTING_MS)
    assert progress_of(visit.page) >= done
    visit.page.get_by_role("button", name="Finish now").click()
    expect(visit.slider).to_be_visible(timeout=PAINTING_MS)  # with the saved photo
    visit.page.get_by_role("link", name="New painting").click()
    expect(visit.page.locator("#size")).to_have_value(str(LONG_PX))  # the saved option
    expect(visit.page.locator("#photo .drop-zone-image")).to_be_visible()


def test_gallery_is_kept_after_a_reload_until_a_painting_is_deleted(visit: Visit) -> None:
    visit.start_painting()
    expect(visit.title).to_have_text("Painting finished", timeout=PAINTING_MS)
    job = visit.page.url.rpartition("/")[2]
    visit.page.get_by_role("link", name="New painting").click()
    visit.page.reload()
    tile = visit.page.locator(".tile").filter(has=visit.page.locator(f"a[href$='{job}']"))
    tile.get_by_role("link").click()
    expect(visit.slider).to_be_visible()
    tile.get_by_role("button", name="Delete").click()
    expect(tile).to_have_count(0)
    expect(visit.page.get_by_role("button", name="Stylize photo")).to_be_visible()
    expect(visit.page.locator("#stylize-title")).to_be_focused()
    visit.allow_console_errors("status of 404")
    visit.page.goto(f"{visit.url}/#stylize/{job}")
    expect(visit.alert("The job does not exist")).to_be_visible()


def test_continued_painting_is_larger(visit: Visit) -> None:
    visit.start_painting()
    expect(visit.title).to_have_text("Painting finished", timeout=PAINTING_MS)
    first = visit.page.url
    visit.page.locator("#continue select").select_option("96")
    visit.page.get_by_role("button", name="Continue painting").click()
    expect(visit.page).not_to_have_url(first)
    expect(visit.page.locator("#painting-facts")).to_contain_text("96 \u00d7 64 px")
    expect(visit.slider).to_be_visible(timeout=PAINTING_MS)


def test_own_styles_are_blended_and_their_names_are_shown_as_text(visit: Visit) -> None:
    visit.open_tab("stylize")
    visit.choose_photo()
    visit.set_options()
    paintings = [photo(1) | {"name": HOSTILE}, photo(2) | {"name": "other.jpg"}]
    visit.page.locator("#style-files").set_input_files(paintings)
    expect(visit.page.get_by_text(HOSTILE)).to_be_visible()
    expect(visit.page.get_by_role("checkbox", name="Blend styles")).to_be_checked()
    expect(visit.page.locator(".style input:checked")).to_have_count(2)
    visit.page.get_by_role("button", name="Stylize photo").click()
    expect(visit.page.locator("#painting-facts")).to_contain_text(f"{HOSTILE} + other.jpg")
    expect(visit.title).to_have_text("Painting finished", timeout=PAINTING_MS)


def test_own_style_is_removed(visit: Visit) -> None:
    visit.open_tab("stylize")
    expect(visit.page.get_by_role("radio", name="Brushwork")).to_be_checked()
    visit.page.locator("#style-files").set_input_files(photo(1) | {"name": "own.jpg"})
    own = visit.page.get_by_role("radio", name="own.jpg")
    expect(own).to_be_checked()
    visit.page.get_by_role("button", name="Remove own.jpg").click()
    expect(own).to_have_count(0)
    expect(visit.page.locator("#style-files")).to_be_focused()
    expect(visit.page.locator(".style input:checked")).to_have_count(1)


def test_damaged_image_shows_an_error_at_its_input(visit: Visit) -> None:
    visit.allow_console_errors("status of 422")
    visit.open_tab("stylize")
    visit.set_options()
    visit.page.locator("#photo input[type=file]").set_input_files(BROKEN)
    expect(visit.page.locator("#photo")).to_contain_text("broken.tiff")
    visit.page.get_by_role("button", name="Stylize photo").click()
    said = visit.page.locator("#photo").get_by_role("alert")
    expect(said).to_contain_text("The image is damaged")
    expect(said).to_be_in_viewport()
    visit.choose_photo()
    expect(said).to_be_hidden()
    visit.page.locator("#style-files").set_input_files(BROKEN)
    visit.page.get_by_role("button", name="Stylize photo").click()
    expect(visit.page.locator("#styles").get_by_role("alert")).to_contain_text(
        "The image is damaged"
    )
    expect(said).to_be_hidden()


def test_style_that_is_not_an_image_is_refused_at_once(visit: Visit) -> None:
    visit.open_tab("stylize")
    visit.page.locator("#style-files").set_input_files(BROKEN | {"buffer": b"text"})
    expect(visit.page.locator("#styles").get_by_role("alert")).to_contain_text(
        "“broken.tiff” is not an image"
    )


def test_largest_size_is_the_limit_of_the_host(limited_visit: Visit) -> None:
    limited_visit.open_tab("stylize")
    expect(limited_visit.page.locator("#size")).to_have_attribute("max", "320")
    expect(limited_visit.page.locator("#size-value")).to_have_text("320 px")


def test_painting_from_another_browser_is_shown_without_its_photo(
    visit: Visit, browser: Browser
) -> None:
    visit.start_painting()
    expect(visit.title).to_have_text("Painting finished", timeout=PAINTING_MS)
    with visiting(browser, visit.url) as other:
        other.page.goto(visit.page.url)
        expect(other.page.get_by_role("img", name="Finished painting", exact=True)).to_be_visible()
        expect(other.slider).to_have_count(0)


def test_show_older_loads_the_next_page_of_paintings(visit: Visit, browser: Browser) -> None:
    for seed in (1, 2):
        visit.start_painting(seed=seed)
        expect(visit.title).to_have_text("Painting finished", timeout=PAINTING_MS)
    with visiting(browser, visit.url) as other:
        other.page.route("**/jobs?*", _limit_page_to_one)
        other.open_tab("stylize")
        expect(other.page.locator(".tile")).to_have_count(1)
        other.page.get_by_role("button", name="Show older paintings").click()
        expect(other.page.locator(".tile")).to_have_count(2)


def test_one_or_several_built_in_styles_are_selected_and_restored(visit: Visit) -> None:
    visit.open_tab("stylize")
    visit.page.get_by_role("radio", name="Mosaic").check()
    visit.page.get_by_role("radio", name="Woodcut").check()
    expect(visit.page.locator(".style input:checked")).to_have_count(1)
    visit.page.get_by_role("checkbox", name="Blend styles").check()
    visit.page.get_by_role("checkbox", name="Mosaic").check()
    visit.page.reload()
    expect(visit.page.get_by_role("checkbox", name="Mosaic")).to_be_checked()
    expect(visit.page.get_by_role("checkbox", name="Woodcut")).to_be_checked()


def test_stylize_without_a_photo_asks_for_one(visit: Visit) -> None:
    visit.open_tab("stylize")
    visit.page.get_by_role("button", name="Stylize photo").click()
    expect(visit.page.locator("#photo").get_by_role("alert")).to_have_text("Choose a photo first.")


def test_photo_with_invalid_proportions_shows_an_error_in_the_estimate(visit: Visit) -> None:
    visit.allow_console_errors("status of 422")
    visit.open_tab("stylize")
    visit.page.locator("#photo input[type=file]").set_input_files(
        {"name": "long.png", "mimeType": "image/png", "buffer": _long_image()}
    )
    expect(visit.page.locator("#estimate")).to_contain_text("8 times as long as wide")


def test_full_queue_shows_an_error_and_keeps_the_form(browser: Browser, limited: Service) -> None:
    with visiting(browser, limited.url) as visit:
        visit.allow_console_errors("status of 429")
        visit.start_painting()
        expect(visit.title).to_have_text("Painting queued")
        visit.page.get_by_role("link", name="Stylize").click()
        visit.set_options(192, "high")
        visit.page.get_by_role("button", name="Stylize photo").click()
        alert = visit.alert("Too many jobs are queued. Try again in 30 s.")
        expect(alert).to_be_visible()
        expect(visit.page.locator("#size")).to_have_value("192")
        expect(visit.page.locator("#photo .drop-zone-image")).to_be_visible()
        alert.get_by_role("button", name="Try again").click()
        expect(alert).to_be_visible()
        visit.page.locator(".tile a").click()
        visit.cancel()
        expect(visit.title).to_have_text("Painting canceled")


def test_lost_connection_is_shown_until_it_is_back(visit: Visit) -> None:
    visit.allow_console_errors("ERR_INTERNET_DISCONNECTED", "ERR_NETWORK_CHANGED")
    visit.start_long_painting()
    visit.page.context.set_offline(True)
    expect(disconnected(visit)).to_be_visible()
    visit.page.context.set_offline(False)
    expect(disconnected(visit)).to_be_hidden()
    visit.page.get_by_role("button", name="Finish now").click()
    expect(visit.title).to_have_text("Painting finished", timeout=PAINTING_MS)


def test_cancel_is_sent_once_the_connection_is_back(visit: Visit) -> None:
    visit.allow_console_errors("ERR_INTERNET_DISCONNECTED", "ERR_NETWORK_CHANGED")
    visit.start_long_painting()
    visit.page.context.set_offline(True)
    visit.cancel()
    expect(visit.page.get_by_role("button", name="Canceling…")).to_be_disabled()
    expect(disconnected(visit)).to_be_visible()
    visit.page.context.set_offline(False)
    expect(visit.title).to_have_text("Painting canceled", timeout=PAINTING_MS)
    expect(visit.title).to_be_focused()


def test_stylize_tab_links_to_the_running_painting(visit: Visit) -> None:
    visit.start_long_painting()
    job = visit.page.url
    visit.page.get_by_role("link", name="Classify").click()
    visit.page.get_by_role("link", name="Stylize").click()
    running_job = visit.page.locator("#stylize-running")
    expect(running_job).to_contain_text("left")
    running_job.get_by_role("link", name="Painting in progress").click()
    expect(visit.page).to_have_url(job)
    visit.cancel()
    expect(visit.title).to_have_text("Painting canceled", timeout=PAINTING_MS)
    visit.page.get_by_role("link", name="New painting").click()
    expect(visit.page.locator("#stylize-button")).to_be_visible()
    expect(running_job).to_be_hidden()


def test_page_reconnects_after_the_web_process_is_killed(visit: Visit, atelier: Service) -> None:
    visit.allow_console_errors("ERR_", "status of 503")
    visit.start_long_painting()
    web = atelier.web_pid()
    assert web is not None
    os.kill(web, signal.SIGKILL)
    expect(disconnected(visit)).to_be_visible()
    expect(disconnected(visit)).to_be_hidden(timeout=PAINTING_MS)
    visit.page.get_by_role("button", name="Finish now").click()
    expect(visit.title).to_have_text("Painting finished", timeout=PAINTING_MS)


def test_lost_response_does_not_create_a_second_job(visit: Visit) -> None:
    visit.allow_console_errors("ERR_")
    keys: list[str | None] = []

    def lose_first_response(route: Route) -> None:
        keys.append(route.request.headers.get("idempotency-key"))
        if len(keys) > 1:
            route.continue_()
            return
        route.fetch()
        route.abort("connectionreset")

    before = _newest_ids(visit)
    visit.page.route("**/stylize", lose_first_response)
    visit.start_painting()
    expect(visit.title).to_have_text("Painting finished", timeout=PAINTING_MS)
    assert len(keys) == 2
    assert keys[0] == keys[1]
    here = visit.page.url.rpartition("/")[2]
    assert _newest_ids(visit) == [here, *before][:2]


def _newest_ids(visit: Visit) -> list[str]:
    """Return the ids of the newest two paintings."""
    jobs = http_client.get(f"{visit.url}/jobs?kind=stylize&limit=2").json()["jobs"]
    return [job["id"] for job in jobs]


def _limit_page_to_one(route: Route) -> None:
    route.continue_(url=route.request.url.replace("limit=24", "limit=1"))


def _long_image() -> bytes:
    buffer = io.BytesIO()
    Image.new("RGB", (900, 100), "teal").save(buffer, "PNG")
    return buffer.getvalue()
