"""A client that does one thing after another, by chance, and notes what it was answered."""

import asyncio
import random
from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass
from typing import Any

import httpx

_PAUSE_S = 0.2  # on average, between two deeds


@dataclass(frozen=True)
class Answer:
    """One response: its time, request, status (0: none) and latency."""

    at_s: float
    deed: str
    status: int
    took_s: float


class Visitor:
    """Repeatable by its seed. `now` tells the seconds since the start."""

    def __init__(
        self,
        client: httpx.AsyncClient,
        deeds: Mapping["Deed", int],
        seed: int,
        now: Callable[[], float],
    ) -> None:
        self.answers: list[Answer] = []
        self.chance = random.Random(seed)  # noqa: S311 - a repeatable mix
        self._client = client
        self._deeds = deeds
        self._now = now

    async def visit_until(self, end_s: float) -> None:
        """Do things until the time is over; what was begun is ended."""
        while self._now() < end_s:
            (deed,) = self.chance.choices(list(self._deeds), list(self._deeds.values()))
            await deed(self)
            await asyncio.sleep(self.chance.expovariate(1 / _PAUSE_S))

    async def ask(self, deed: str, method: str, path: str, **options: Any) -> httpx.Response | None:
        """Send a request and note the answer; None where there is none."""
        started = self._now()
        response: httpx.Response | None
        try:
            response = await self._client.request(method, path, **options)
        except httpx.HTTPError:
            response = None
        self._note(deed, response.status_code if response is not None else 0, started)
        return response

    async def leave_early(self, deed: str, method: str, path: str, **options: Any) -> None:
        """Send a request, and go away a moment later."""
        started, patience_s = self._now(), self.chance.uniform(0.001, 0.05)
        try:
            async with asyncio.timeout(patience_s):
                response = await self._client.request(method, path, **options)
        except (TimeoutError, httpx.HTTPError):
            return
        self._note(deed, response.status_code, started)

    async def watch(self, deed: str, path: str, seconds: float) -> str:
        """Follow an event stream for so long, or to its end; returns what came."""
        started, seen = self._now(), ""
        try:
            async with asyncio.timeout(seconds), self._client.stream("GET", path) as response:
                self._note(deed, response.status_code, started)
                async for text in response.aiter_text():
                    seen = text
        except (TimeoutError, httpx.HTTPError):
            return seen
        return seen

    def _note(self, deed: str, status: int, started: float) -> None:
        now = self._now()
        self.answers.append(Answer(now, deed, status, now - started))


Deed = Callable[[Visitor], Awaitable[None]]
