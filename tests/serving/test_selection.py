import asyncio
import os

import pytest

from app.serving.preparation import prepare
from app.vision.errors import CheckpointError
from tests.service import child_of, wait_until


async def test_who_hangs_is_killed_and_the_model_refused() -> None:
    with pytest.raises(CheckpointError, match=r"prepare mnist` was killed.* after 0\.2 s"):
        await prepare("mnist", longest_s=0.2)  # importing PyTorch takes longer
    await asyncio.to_thread(wait_until, lambda: child_of(os.getpid(), "prepare") is None, 10)
    await asyncio.sleep(0.1)  # the loop hears of it, and closes the pipe
