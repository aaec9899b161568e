"""The room where models are put to the test, with a real worker."""

from pathlib import Path

import pytest
from playwright.sync_api import FilePayload, Locator, expect

from app import web
from tests import http_client
from tests.e2e.visit import PAINTING_MS, Visit, drop
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
    room.page.locator("#evaluate-models").get_by_role("radio", name="cifar10").check()
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
    choose(room, "mixed.zip", archive)
    evaluate(room)
    left_out = room.page.locator(".left-out")
    expect(left_out).to_contain_text("birds/: 1 file", timeout=PAINTING_MS)
    expect(left_out).to_contain_text("7/<b>broken</b>.jpg")


def test_an_archive_that_cannot_be_used_is_said_where_it_was_sent(room: Visit) -> None:
    room.foresee("status of 422")
    entries, end = DIGITS.read_bytes()[:5000], DIGITS.read_bytes()[-22:]
    choose(room, "broken.zip", entries + end)
    evaluate(room)
    expect(room.alert("The archive cannot be used")).to_be_visible()
    expect(room.page.get_by_text("broken.zip")).to_be_visible()
    room.page.locator("#archive").set_input_files(DIGITS)
    evaluate(room)
    expect(title(room)).to_have_text("The report", timeout=PAINTING_MS)


def test_without_an_archive_it_says_what_is_missing(room: Visit) -> None:
    evaluate(room)
    expect(room.alert("Choose an archive first.")).to_be_visible()


@pytest.fixture(scope="session")
def sevens(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """An archive that takes some seconds to evaluate on."""
    seven = web.files()["samples/seven.jpg"].read_bytes()
    path = tmp_path_factory.mktemp("archives") / "sevens.zip"
    path.write_bytes(zipped({f"7/{number}.jpg": seven for number in range(2000)}))
    return path


def choose(room: Visit, name: str, data: bytes) -> None:
    room.page.locator("#archive").set_input_files(
        {"name": name, "mimeType": "application/zip", "buffer": data}
    )


@pytest.mark.parametrize(
    ("data", "words"),
    [
        (b"", "is empty"),
        (b"text", "is not a zip archive"),
        (DIGITS.read_bytes()[:5000], "is not a zip archive, or not all of one"),
        (zipped({}), "is an empty archive"),
    ],
)
def test_what_is_no_archive_is_said_before_it_is_sent(room: Visit, data: bytes, words: str) -> None:
    choose(room, "a.txt", data)
    expect(room.alert(f"“a.txt” {words}")).to_be_visible()
    evaluate(room)
    expect(room.alert("Choose an archive first.")).to_be_visible()


def test_of_several_archives_the_first_is_taken_and_said_to_be(room: Visit) -> None:
    archives: list[FilePayload] = [
        {"name": name, "mimeType": "application/zip", "buffer": DIGITS.read_bytes()}
        for name in ("one.zip", "two.zip")
    ]
    drop(room.page.locator("#archive-zone"), *archives)
    expect(room.alert("“one.zip” is used; one archive is taken here.")).to_be_visible()
    expect(room.page.locator("#archive-words bdi")).to_have_text("one.zip")


def test_an_upload_is_stopped(room: Visit, sevens: Path) -> None:
    with http_client.connect(base_url=room.url) as client:
        before = client.get("/jobs?kind=evaluate&limit=1").json()["jobs"]
        network = room.page.context.new_cdp_session(room.page)
        slow = {"offline": False, "latency": 0, "downloadThroughput": -1, "uploadThroughput": 1e5}
        network.send("Network.emulateNetworkConditions", slow)
        room.page.locator("#archive").set_input_files(sevens)
        evaluate(room)
        expect(room.page.get_by_role("progressbar", name="Upload")).to_be_visible()
        room.page.get_by_role("button", name="Stop").click()
        expect(room.page.get_by_role("progressbar", name="Upload")).to_be_hidden()
        expect(room.page.get_by_role("button", name="Evaluate")).to_be_focused()
        expect(room.page.get_by_text("sevens.zip")).to_be_visible()
        assert client.get("/jobs?kind=evaluate&limit=1").json()["jobs"] == before


def test_an_evaluation_is_come_back_to_and_cancelled(room: Visit, sevens: Path) -> None:
    room.page.locator("#archive").set_input_files(sevens)
    evaluate(room)
    expect(title(room)).to_have_text("Being evaluated", timeout=PAINTING_MS)
    room.page.get_by_role("link", name="Classify").click()
    room.page.get_by_role("link", name="Evaluate").click()
    room.page.locator("#evaluate-under-way").get_by_role("link", name="Being evaluated").click()
    room.cancel()
    expect(title(room)).to_have_text("Cancelled", timeout=PAINTING_MS)
    expect(title(room)).to_be_focused()
    room.page.get_by_role("button", name="Delete").click()
    expect(room.page.get_by_role("heading", name="How good is it")).to_be_focused()


def test_an_evaluation_reports_on_what_was_seen_so_far(room: Visit, sevens: Path) -> None:
    room.page.locator("#archive").set_input_files(sevens)
    evaluate(room)
    expect(room.page.locator("#examination-left")).to_contain_text("of 2,000", timeout=PAINTING_MS)
    room.page.get_by_role("button", name="Report on what was seen").click()
    expect(title(room)).to_have_text("The report", timeout=PAINTING_MS)
    expect(room.page.locator(".headline")).to_contain_text("pictures of 2,000")
