"""The room where pictures are named."""

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
def room(visit: Visit) -> Visit:
    visit.enter("classify")
    visit.page.get_by_role("radio", name="cifar10").check()
    return visit


def expect_answer(visit: Visit, label: str) -> None:
    expect(visit.page.locator(".verdict strong")).to_have_text(label)


def test_an_uploaded_picture_is_answered_with_bars(room: Visit) -> None:
    room.page.get_by_label("A picture").last.set_input_files(SAMPLES["samples/ship.jpg"])
    expect_answer(room, "ship")
    bars = room.page.locator("#answers .bars li")
    expect(bars).to_have_count(5)
    expect(bars.first).to_contain_text("100 %")
    widths = [
        bar.evaluate("(bar) => parseFloat(getComputedStyle(bar, '::before').width)")
        for bar in room.page.locator("#answers .bar").all()
    ]
    assert widths[0] > 10 * widths[1]


def test_several_pictures_are_answered_one_by_one(room: Visit) -> None:
    files = [SAMPLES["samples/ship.jpg"], SAMPLES["samples/cat.jpg"]]
    room.page.get_by_label("A picture").last.set_input_files(files)
    expect(room.page.locator(".answer-card .verdict strong")).to_have_text(["ship", "cat"])


def test_another_model_looks_at_the_same_picture(room: Visit) -> None:
    room.page.get_by_label("A picture").last.set_input_files(SAMPLES["samples/seven.jpg"])
    expect(room.page.locator(".verdict")).to_be_visible()
    room.page.get_by_role("radio", name="mnist").check()
    expect_answer(room, "7")


def test_a_sample_is_shown_to_the_model_that_is_made_for_it(room: Visit) -> None:
    for sample, model, label in (
        ("A seven on paper", "mnist", "7"),
        ("A ship", "cifar10", "ship"),
        ("A cat", "cifar10", "cat"),  # where there is no catdog
    ):
        room.page.get_by_role("button", name=f"Try it: {sample}").click()
        expect_answer(room, label)
        expect(room.page.get_by_role("radio", name=model)).to_be_checked()


def test_on_a_phone_the_answer_comes_into_view(browser: Browser, atelier: Service) -> None:
    phone = {"width": 390, "height": 640}
    with visiting(browser, atelier.url, viewport=phone, has_touch=True) as visit:
        visit.enter("classify")
        visit.page.get_by_label("A picture").last.set_input_files(SAMPLES["samples/ship.jpg"])
        expect(visit.page.locator(".verdict")).to_be_in_viewport()
        several = [SAMPLES["samples/ship.jpg"], SAMPLES["samples/cat.jpg"]]
        visit.page.evaluate("scrollTo(0, 0)")
        visit.page.get_by_label("A picture").last.set_input_files(several)
        expect(visit.page.locator(".answer-card").first).to_be_in_viewport()


def test_a_drawn_digit_is_read_and_undone(room: Visit) -> None:
    room.page.get_by_text("Draw a digit").click()
    draw(room.page, SEVEN)
    expect_answer(room, "7")
    room.page.get_by_role("button", name="Clear").click()
    expect(room.page.locator(".verdict")).to_have_count(0)
    draw(room.page, ONE)
    expect_answer(room, "1")
    room.page.get_by_role("button", name="Undo").click()
    expect(room.page.get_by_role("button", name="Undo")).to_be_disabled()


def test_a_pasted_picture_is_taken(room: Visit) -> None:
    room.page.evaluate(PASTE, base64.b64encode(SAMPLES["samples/ship.jpg"].read_bytes()).decode())
    expect_answer(room, "ship")


def test_a_picture_is_taken_with_the_camera(room: Visit) -> None:
    room.page.locator("#classify-picture").get_by_role("button", name="Use the camera").click()
    expect(room.page.get_by_role("dialog", name="Camera")).to_be_visible()
    room.page.get_by_role("button", name="Take the picture").click()
    expect(room.page.locator(".verdict")).to_be_visible()
    expect(room.page.get_by_role("dialog")).to_have_count(0)


def test_a_camera_that_is_refused_is_said_in_words(room: Visit) -> None:
    room.page.evaluate(
        "() => { navigator.mediaDevices.getUserMedia = () =>"
        " Promise.reject(new DOMException('no', 'NotAllowedError')); }"
    )
    room.page.locator("#classify-picture").get_by_role("button", name="Use the camera").click()
    expect(room.alert("The browser may not use the camera")).to_be_visible()


def test_the_chooser_says_how_good_each_model_is(room: Visit) -> None:
    details = room.page.locator("#classify-models")
    expect(details.locator(".model").filter(has_text="cifar10")).to_contain_text("84.2 %")
    details.get_by_text("How good is cifar10?").click()
    expect(details).to_contain_text("Right on 84.23 % of 10,000 test pictures")
    expect(details.locator(".bars li")).to_have_count(10)
    expect(details.locator(".facts")).to_contain_text("541,094")


def test_a_model_that_is_missing_says_why(room: Visit) -> None:
    expect(room.page.get_by_role("radio", name="catdog").first).to_be_disabled()
    expect(room.page.locator("#classify-models .model").last).to_contain_text(
        "There is no catdog.json"
    )


def test_what_is_no_picture_is_said_where_it_was_chosen(room: Visit) -> None:
    room.page.get_by_label("A picture").last.set_input_files(SAMPLES["samples/ship.jpg"])
    expect_answer(room, "ship")
    room.page.get_by_label("A picture").last.set_input_files(
        {"name": "<b>notes</b>.txt", "mimeType": "text/plain", "buffer": b"no picture"}
    )
    alert = room.page.locator("#classify-picture").get_by_role("alert")
    expect(alert).to_contain_text("“<b>notes</b>.txt” is not a picture")
    expect_answer(room, "ship")  # what was there stays


def test_the_service_has_the_last_word_on_what_is_a_picture(room: Visit) -> None:
    room.foresee("status of 422")
    room.page.get_by_label("A picture").last.set_input_files(
        {"name": "scan.tiff", "mimeType": "image/tiff", "buffer": b"II*\0not really"}
    )
    expect(room.page.locator("#answers").get_by_role("alert")).to_contain_text(
        "The picture is damaged"
    )
    expect(room.page.locator("#classify-picture bdi")).to_have_text("scan.tiff")


@pytest.mark.parametrize(
    ("data", "words"),
    [
        (b"", "is empty"),
        (b"text", "is not a picture"),
        (SAMPLES["samples/ship.jpg"].read_bytes()[:200], "is a damaged picture"),
    ],
)
def test_what_cannot_be_a_picture_is_not_sent(room: Visit, data: bytes, words: str) -> None:
    asked: list[str] = []
    room.page.on("request", lambda request: asked.append(urlsplit(request.url).path))
    room.page.get_by_label("A picture").last.set_input_files(
        {"name": "photo.jpg", "mimeType": "image/jpeg", "buffer": data}
    )
    expect(room.alert(f"“photo.jpg” {words}")).to_be_visible()
    assert "/classify" not in asked


def test_a_picture_that_is_too_large_is_said_to_be(narrow_visit: Visit) -> None:
    narrow_visit.enter("classify")
    noise = Image.effect_noise((800, 800), 100)
    narrow_visit.page.get_by_label("A picture").last.set_input_files(
        {"name": "noise.png", "mimeType": "image/png", "buffer": encode(noise)}
    )
    expect(narrow_visit.alert("and at most 250 kB are taken")).to_be_visible()


def test_an_answer_comes_by_itself_once_the_connection_is_back(room: Visit) -> None:
    room.foresee("ERR_INTERNET_DISCONNECTED")
    room.page.context.set_offline(True)
    room.page.get_by_label("A picture").last.set_input_files(SAMPLES["samples/ship.jpg"])
    expect(room.alert("The service cannot be reached")).to_be_visible()
    room.page.context.set_offline(False)
    expect_answer(room, "ship")
