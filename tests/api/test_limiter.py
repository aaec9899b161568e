"""The rate limits of callers, without a service."""

import time

import pytest

from app.api.auth.rate_limit import RateLimitedError, RateLimiter


async def test_rate_limit_waits_at_most_a_minute_after_the_clock_was_set_back(
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
