"""Accessibility of every state in each color scheme and on phones, checked with axe."""

from collections.abc import Iterator
from typing import Any

import pytest
from axe_playwright_python.sync_playwright import Axe
from playwright.sync_api import Browser, expect

from tests.checkpoints import save_with_classes
from tests.e2e.visit import PAINTING_MS, Visit, visiting
from tests.evaluation.archives import PICTURE, zipped
from tests.jobs.studio import QUICK, studio
from tests.service import Service, running_service

pytestmark = pytest.mark.e2e

THEMES: dict[str, dict[str, Any]] = {
    "light": {"color_scheme": "light"},
    "dark": {"color_scheme": "dark"},
    "phone": {"viewport": {"width": 390, "height": 844}, "has_touch": True},
    "smallest-dark-phone": {"viewport": {"width": 320, "height": 640}, "color_scheme": "dark"},
    "forced-colors": {"forced_colors": "active"},
}

LONG_NAMES = tuple(f"long-haired hunting dog of breed {number}" for number in range(40))


@pytest.fixture(params=THEMES)
def themed_visit(
    request: pytest.FixtureRequest, browser: Browser, atelier: Service
) -> Iterator[Visit]:
    options = THEMES[request.param] | {"bypass_csp": True, "reduced_motion": "reduce"}
    try:
        with visiting(browser, atelier.url, **options) as opened:
            yield opened
    finally:
        with studio(atelier) as jobs:
            jobs.cancel_all()


def expect_accessible(visit: Visit) -> None:
    """Expect no serious axe violation, no horizontal overflow and no small touch targets."""
    found = Axe().run(visit.page).response["violations"]
    serious = [
        (violation["id"], node["target"], node["failureSummary"])
        for violation in found
        if violation["impact"] in {"serious", "critical"}
        for node in violation["nodes"]
    ]
    assert serious == []
    assert visit.page.evaluate("document.documentElement.scrollWidth <= innerWidth")
    small = visit.page.evaluate(
        """() => [...document.querySelectorAll("button, a.button, nav a, select, summary")]
            .filter((element) => element.checkVisibility())
            .filter((element) => element.getBoundingClientRect().height < 44)
            .map((element) => element.textContent)"""
    )
    assert small == []


def test_classify_tab_is_accessible(themed_visit: Visit) -> None:
    themed_visit.open_tab("classify")
    expect_accessible(themed_visit)
    themed_visit.page.get_by_role("button", name="Try a sample: Ship").click()
    expect(themed_visit.page.locator(".top-result")).to_be_visible()
    themed_visit.page.locator("#classify-models summary").click()
    expect_accessible(themed_visit)
    themed_visit.page.get_by_text("Draw a digit").click()
    expect_accessible(themed_visit)


def test_stylize_tab_is_accessible(themed_visit: Visit) -> None:
    themed_visit.open_tab("stylize")
    themed_visit.page.get_by_role("button", name="Stylize photo").click()
    expect(themed_visit.alert("Choose a photo first.")).to_be_visible()
    themed_visit.page.get_by_text("Advanced options", exact=True).click()
    expect_accessible(themed_visit)
    themed_visit.start_long_painting()
    expect_accessible(themed_visit)
    themed_visit.page.get_by_role("button", name="Finish now").click()
    expect(themed_visit.slider).to_be_visible(timeout=PAINTING_MS)
    expect_accessible(themed_visit)


def test_evaluate_tab_is_accessible(themed_visit: Visit) -> None:
    themed_visit.open_tab("evaluate")
    themed_visit.page.locator("#evaluate-models").get_by_role("radio", name="mnist").check()
    themed_visit.page.get_by_role("button", name="Try a sample of 120 digits").click()
    expect(themed_visit.page.get_by_text("digits.zip")).to_be_visible()
    expect_accessible(themed_visit)
    themed_visit.page.get_by_role("button", name="Evaluate").click()
    expect(themed_visit.page.locator(".report-summary")).to_be_visible(timeout=PAINTING_MS)
    expect_accessible(themed_visit)


@pytest.fixture(scope="module")
def many_classes(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Service]:
    """Run a service whose model has forty classes with long names."""
    folder = tmp_path_factory.mktemp("many-classes")
    save_with_classes(LONG_NAMES, folder / "models")
    with running_service(folder, **QUICK | {"models_dir": folder / "models"}) as service:
        yield service


@pytest.mark.parametrize("width", [1280, 320])
def test_class_names_stay_visible_while_a_large_confusion_matrix_scrolls(
    browser: Browser, many_classes: Service, width: int
) -> None:
    options = {"viewport": {"width": width, "height": 800}, "bypass_csp": True}
    with visiting(browser, many_classes.url, **options) as visit:
        visit.open_tab("evaluate")
        archive = zipped({f"{name}/1.png": PICTURE for name in LONG_NAMES})
        visit.page.locator("#archive").set_input_files(
            {"name": "many.zip", "mimeType": "application/zip", "buffer": archive}
        )
        visit.page.get_by_role("button", name="Evaluate").click()
        matrix = visit.page.get_by_role("group", name="Confusion matrix")
        expect(matrix).to_be_visible(timeout=PAINTING_MS)
        expect_accessible(visit)
        matrix.focus()
        matrix.evaluate("(group) => group.scrollTo(group.scrollWidth, group.scrollHeight)")
        for name in matrix.get_by_role("row").last.get_by_role("rowheader").all():
            expect(name).to_be_in_viewport(ratio=1)
        for name in matrix.get_by_role("columnheader").all()[-3:]:
            expect(name).to_be_in_viewport(ratio=1)


def test_light_and_dark_scheme_have_different_background_colors(
    browser: Browser, atelier: Service
) -> None:
    colors = set()
    for scheme in ("light", "dark"):
        with visiting(browser, atelier.url, color_scheme=scheme) as visit:
            visit.open_tab("classify")
            colors.add(visit.page.evaluate("getComputedStyle(document.body).backgroundColor"))
    assert len(colors) == 2


def test_tabs_open_by_keyboard_and_the_last_tab_is_restored(
    browser: Browser, atelier: Service
) -> None:
    with visiting(browser, atelier.url) as visit:
        visit.page.goto(visit.url)
        expect(visit.page.get_by_role("heading", name="Classify an image")).to_be_visible()
        visit.page.keyboard.press("Tab")
        visit.page.keyboard.press("Tab")
        visit.page.keyboard.press("Enter")
        expect(
            visit.page.get_by_role("heading", name="Turn a photo into a painting")
        ).to_be_focused()
        visit.page.goto("about:blank")
        visit.page.goto(visit.url)
        expect(
            visit.page.get_by_role("heading", name="Turn a photo into a painting")
        ).to_be_visible()
        expect(visit.page).to_have_title("Stylize · Atelier")
