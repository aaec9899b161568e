"""The room where models are put to the test, with a real worker."""

import pytest
from playwright.sync_api import Locator, expect

from app import web
from tests.e2e.visit import PAINTING_MS, Visit
from tests.evaluation.archives import zipped

pytestmark = pytest.mark.e2e

DIGITS = web.files()["samples/digits.zip"]


@pytest.fixture
def room(visit: Visit) -> Visit:
    visit.enter("evaluate")
    visit.page.locator("#evaluate-models").get_by_role("radio", name="mnist").check()
    return visit


def evaluate(room: Visit) -> None:
    room.page.get_by_role("button", name="Evaluate").click()


def title(room: Visit) -> Locator:
    return room.page.locator("#examination-title")


def test_an_archive_is_evaluated_and_reported_on(room: Visit) -> None:
    room.page.locator("#archive").set_input_files(DIGITS)
    evaluate(room)
    expect(title(room)).to_have_text("The report", timeout=PAINTING_MS)
    report = room.page.locator("#report")
    expect(report.locator(".headline")).to_contain_text("are right")
    expect(report.locator(".headline")).to_contain_text("on 120 pictures")
    matrix = report.get_by_role("table").first
    counts = [int(cell) for cell in matrix.locator("tbody td").all_inner_texts()]
    assert len(counts) == 100
    assert sum(counts) == 120
    diagram = report.get_by_role("img", name="Reliability diagram")
    assert diagram.locator(".bin").count() > 0
    mistakes = report.locator(".mistakes img")
    assert mistakes.count() == 120 - sum(counts[:: len("0123456789") + 1])
    for mistake in mistakes.all():
        assert mistake.evaluate("(image) => image.decode().then(() => image.naturalWidth)") > 0


def test_the_report_is_there_after_a_reload_and_among_the_earlier_ones(room: Visit) -> None:
    room.page.get_by_role("button", name="Try 120 drawn digits").click()
    expect(room.page.get_by_text("digits.zip")).to_be_visible()
    evaluate(room)
    expect(title(room)).to_have_text("The report", timeout=PAINTING_MS)
    room.page.reload()
    expect(room.page.locator(".headline")).to_be_visible()
    room.page.get_by_role("link", name="Evaluate another").click()
    expect(room.page.locator("#earlier li").first).to_contain_text("mnist on an archive")


def test_a_data_set_of_the_host_is_evaluated(room: Visit) -> None:
    room.page.get_by_label("Or a data set of this host").select_option("digits")
    evaluate(room)
    expect(room.page.locator(".headline")).to_contain_text("120 pictures", timeout=PAINTING_MS)


def test_what_was_left_out_is_told_as_text(room: Visit) -> None:
    png = web.files()["samples/seven.jpg"].read_bytes()
    archive = zipped({"7/a.jpg": png, "7/<b>broken</b>.jpg": b"no picture", "birds/b.jpg": png})
    room.page.locator("#archive").set_input_files(
        {"name": "mixed.zip", "mimeType": "application/zip", "buffer": archive}
    )
    evaluate(room)
    left_out = room.page.locator(".left-out")
    expect(left_out).to_contain_text("birds/: 1 file", timeout=PAINTING_MS)
    expect(left_out).to_contain_text("7/<b>broken</b>.jpg")


def test_an_archive_that_cannot_be_used_is_said_where_it_was_sent(room: Visit) -> None:
    room.foresee("status of 422")
    room.page.locator("#archive").set_input_files(
        {"name": "broken.zip", "mimeType": "application/zip", "buffer": b"not a zip"}
    )
    evaluate(room)
    expect(room.alert("The archive cannot be used")).to_be_visible()
    expect(room.page.get_by_text("broken.zip")).to_be_visible()
    room.page.locator("#archive").set_input_files(DIGITS)
    evaluate(room)
    expect(title(room)).to_have_text("The report", timeout=PAINTING_MS)


def test_without_an_archive_it_says_what_is_missing(room: Visit) -> None:
    evaluate(room)
    expect(room.alert("Choose an archive first.")).to_be_visible()
