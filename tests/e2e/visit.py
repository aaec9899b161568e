"""Browser sessions on the page, and the actions of a user."""

import base64
import re
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Any

from playwright.sync_api import Browser, ConsoleMessage, FilePayload, Locator, Page, expect

from tests.jobs.studio import picture
from tests.patience import patient

PAINTING_MS = patient() * 1000
"""Timeout of a small painting, and of other slow operations."""

expect.set_options(timeout=patient(20) * 1000)

LONG_PX = 320

_TRANSFER = """(files) => {
  const transfer = new DataTransfer();
  for (const { name, mimeType, buffer } of files) {
    const bytes = Uint8Array.from(atob(buffer), (letter) => letter.charCodeAt(0));
    transfer.items.add(new File([bytes], name, { type: mimeType }));
  }
  return transfer;
}"""


@dataclass
class Visit:
    """The page in a browser context with a storage of its own."""

    page: Page
    url: str
    console_errors: list[str] = field(default_factory=list)
    _allowed_errors: list[str] = field(default_factory=list)

    def allow_console_errors(self, *parts: str) -> None:
        """Allow console messages that contain one of these parts."""
        self._allowed_errors += parts

    def unexpected_console_errors(self) -> list[str]:
        return [
            message
            for message in self.console_errors
            if not any(part in message for part in self._allowed_errors)
        ]

    def open_tab(self, tab: str) -> None:
        """Open one of the tabs and wait until it is usable."""
        self.page.goto(f"{self.url}/#{tab}")
        expect(self.page.locator("#classify-models .model-accuracy").first).to_be_attached()

    def alert(self, text: str | re.Pattern[str]) -> Locator:
        """Locate an error message."""
        return self.page.get_by_role("alert").filter(has_text=text)

    def choose_photo(self, seed: int = 0) -> None:
        self.page.locator("#photo input[type=file]").set_input_files(photo(seed))
        expect(self.page.locator("#photo .drop-zone-image")).to_be_visible()

    def set_options(self, size: int = 64, quality: str = "preview") -> None:
        self.page.locator("#size").fill(str(size))
        self.page.locator(f"[name=quality][value={quality}]").check(force=True)

    def start_painting(self, size: int = 64, quality: str = "preview", seed: int = 0) -> None:
        """Start a painting."""
        self.open_tab("stylize")
        self.choose_photo(seed)
        self.set_options(size, quality)
        self.page.get_by_role("button", name="Stylize photo").click()

    def start_long_painting(self) -> None:
        """Start a painting that outlasts every test, and wait for its first preview."""
        self.start_painting(LONG_PX, "high")
        expect(self.preview).to_be_visible(timeout=PAINTING_MS)

    def cancel(self) -> None:
        """Click Cancel; the names of other buttons contain the word."""
        self.page.get_by_role("button", name="Cancel", exact=True).click()

    @property
    def preview(self) -> Locator:
        return self.page.get_by_role("img", name="Preview of the painting")

    @property
    def slider(self) -> Locator:
        return self.page.get_by_role("slider", name="Compare photo and painting")

    @property
    def title(self) -> Locator:
        return self.page.locator("#painting-title")


@contextmanager
def visiting(browser: Browser, url: str, **options: Any) -> Iterator[Visit]:
    """Open a browser context; fail on console errors that the test does not allow."""
    context = browser.new_context(**{"viewport": {"width": 1280, "height": 900}, **options})
    context.set_default_timeout(patient() * 1000)
    visit = Visit(context.new_page(), url)

    def record(message: ConsoleMessage) -> None:
        if message.type in {"error", "warning"}:
            visit.console_errors.append(message.text)

    visit.page.on("console", record)
    visit.page.on("pageerror", lambda error: visit.console_errors.append(str(error)))
    try:
        yield visit
        assert visit.unexpected_console_errors() == [], visit.unexpected_console_errors()
    finally:
        context.close()


def photo(seed: int = 0) -> FilePayload:
    """Return a photo for a file input."""
    return {"name": "photo.jpg", "mimeType": "image/jpeg", "buffer": picture(seed=seed)}


def drop(zone: Locator, *files: FilePayload) -> None:
    """Drop files onto an element."""
    sent = [each | {"buffer": base64.b64encode(each["buffer"]).decode()} for each in files]
    transfer = zone.page.evaluate_handle(_TRANSFER, sent)
    zone.dispatch_event("drop", {"dataTransfer": transfer})


def draw(page: Page, strokes: list[list[tuple[float, float]]]) -> None:
    """Draw on the pad with the mouse; coordinates are fractions of its sides."""
    box = page.locator(".drawing-pad").bounding_box()
    assert box is not None

    def at(point: tuple[float, float]) -> tuple[float, float]:
        return box["x"] + point[0] * box["width"], box["y"] + point[1] * box["height"]

    for start, *others in strokes:
        page.mouse.move(*at(start))
        page.mouse.down()
        for point in others:
            page.mouse.move(*at(point), steps=8)
        page.mouse.up()
