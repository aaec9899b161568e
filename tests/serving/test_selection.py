import os

import pytest

from app.serving.engine_selection import select_engine
from app.serving.errors import SelectionError
from tests.service import child_of


async def test_a_selection_that_takes_too_long_is_killed() -> None:
    with pytest.raises(SelectionError, match=r"prepare mnist` was killed.* after 0 s"):
        await select_engine("mnist", longest_s=0)
    assert child_of(os.getpid(), "prepare") is None


async def test_a_selection_that_refuses_its_model_fails() -> None:
    with pytest.raises(SelectionError, match="prepare resnet` ended with 2"):
        await select_engine("resnet")
