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
from app.serving.loader import ModelLoader
from app.serving.registry import ModelRegistry
from app.serving.reloader import ModelReloader, ReloadOutcome
from tests.checkpoints import save_always
from tests.service import wait_until


@pytest.fixture
def loader(tmp_path: Path) -> Iterator[ModelLoader]:
    engines = EngineOptions("exact", 1, compiled=False, cache=tmp_path / "e", models=tmp_path)
    with ThreadPoolExecutor(1) as thread:
        limits = BatchLimits(max_batch=4, max_queue=8, max_wait_s=9)
        yield ModelLoader(torch.device("cpu"), thread, Metrics(), engines, limits)


@pytest.fixture
def unfrozen() -> Iterator[None]:
    """Unfreeze the objects that the reloader has frozen."""
    yield
    gc.unfreeze()


@pytest.mark.usefixtures("unfrozen")
async def test_replaced_model_in_a_cycle_is_freed(tmp_path: Path, loader: ModelLoader) -> None:
    save_always(3, tmp_path)
    registry = ModelRegistry(["mnist"], "mnist", loader, Metrics())
    reloader = ModelReloader(registry, loader, Metrics())
    running = asyncio.create_task(reloader.run())
    await asyncio.to_thread(wait_until, lambda: registry.ready)
    network = registry.get("mnist").classifier.network
    object.__setattr__(network, "itself", network)  # compilation creates such a cycle
    first = weakref.ref(network)
    del network
    save_always(7, tmp_path)
    assert (await reloader.reload())["mnist"].outcome is ReloadOutcome.RELOADED
    assert first() is None
    running.cancel()
    with suppress(asyncio.CancelledError):
        await running
