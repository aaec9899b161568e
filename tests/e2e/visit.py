"""A visit to the page, and what visitors do there."""

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
"""Upper bound of a small painting, and of whatever else takes long."""

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
    """A page in a window of its own, with a memory of its own."""

    page: Page
    url: str
    complaints: list[str] = field(default_factory=list)
    _foreseen: list[str] = field(default_factory=list)

    def foresee(self, *complaints: str) -> None:
        """Let pass what the console says when a test provokes it: parts of messages."""
        self._foreseen += complaints

    def unforeseen(self) -> list[str]:
        return [
            each for each in self.complaints if not any(known in each for known in self._foreseen)
        ]

    def enter(self, room: str) -> None:
        """Open the page in one of its rooms, once that can be used."""
        self.page.goto(f"{self.url}/#{room}")
        expect(self.page.locator("#classify-models .model-score").first).to_be_attached()

    def alert(self, words: str | re.Pattern[str]) -> Locator:
        """The place where an error is said."""
        return self.page.get_by_role("alert").filter(has_text=words)

    def choose_photo(self, seed: int = 0) -> None:
        self.page.locator("#photo input[type=file]").set_input_files(photo(seed))
        expect(self.page.locator("#photo .drop-picture")).to_be_visible()

    def set_painting(self, size: int = 64, quality: str = "preview") -> None:
        self.page.locator("#size").fill(str(size))
        self.page.locator(f"[name=quality][value={quality}]").check(force=True)

    def paint(self, size: int = 64, quality: str = "preview", seed: int = 0) -> None:
        """Start a painting."""
        self.enter("stylize")
        self.choose_photo(seed)
        self.set_painting(size, quality)
        self.page.get_by_role("button", name="Paint it").click()

    def begin_long(self) -> None:
        """Start a painting that no host ends before the test does, and see its first picture."""
        self.paint(LONG_PX, "high")
        expect(self.first_picture).to_be_visible(timeout=PAINTING_MS)

    def cancel(self) -> None:
        """Press the button; those that delete what was cancelled have longer names."""
        self.page.get_by_role("button", name="Cancel", exact=True).click()

    @property
    def first_picture(self) -> Locator:
        return self.page.get_by_role("img", name="The painting so far")

    @property
    def slider(self) -> Locator:
        return self.page.get_by_role("slider", name="Border between photograph and painting")

    @property
    def title(self) -> Locator:
        return self.page.locator("#easel-title")


@contextmanager
def visiting(browser: Browser, url: str, **options: Any) -> Iterator[Visit]:
    """Visit a service; in the end nothing may be in the console that was not foreseen."""
    context = browser.new_context(**{"viewport": {"width": 1280, "height": 900}, **options})
    context.set_default_timeout(patient() * 1000)
    visit = Visit(context.new_page(), url)

    def note(message: ConsoleMessage) -> None:
        if message.type in {"error", "warning"}:
            visit.complaints.append(message.text)

    visit.page.on("console", note)
    visit.page.on("pageerror", lambda error: visit.complaints.append(str(error)))
    try:
        yield visit
        assert visit.unforeseen() == [], visit.unforeseen()
    finally:
        context.close()


def photo(seed: int = 0) -> FilePayload:
    """A photograph to choose."""
    return {"name": "photo.jpg", "mimeType": "image/jpeg", "buffer": picture(seed=seed)}


def drop(zone: Locator, *files: FilePayload) -> None:
    """Drop files onto an element."""
    sent = [each | {"buffer": base64.b64encode(each["buffer"]).decode()} for each in files]
    transfer = zone.page.evaluate_handle(_TRANSFER, sent)
    zone.dispatch_event("drop", {"dataTransfer": transfer})


def draw(page: Page, strokes: list[list[tuple[float, float]]]) -> None:
    """Draw on the pad with the mouse; coordinates are shares of its sides."""
    box = page.locator(".pad").bounding_box()
    assert box is not None

    def at(point: tuple[float, float]) -> tuple[float, float]:
        return box["x"] + point[0] * box["width"], box["y"] + point[1] * box["height"]

    for start, *others in strokes:
        page.mouse.move(*at(start))
        page.mouse.down()
        for point in others:
            page.mouse.move(*at(point), steps=8)
        page.mouse.up()
