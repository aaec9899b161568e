"""Every state in both colour schemes and on a phone: axe finds nothing serious."""

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

LOOKS: dict[str, dict[str, Any]] = {
    "light": {"color_scheme": "light"},
    "dark": {"color_scheme": "dark"},
    "phone": {"viewport": {"width": 390, "height": 844}, "has_touch": True},
    "smallest-dark-phone": {"viewport": {"width": 320, "height": 640}, "color_scheme": "dark"},
    "forced-colours": {"forced_colors": "active"},
}

LONG_NAMES = tuple(f"long-haired hunting dog of breed {number}" for number in range(40))


@pytest.fixture(params=LOOKS)
def guest(request: pytest.FixtureRequest, browser: Browser, atelier: Service) -> Iterator[Visit]:
    options = LOOKS[request.param] | {"bypass_csp": True, "reduced_motion": "reduce"}
    try:
        with visiting(browser, atelier.url, **options) as opened:
            yield opened
    finally:
        with studio(atelier) as jobs:
            jobs.cancel_all()


def expect_good_looks(visit: Visit) -> None:
    """Expect no serious violation in what is open now, and nothing wider than the window."""
    found = Axe().run(visit.page).response["violations"]
    serious = [
        (each["id"], node["target"], node["failureSummary"])
        for each in found
        if each["impact"] in {"serious", "critical"}
        for node in each["nodes"]
    ]
    assert serious == []
    assert visit.page.evaluate("document.documentElement.scrollWidth <= innerWidth")
    small = visit.page.evaluate(
        """() => [...document.querySelectorAll("button, a.button, nav a, select, summary")]
            .filter((each) => each.checkVisibility() && each.getBoundingClientRect().height < 44)
            .map((each) => each.textContent)"""
    )
    assert small == []


def test_classify(guest: Visit) -> None:
    guest.enter("classify")
    expect_good_looks(guest)
    guest.page.get_by_role("button", name="Try it: A ship").click()
    expect(guest.page.locator(".verdict")).to_be_visible()
    guest.page.locator("#classify-models summary").click()
    expect_good_looks(guest)
    guest.page.get_by_text("Draw a digit").click()
    expect_good_looks(guest)


def test_stylize(guest: Visit) -> None:
    guest.enter("stylize")
    guest.page.get_by_role("button", name="Paint it").click()
    expect(guest.alert("Choose a photograph first.")).to_be_visible()
    guest.page.get_by_text("More", exact=True).click()
    expect_good_looks(guest)
    guest.begin_long()
    expect_good_looks(guest)
    guest.page.get_by_role("button", name="Good enough").click()
    expect(guest.slider).to_be_visible(timeout=PAINTING_MS)
    expect_good_looks(guest)


def test_evaluate(guest: Visit) -> None:
    guest.enter("evaluate")
    guest.page.locator("#evaluate-models").get_by_role("radio", name="mnist").check()
    guest.page.get_by_role("button", name="Try 120 drawn digits").click()
    expect(guest.page.get_by_text("digits.zip")).to_be_visible()
    expect_good_looks(guest)
    guest.page.get_by_role("button", name="Evaluate").click()
    expect(guest.page.locator(".headline")).to_be_visible(timeout=PAINTING_MS)
    expect_good_looks(guest)


@pytest.fixture(scope="module")
def many_classes(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Service]:
    """A service whose model knows forty classes with long names."""
    folder = tmp_path_factory.mktemp("many-classes")
    save_with_classes(LONG_NAMES, folder / "models")
    with running_service(folder, **QUICK | {"models_dir": folder / "models"}) as service:
        yield service


@pytest.mark.parametrize("width", [1280, 320])
def test_forty_classes_with_long_names_scroll_below_their_names(
    browser: Browser, many_classes: Service, width: int
) -> None:
    options = {"viewport": {"width": width, "height": 800}, "bypass_csp": True}
    with visiting(browser, many_classes.url, **options) as visit:
        visit.enter("evaluate")
        archive = zipped({f"{name}/1.png": PICTURE for name in LONG_NAMES})
        visit.page.locator("#archive").set_input_files(
            {"name": "many.zip", "mimeType": "application/zip", "buffer": archive}
        )
        visit.page.get_by_role("button", name="Evaluate").click()
        matrix = visit.page.get_by_role("group", name="Confusion matrix")
        expect(matrix).to_be_visible(timeout=PAINTING_MS)
        expect_good_looks(visit)
        matrix.focus()
        matrix.evaluate("(group) => group.scrollTo(group.scrollWidth, group.scrollHeight)")
        for name in matrix.get_by_role("row").last.get_by_role("rowheader").all():
            expect(name).to_be_in_viewport(ratio=1)
        for name in matrix.get_by_role("columnheader").all()[-3:]:
            expect(name).to_be_in_viewport(ratio=1)


def test_both_schemes_have_colours_of_their_own(browser: Browser, atelier: Service) -> None:
    colours = set()
    for scheme in ("light", "dark"):
        with visiting(browser, atelier.url, color_scheme=scheme) as visit:
            visit.enter("classify")
            colours.add(visit.page.evaluate("getComputedStyle(document.body).backgroundColor"))
    assert len(colours) == 2


def test_rooms_are_reached_by_keys_and_remembered(browser: Browser, atelier: Service) -> None:
    with visiting(browser, atelier.url) as visit:
        visit.page.goto(visit.url)
        expect(visit.page.get_by_role("heading", name="What is in the picture?")).to_be_visible()
        visit.page.keyboard.press("Tab")
        visit.page.keyboard.press("Tab")
        visit.page.keyboard.press("Enter")
        expect(visit.page.get_by_role("heading", name="Paint a photograph")).to_be_focused()
        visit.page.goto("about:blank")
        visit.page.goto(visit.url)
        expect(visit.page.get_by_role("heading", name="Paint a photograph")).to_be_visible()
        expect(visit.page).to_have_title("Stylize · Atelier")
