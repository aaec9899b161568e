"""Data in the browser storage, also when it is invalid or blocked."""

import pytest
from playwright.sync_api import expect

from tests.e2e.visit import PAINTING_MS, Visit, photo

pytestmark = pytest.mark.e2e

KEYS = [
    "room",
    "made",
    "styles",
    "settings",
    "evaluation",
    "classify.model",
    "evaluate.model",
    "stylize.begun",
    "evaluate.begun",
]
BLOCK = """() => new Promise((resolve) => {
  const request = indexedDB.open("atelier", 1);
  request.onupgradeneeded = () => request.result.createObjectStore("pictures");
  request.onsuccess = () => {
    const newer = indexedDB.open("atelier", 2); // waits for the open connection
    newer.onblocked = resolve;
  };
})"""


def test_page_works_while_another_browser_tab_blocks_the_database(visit: Visit) -> None:
    visit.page.goto(visit.url)
    blocking = visit.page.context.new_page()
    blocking.goto(f"{visit.url}/openapi.json")
    blocking.evaluate(BLOCK)
    visit.start_painting()
    expect(visit.title).to_have_text("Painting finished", timeout=PAINTING_MS)
    visit.page.reload()
    expect(visit.page.get_by_role("img", name="Finished painting", exact=True)).to_be_visible()


@pytest.mark.parametrize(
    "value",
    [
        "{",
        "7",
        '"x"',
        "true",
        '[7, null, {"id": 1}]',
        '{"every": "thing"}',
        '{"size": "vast", "quality": 7, "init": "x", "seed": "-3", "strength": [1]}',
    ],
)
def test_invalid_settings_are_replaced_with_defaults(visit: Visit, value: str) -> None:
    visit.allow_console_errors("status of 404")  # for a job named "x"
    visit.page.goto(visit.url)
    for name in KEYS:
        visit.page.evaluate("(pair) => localStorage.setItem(...pair)", [f"atelier.{name}", value])
    visit.page.goto("about:blank")
    visit.page.goto(visit.url)
    expect(visit.page.get_by_role("heading", name="Classify an image")).to_be_visible()
    expect(visit.page.locator("#classify-models :checked")).to_have_count(1)
    visit.open_tab("stylize")
    expect(visit.page.locator("#size")).to_have_value("512")
    expect(visit.page.locator("[name=init]")).to_have_value("content")
    expect(visit.page.locator(".style input:checked")).to_have_count(1)
    visit.open_tab("evaluate")
    expect(visit.page.locator("#evaluate-models .model :checked")).to_have_count(1)


def test_options_and_photo_are_restored_at_the_next_visit(visit: Visit) -> None:
    visit.open_tab("stylize")
    visit.choose_photo()
    visit.set_options(128, "high")
    visit.page.get_by_text("Advanced options", exact=True).click()
    visit.page.get_by_label("Seed").fill("7")
    visit.page.goto("about:blank")
    visit.open_tab("stylize")
    expect(visit.page.get_by_role("img", name=str(photo()["name"]))).to_be_visible()
    expect(visit.page.locator("#size-value")).to_have_text("128 px")
    expect(visit.page.locator("[name=quality]:checked")).to_have_value("high")
    expect(visit.page.locator("[name=seed]")).to_have_value("7")
