import os

import pytest

from app.serving.errors import SelectionError
from app.serving.selection_process import select_engine_in_subprocess
from tests.service import child_of


async def test_selection_that_takes_too_long_is_killed() -> None:
    with pytest.raises(SelectionError, match=r"prepare mnist` was killed.* more than 0 s"):
        await select_engine_in_subprocess("mnist", timeout_s=0)
    assert child_of(os.getpid(), "prepare") is None


async def test_selection_of_an_unknown_model_fails() -> None:
    with pytest.raises(SelectionError, match="prepare resnet` ended with status 2"):
        await select_engine_in_subprocess("resnet")
