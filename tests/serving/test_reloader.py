import asyncio
import gc
import weakref
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from pathlib import Path

import pytest
import torch

from app.engines.options import EngineOptions
from app.metrics import Metrics
from app.serving.batcher import BatchLimits
from app.serving.loader import Loader
from app.serving.registry import ModelRegistry
from app.serving.reloader import Outcome, Reloader
from tests.checkpoints import save_always
from tests.service import wait_until


@pytest.fixture
def loader(tmp_path: Path) -> Iterator[Loader]:
    engines = EngineOptions("exact", 1, compiled=False, cache=tmp_path / "e", models=tmp_path)
    with ThreadPoolExecutor(1) as thread:
        limits = BatchLimits(max_batch=4, max_queue=8, max_wait_s=9)
        yield Loader(torch.device("cpu"), thread, Metrics(), engines, limits)


@pytest.fixture
def unfrozen() -> Iterator[None]:
    """Let this process look through everything again, which the reloader keeps it from."""
    yield
    gc.unfreeze()


@pytest.mark.usefixtures("unfrozen")
async def test_a_model_of_the_start_is_freed_even_from_a_cycle(
    tmp_path: Path, loader: Loader
) -> None:
    save_always(3, tmp_path)
    registry = ModelRegistry(["mnist"], "mnist", loader, Metrics())
    reloader = Reloader(registry, loader, Metrics())
    running = asyncio.create_task(reloader.run())
    await asyncio.to_thread(wait_until, lambda: registry.ready)
    network = registry.get("mnist").classifier.network
    object.__setattr__(network, "itself", network)  # compiling ties networks to themselves
    first = weakref.ref(network)
    del network
    save_always(7, tmp_path)
    assert (await reloader.reload())["mnist"].outcome is Outcome.RELOADED
    assert first() is None
    running.cancel()
    with suppress(asyncio.CancelledError):
        await running
