"""The rate limits of callers, without a service."""

import time

import pytest

from app.api.auth.rate_limit import RateLimitedError, RateLimiter


async def test_nobody_waits_for_longer_than_a_minute_when_the_clock_is_set_back(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    limits = RateLimiter(None, 2, None)
    real = time.time
    monkeypatch.setattr(time, "time", lambda: real() + 8 * 86_400)
    await limits.take_submission("ann")
    await limits.take_submission("ann")
    monkeypatch.setattr(time, "time", real)
    await limits.take_submission("ann")
    await limits.take_submission("ann")
    await limits.take_submission("ann")
    with pytest.raises(RateLimitedError):
        await limits.take_submission("ann")
