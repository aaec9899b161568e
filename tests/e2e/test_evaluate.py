"""The Evaluate tab, with a real worker."""

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
def tab(visit: Visit) -> Visit:
    visit.open_tab("evaluate")
    visit.page.locator("#evaluate-models").get_by_role("radio", name="mnist").check()
    return visit


def evaluate(tab: Visit) -> None:
    tab.page.get_by_role("button", name="Evaluate").click()


def title(tab: Visit) -> Locator:
    return tab.page.locator("#evaluation-title")


def test_archive_is_evaluated_and_the_report_is_shown(tab: Visit) -> None:
    tab.page.locator("#archive").set_input_files(DIGITS)
    evaluate(tab)
    expect(title(tab)).to_have_text("Evaluation report", timeout=PAINTING_MS)
    report = tab.page.locator("#report")
    expect(report.locator(".report-summary")).to_contain_text("accuracy")
    expect(report.locator(".report-summary")).to_contain_text("on 120 images")
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


def test_report_is_shown_after_a_reload_and_listed_as_earlier_evaluation(tab: Visit) -> None:
    tab.page.locator("#evaluate-models").get_by_role("radio", name="cifar10").check()
    tab.page.get_by_role("button", name="Try a sample of 120 digits").click()
    expect(tab.page.get_by_text("digits.zip")).to_be_visible()
    evaluate(tab)
    expect(title(tab)).to_have_text("Evaluation report", timeout=PAINTING_MS)
    tab.page.reload()
    expect(tab.page.locator(".report-summary")).to_be_visible()
    tab.page.get_by_role("link", name="New evaluation").click()
    expect(tab.page.locator("#earlier-evaluations-list li").first).to_contain_text(
        "mnist on an archive"
    )


def test_data_set_on_the_host_is_evaluated(tab: Visit) -> None:
    tab.page.get_by_label("Or choose a data set on this host").select_option("digits")
    evaluate(tab)
    expect(tab.page.locator(".report-summary")).to_contain_text("120 images", timeout=PAINTING_MS)


def test_skipped_files_are_listed_with_their_names_as_text(tab: Visit) -> None:
    png = web.files()["samples/seven.jpg"].read_bytes()
    archive = zipped({"7/a.jpg": png, "7/<b>broken</b>.jpg": b"no picture", "birds/b.jpg": png})
    choose(tab, "mixed.zip", archive)
    evaluate(tab)
    skipped_files = tab.page.locator(".skipped-files")
    expect(skipped_files).to_contain_text("birds/: 1 file", timeout=PAINTING_MS)
    expect(skipped_files).to_contain_text("7/<b>broken</b>.jpg")


def test_invalid_archive_shows_an_error_and_can_be_replaced(tab: Visit) -> None:
    tab.allow_console_errors("status of 422")
    entries, end = DIGITS.read_bytes()[:5000], DIGITS.read_bytes()[-22:]
    choose(tab, "broken.zip", entries + end)
    evaluate(tab)
    expect(tab.alert("The archive cannot be used")).to_be_visible()
    expect(tab.page.get_by_text("broken.zip")).to_be_visible()
    tab.page.locator("#archive").set_input_files(DIGITS)
    evaluate(tab)
    expect(title(tab)).to_have_text("Evaluation report", timeout=PAINTING_MS)


def test_evaluate_without_an_archive_asks_for_one(tab: Visit) -> None:
    evaluate(tab)
    expect(tab.alert("Choose an archive first.")).to_be_visible()


@pytest.fixture(scope="session")
def sevens(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Write an archive whose evaluation takes some seconds."""
    seven = web.files()["samples/seven.jpg"].read_bytes()
    path = tmp_path_factory.mktemp("archives") / "sevens.zip"
    path.write_bytes(zipped({f"7/{number}.jpg": seven for number in range(2000)}))
    return path


def choose(tab: Visit, name: str, data: bytes) -> None:
    tab.page.locator("#archive").set_input_files(
        {"name": name, "mimeType": "application/zip", "buffer": data}
    )


@pytest.mark.parametrize(
    ("data", "message"),
    [
        (b"", "is empty"),
        (b"text", "is not a zip archive"),
        (DIGITS.read_bytes()[:5000], "is not a zip archive, or it is incomplete"),
        (zipped({}), "is an empty archive"),
    ],
)
def test_invalid_archive_is_not_accepted(tab: Visit, data: bytes, message: str) -> None:
    choose(tab, "a.txt", data)
    expect(tab.alert(f"“a.txt” {message}")).to_be_visible()
    evaluate(tab)
    expect(tab.alert("Choose an archive first.")).to_be_visible()


def test_first_of_several_archives_is_used_with_a_message(tab: Visit) -> None:
    archives: list[FilePayload] = [
        {"name": name, "mimeType": "application/zip", "buffer": DIGITS.read_bytes()}
        for name in ("one.zip", "two.zip")
    ]
    drop(tab.page.locator("#archive-zone"), *archives)
    expect(tab.alert("“one.zip” is used. The other files are ignored.")).to_be_visible()
    expect(tab.page.locator("#archive-text bdi")).to_have_text("one.zip")


def test_upload_is_canceled(tab: Visit, sevens: Path) -> None:
    with http_client.connect(base_url=tab.url) as client:
        before = client.get("/jobs?kind=evaluate&limit=1").json()["jobs"]
        network = tab.page.context.new_cdp_session(tab.page)
        slow = {"offline": False, "latency": 0, "downloadThroughput": -1, "uploadThroughput": 1e5}
        network.send("Network.emulateNetworkConditions", slow)
        tab.page.locator("#archive").set_input_files(sevens)
        evaluate(tab)
        expect(tab.page.get_by_role("progressbar", name="Upload")).to_be_visible()
        tab.page.get_by_role("button", name="Cancel upload").click()
        expect(tab.page.get_by_role("progressbar", name="Upload")).to_be_hidden()
        expect(tab.page.get_by_role("button", name="Evaluate")).to_be_focused()
        expect(tab.page.get_by_text("sevens.zip")).to_be_visible()
        assert client.get("/jobs?kind=evaluate&limit=1").json()["jobs"] == before


def test_running_evaluation_is_reopened_and_canceled(tab: Visit, sevens: Path) -> None:
    tab.page.locator("#archive").set_input_files(sevens)
    evaluate(tab)
    expect(title(tab)).to_have_text("Evaluation in progress", timeout=PAINTING_MS)
    tab.page.get_by_role("link", name="Classify").click()
    tab.page.get_by_role("link", name="Evaluate").click()
    tab.page.locator("#evaluate-running").get_by_role("link", name="Evaluation in progress").click()
    tab.cancel()
    expect(title(tab)).to_have_text("Evaluation canceled", timeout=PAINTING_MS)
    expect(title(tab)).to_be_focused()
    tab.page.get_by_role("button", name="Delete").click()
    expect(tab.page.get_by_role("heading", name="Evaluate a model")).to_be_focused()


def test_evaluation_finished_early_reports_on_the_images_so_far(tab: Visit, sevens: Path) -> None:
    tab.page.locator("#archive").set_input_files(sevens)
    evaluate(tab)
    expect(tab.page.locator("#evaluation-status")).to_contain_text("of 2,000", timeout=PAINTING_MS)
    tab.page.get_by_role("button", name="Finish now").click()
    expect(title(tab)).to_have_text("Evaluation report", timeout=PAINTING_MS)
    expect(tab.page.locator(".report-summary")).to_contain_text("of 2,000 images")
