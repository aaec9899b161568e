"""Actions of the clients, and their frequencies."""

import asyncio
import io
import json
from collections.abc import Mapping
from functools import cache

from PIL import Image

from app import web
from benchmarks.soak.clients import Deed, Visitor
from tests.jobs.studio import TERMINAL, picture
from tests.service import ROOT

_EXAMPLES = ROOT / "docs/examples"
_GOOD = {"mnist": "seven.jpg", "cifar10": "ship.jpg", "catdog": "cat.jpg"}
_PAGE = ("/", "/models", "/styles", "/jobs", "/datasets", "/health/ready", "/metrics")
_WRONG = (
    ("GET", "/nope"),
    ("DELETE", "/classify"),
    ("POST", "/stylize"),
    ("POST", "/classify?model=resnet"),
    ("POST", "/classify?top_k=0"),
    ("GET", "/jobs/nothing"),
    ("GET", "/jobs?limit=many"),
    ("POST", "/evaluate?model=mnist"),
)
_LONGEST_WAIT_S = 90.0


async def classify(visitor: Visitor) -> None:
    """Send a good picture, or several."""
    model, name = visitor.chance.choice(list(_GOOD.items()))
    file = ("file", (name, (_EXAMPLES / name).read_bytes()))
    count = visitor.chance.choice([1, 1, 1, 4])
    await visitor.ask("classify", "POST", f"/classify?model={model}", files=[file] * count)


async def classify_bad(visitor: Visitor) -> None:
    """Send what is no picture, or one that is meant to break the service."""
    data = visitor.chance.choice(_bad())
    model = visitor.chance.choice(list(_GOOD))
    await visitor.ask("bad picture", "POST", f"/classify?model={model}", files={"file": data})


async def leave(visitor: Visitor) -> None:
    """Send a large picture, and do not wait for the answer."""
    options = {"files": {"file": _large()}}
    await visitor.leave_early("left early", "POST", "/classify?model=catdog", **options)


async def look(visitor: Visitor) -> None:
    """Load the page, or what it asks for."""
    await visitor.ask("look", "GET", visitor.chance.choice(_PAGE))


async def be_wrong(visitor: Visitor) -> None:
    """Send a request that cannot be answered as it is."""
    method, path = visitor.chance.choice(_WRONG)
    await visitor.ask("wrong request", method, path)


async def evaluate(visitor: Visitor) -> None:
    """Have a model judged on drawn digits, and wait for the report."""
    archive = web.files()["samples/digits.zip"].read_bytes()
    job = await _begin(visitor, "evaluate", "/evaluate?model=mnist", files={"file": archive})
    if job and await _ended(visitor, job) == "succeeded":
        await visitor.ask("result", "GET", f"{job}/result")


async def paint(visitor: Visitor) -> None:
    """Have a small painting made and watch it, or end it, or go on from it."""
    form = {
        "data": {"style_name": "mosaic", "size": "64", "quality": "preview"},
        "files": {"content": picture(seed=visitor.chance.randrange(1000))},
    }
    job = await _begin(visitor, "paint", "/stylize", **form)
    if job is None:
        return
    await visitor.watch("watch", f"{job}/events", visitor.chance.choice([0.5, _LONGEST_WAIT_S]))
    if visitor.chance.random() < 0.3:
        end = visitor.chance.choice(["cancel", "finish"])
        await visitor.ask(end, "POST", f"{job}/{end}")
    if await _ended(visitor, job) != "succeeded":
        return
    await visitor.ask("result", "GET", f"{job}/result")
    if visitor.chance.random() < 0.3:
        larger = await _begin(visitor, "continue", f"{job}/continue", json={"size": 96})
        if larger and await _ended(visitor, larger) == "succeeded":
            await visitor.ask("remove", "DELETE", larger)


VISITOR: Mapping[Deed, int] = {classify: 8, classify_bad: 3, leave: 2, look: 4, be_wrong: 2}
PAINTER: Mapping[Deed, int] = {paint: 4, evaluate: 1}


async def _begin(visitor: Visitor, deed: str, path: str, **options: object) -> str | None:
    """Ask for a job; returns its path if it was accepted."""
    response = await visitor.ask(deed, "POST", path, **options)
    return response.headers["location"] if response and response.status_code == 202 else None


async def _ended(visitor: Visitor, job: str) -> str:
    """Look at a job until it has ended, or for as long as anybody would."""
    status = ""
    for _ in range(round(_LONGEST_WAIT_S)):
        response = await visitor.ask("look at a job", "GET", job)
        if response is not None and response.status_code == 200:
            status = json.loads(response.content)["status"]
            if status in TERMINAL:
                break
        await asyncio.sleep(1)
    return status


@cache
def _large() -> bytes:
    written = io.BytesIO()
    Image.effect_noise((3000, 2000), 64).save(written, "JPEG", quality=80)
    return written.getvalue()


@cache
def _bad() -> tuple[bytes, ...]:
    good = (_EXAMPLES / "ship.jpg").read_bytes()
    bomb = io.BytesIO()
    Image.new("1", (13_000, 13_000)).save(bomb, "PNG", optimize=True)
    canvas = io.BytesIO()
    Image.new("L", (8, 8)).save(canvas, "GIF")
    huge = canvas.getvalue()[:6] + b"\xff\xff\xff\xff" + canvas.getvalue()[10:]
    return (good[: len(good) // 2], b"", b"no picture", bytes(100_000), bomb.getvalue(), huge)
