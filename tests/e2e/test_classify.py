"""The Classify tab."""

import base64
from urllib.parse import urlsplit

import pytest
from PIL import Image
from playwright.sync_api import Browser, expect

from app import web
from tests.e2e.visit import Visit, draw, visiting
from tests.pictures import encode
from tests.service import Service

pytestmark = pytest.mark.e2e

SAMPLES = web.files()
SEVEN = [[(0.3, 0.25), (0.7, 0.25), (0.5, 0.55), (0.42, 0.82)]]
ONE = [[(0.5, 0.2), (0.5, 0.8)]]

PASTE = """(file) => {
    const transfer = new DataTransfer();
    const bytes = Uint8Array.from(atob(file), (letter) => letter.charCodeAt(0));
    transfer.items.add(new File([bytes], "pasted.jpg", { type: "image/jpeg" }));
    const event = { clipboardData: transfer, bubbles: true, cancelable: true };
    document.body.dispatchEvent(new ClipboardEvent("paste", event));
}"""


@pytest.fixture
def tab(visit: Visit) -> Visit:
    visit.open_tab("classify")
    visit.page.get_by_role("radio", name="cifar10").check()
    return visit


def expect_top_result(visit: Visit, label: str) -> None:
    expect(visit.page.locator(".top-result strong")).to_have_text(label)


def test_uploaded_image_gets_a_bar_chart_of_predictions(tab: Visit) -> None:
    tab.page.get_by_label("Choose an image").set_input_files(SAMPLES["samples/ship.jpg"])
    expect_top_result(tab, "ship")
    bars = tab.page.locator("#classify-results .bars li")
    expect(bars).to_have_count(5)
    expect(bars.first).to_contain_text("100%")
    widths = [
        bar.evaluate("(bar) => parseFloat(getComputedStyle(bar, '::before').width)")
        for bar in tab.page.locator("#classify-results .bar").all()
    ]
    assert widths[0] > 10 * widths[1]


def test_several_images_get_one_result_each(tab: Visit) -> None:
    files = [SAMPLES["samples/ship.jpg"], SAMPLES["samples/cat.jpg"]]
    tab.page.get_by_label("Choose an image").set_input_files(files)
    expect(tab.page.locator(".result-card .top-result strong")).to_have_text(["ship", "cat"])


def test_model_change_classifies_the_same_image_again(tab: Visit) -> None:
    tab.page.get_by_label("Choose an image").set_input_files(SAMPLES["samples/seven.jpg"])
    expect(tab.page.locator(".top-result")).to_be_visible()
    tab.page.get_by_role("radio", name="mnist").check()
    expect_top_result(tab, "7")


def test_sample_selects_the_model_for_its_class(tab: Visit) -> None:
    for sample, model, label in (
        ("Handwritten seven", "mnist", "7"),
        ("Ship", "cifar10", "ship"),
        ("Cat", "cifar10", "cat"),  # the service has no catdog
    ):
        tab.page.get_by_role("button", name=f"Try a sample: {sample}").click()
        expect_top_result(tab, label)
        expect(tab.page.get_by_role("radio", name=model)).to_be_checked()


def test_result_is_scrolled_into_view_on_a_phone(browser: Browser, atelier: Service) -> None:
    phone = {"width": 390, "height": 640}
    with visiting(browser, atelier.url, viewport=phone, has_touch=True) as visit:
        visit.open_tab("classify")
        visit.page.get_by_label("Choose an image").set_input_files(SAMPLES["samples/ship.jpg"])
        expect(visit.page.locator(".top-result")).to_be_in_viewport()
        several = [SAMPLES["samples/ship.jpg"], SAMPLES["samples/cat.jpg"]]
        visit.page.evaluate("scrollTo(0, 0)")
        visit.page.get_by_label("Choose an image").set_input_files(several)
        expect(visit.page.locator(".result-card").first).to_be_in_viewport()


def test_drawn_digit_is_classified_cleared_and_undone(tab: Visit) -> None:
    tab.page.get_by_text("Draw a digit").click()
    draw(tab.page, SEVEN)
    expect_top_result(tab, "7")
    tab.page.get_by_role("button", name="Clear").click()
    expect(tab.page.locator(".top-result")).to_have_count(0)
    draw(tab.page, ONE)
    expect_top_result(tab, "1")
    tab.page.get_by_role("button", name="Undo").click()
    expect(tab.page.get_by_role("button", name="Undo")).to_be_disabled()


def test_pasted_image_is_classified(tab: Visit) -> None:
    tab.page.evaluate(PASTE, base64.b64encode(SAMPLES["samples/ship.jpg"].read_bytes()).decode())
    expect_top_result(tab, "ship")


def test_camera_photo_is_classified(tab: Visit) -> None:
    tab.page.locator("#classify-upload").get_by_role("button", name="Use the camera").click()
    expect(tab.page.get_by_role("dialog", name="Camera")).to_be_visible()
    tab.page.get_by_role("button", name="Take photo").click()
    expect(tab.page.locator(".top-result")).to_be_visible()
    expect(tab.page.get_by_role("dialog")).to_have_count(0)


def test_blocked_camera_shows_an_error_message(tab: Visit) -> None:
    tab.page.evaluate(
        "() => { navigator.mediaDevices.getUserMedia = () =>"
        " Promise.reject(new DOMException('no', 'NotAllowedError')); }"
    )
    tab.page.locator("#classify-upload").get_by_role("button", name="Use the camera").click()
    expect(tab.alert("The browser blocks the camera")).to_be_visible()


def test_model_chooser_shows_test_results(tab: Visit) -> None:
    details = tab.page.locator("#classify-models")
    expect(details.locator(".model").filter(has_text="cifar10")).to_contain_text("84.2%")
    details.get_by_text("Test results of cifar10").click()
    expect(details).to_contain_text("Accuracy: 84.23% on 10,000 test images")
    expect(details.locator(".bars li")).to_have_count(10)
    expect(details.locator(".facts")).to_contain_text("541,094")


def test_missing_model_is_disabled_with_the_reason(tab: Visit) -> None:
    expect(tab.page.get_by_role("radio", name="catdog").first).to_be_disabled()
    expect(tab.page.locator("#classify-models .model").last).to_contain_text(
        "There is no catdog.json"
    )


def test_non_image_shows_an_error_at_the_input_and_keeps_the_result(tab: Visit) -> None:
    tab.page.get_by_label("Choose an image").set_input_files(SAMPLES["samples/ship.jpg"])
    expect_top_result(tab, "ship")
    tab.page.get_by_label("Choose an image").set_input_files(
        {"name": "<b>notes</b>.txt", "mimeType": "text/plain", "buffer": b"no picture"}
    )
    alert = tab.page.locator("#classify-upload").get_by_role("alert")
    expect(alert).to_contain_text("“<b>notes</b>.txt” is not an image")
    expect_top_result(tab, "ship")  # of the previous image


def test_image_error_of_the_service_is_shown_with_the_results(tab: Visit) -> None:
    tab.allow_console_errors("status of 422")
    tab.page.get_by_label("Choose an image").set_input_files(
        {"name": "scan.tiff", "mimeType": "image/tiff", "buffer": b"II*\0not really"}
    )
    expect(tab.page.locator("#classify-results").get_by_role("alert")).to_contain_text(
        "The image is damaged"
    )
    expect(tab.page.locator("#classify-upload bdi")).to_have_text("scan.tiff")


@pytest.mark.parametrize(
    ("data", "message"),
    [
        (b"", "is empty"),
        (b"text", "is not an image"),
        (SAMPLES["samples/ship.jpg"].read_bytes()[:200], "is a damaged image"),
    ],
)
def test_invalid_image_is_not_sent(tab: Visit, data: bytes, message: str) -> None:
    requested: list[str] = []
    tab.page.on("request", lambda request: requested.append(urlsplit(request.url).path))
    tab.page.get_by_label("Choose an image").set_input_files(
        {"name": "photo.jpg", "mimeType": "image/jpeg", "buffer": data}
    )
    expect(tab.alert(f"“photo.jpg” {message}")).to_be_visible()
    assert "/classify" not in requested


def test_image_over_the_size_limit_shows_the_limit(limited_visit: Visit) -> None:
    limited_visit.open_tab("classify")
    noise = Image.effect_noise((800, 800), 100)
    limited_visit.page.get_by_label("Choose an image").set_input_files(
        {"name": "noise.png", "mimeType": "image/png", "buffer": encode(noise)}
    )
    expect(limited_visit.alert("the limit is 250 kB")).to_be_visible()


def test_image_is_classified_once_the_connection_is_back(tab: Visit) -> None:
    tab.allow_console_errors("ERR_INTERNET_DISCONNECTED")
    tab.page.context.set_offline(True)
    tab.page.get_by_label("Choose an image").set_input_files(SAMPLES["samples/ship.jpg"])
    expect(tab.alert("The service cannot be reached")).to_be_visible()
    tab.page.context.set_offline(False)
    expect_top_result(tab, "ship")
