"""What the browser remembers, also where that is odd or out of reach."""

import pytest
from playwright.sync_api import expect

from tests.e2e.visit import PAINTING_MS, Visit, photo

pytestmark = pytest.mark.e2e

NAMES = [
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
  const opening = indexedDB.open("atelier", 1);
  opening.onupgradeneeded = () => opening.result.createObjectStore("pictures");
  opening.onsuccess = () => {
    const newer = indexedDB.open("atelier", 2); // waits for the one that stays open
    newer.onblocked = resolve;
  };
})"""


def test_a_store_that_another_tab_blocks_is_done_without(visit: Visit) -> None:
    visit.page.goto(visit.url)
    blocking = visit.page.context.new_page()
    blocking.goto(f"{visit.url}/openapi.json")
    blocking.evaluate(BLOCK)
    visit.paint()
    expect(visit.title).to_have_text("Painted", timeout=PAINTING_MS)
    visit.page.reload()
    expect(visit.page.get_by_role("img", name="The painting", exact=True)).to_be_visible()


@pytest.mark.parametrize(
    "odd",
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
def test_odd_memories_are_forgotten(visit: Visit, odd: str) -> None:
    visit.foresee("status of 404")  # for a job named "x"
    visit.page.goto(visit.url)
    for name in NAMES:
        visit.page.evaluate("(pair) => localStorage.setItem(...pair)", [f"atelier.{name}", odd])
    visit.page.goto("about:blank")
    visit.page.goto(visit.url)
    expect(visit.page.get_by_role("heading", name="What is in the picture?")).to_be_visible()
    expect(visit.page.locator("#classify-models :checked")).to_have_count(1)
    visit.enter("stylize")
    expect(visit.page.locator("#size")).to_have_value("512")
    expect(visit.page.locator("[name=init]")).to_have_value("content")
    expect(visit.page.locator(".style input:checked")).to_have_count(1)
    visit.enter("evaluate")
    expect(visit.page.locator("#evaluate-models .model :checked")).to_have_count(1)


def test_settings_and_photograph_are_there_at_the_next_visit(visit: Visit) -> None:
    visit.enter("stylize")
    visit.choose_photo()
    visit.set_painting(128, "high")
    visit.page.get_by_text("More", exact=True).click()
    visit.page.get_by_label("Seed").fill("7")
    visit.page.goto("about:blank")
    visit.enter("stylize")
    expect(visit.page.get_by_role("img", name=str(photo()["name"]))).to_be_visible()
    expect(visit.page.locator("#size-value")).to_have_text("128 px")
    expect(visit.page.locator("[name=quality]:checked")).to_have_value("high")
    expect(visit.page.locator("[name=seed]")).to_have_value("7")
