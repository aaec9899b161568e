import asyncio
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from pathlib import Path

import pytest
import torch

from app.engines.options import EngineOptions
from app.engines.pytorch import ReferenceEngine
from app.metrics import Metrics
from app.serving.batcher import BatchLimits
from app.serving.errors import ModelUnavailableError, UnknownModelError
from app.serving.loader import ModelLoader, ServedModel
from app.serving.registry import ModelRegistry, UnavailableModel
from tests.checkpoints import save_always
from tests.service import ROOT


@contextmanager
def registry_of(
    names: list[str], default: str, folder: Path, device: str = "cpu"
) -> Iterator[ModelRegistry]:
    metrics = Metrics()
    engines = EngineOptions("auto", 1, compiled=False, cache=folder / "engines", models=folder)
    with ThreadPoolExecutor(1) as thread:
        limits = BatchLimits(max_batch=4, max_queue=8, max_wait_s=9)
        loader = ModelLoader(torch.device(device), thread, metrics, engines, limits)
        yield ModelRegistry(names, default, loader, metrics)


@pytest.fixture
def registry(tmp_path: Path) -> Iterator[ModelRegistry]:
    with registry_of(["cifar10", "mnist"], "catdog", tmp_path) as made:
        yield made


async def test_models_are_unavailable_before_loading(registry: ModelRegistry) -> None:
    assert not registry.ready
    with pytest.raises(ModelUnavailableError, match="being loaded"):
        registry.get("mnist")


async def test_missing_checkpoint_does_not_affect_other_models(
    registry: ModelRegistry, tmp_path: Path
) -> None:
    card = save_always(7, tmp_path)
    loading = asyncio.create_task(registry.load())
    while not loading.done():  # the default model does not change meanwhile
        with pytest.raises(ModelUnavailableError, match="being loaded"):
            registry.get("mnist")
        await asyncio.sleep(0.01)
    assert registry.ready
    model = registry.get("mnist")
    assert model.classifier.card == card
    assert sum(layer.parameters for layer in model.layers) == 669_706
    row = await model.batcher.submit(torch.zeros(1, 28, 28, dtype=torch.uint8), "ann")
    assert row.argmax() == 7
    assert isinstance(registry.models["mnist"], ServedModel)
    assert isinstance(registry.models["cifar10"], UnavailableModel)
    with pytest.raises(ModelUnavailableError, match=r"no cifar10\.json"):
        registry.get("cifar10")


async def test_unexpected_error_of_a_model_does_not_affect_other_models(
    tmp_path: Path,
) -> None:
    card = save_always(7, tmp_path)
    with registry_of(["mnist", "cifar10"], "mnist", tmp_path, "meta") as registry:  # no weights
        await registry.load()
    assert card.spec.name == "mnist"
    assert registry.ready
    with pytest.raises(ModelUnavailableError, match="failed to load: "):
        registry.get("mnist")
    with pytest.raises(ModelUnavailableError, match=r"no cifar10\.json"):
        registry.get("cifar10")


async def test_default_is_the_first_available_model(
    registry: ModelRegistry, tmp_path: Path
) -> None:
    save_always(7, tmp_path)
    await registry.load()
    assert registry.get(None) is registry.get("mnist")


async def test_reference_engine_is_used_until_another_is_selected(
    registry: ModelRegistry, tmp_path: Path
) -> None:
    save_always(7, tmp_path)
    await registry.load()
    choice = registry.get("mnist").selection
    assert choice.engine.kind == ReferenceEngine.kind
    assert choice.reason == "The reference engine is used until a faster one has been selected."
    assert registry.selecting == ["mnist"]
    assert not (tmp_path / "engines").exists()  # nothing was converted or compared


async def test_engine_of_the_default_model_is_selected_first() -> None:
    with registry_of(["cifar10", "mnist"], "mnist", ROOT / "models") as registry:
        await registry.load()
        assert registry.selecting == ["mnist", "cifar10"]


async def test_error_of_the_default_model_has_the_reason_without_checkpoints(
    registry: ModelRegistry,
) -> None:
    await registry.load()
    with pytest.raises(ModelUnavailableError, match="Train the model first"):
        registry.get(None)


async def test_error_for_an_unknown_model_lists_the_models(registry: ModelRegistry) -> None:
    with pytest.raises(UnknownModelError, match="cifar10, mnist"):
        registry.get("resnet")
