import json
import os
import resource
import shutil
import signal
import subprocess
import sys
from dataclasses import replace
from pathlib import Path

import pytest
import torch
from torch import Tensor

from app.engines.engine import Engine, EngineKind
from app.engines.openvino import (
    BFLOAT16,
    FLOAT32,
    OpenVinoEngine,
    convert,
    has_bfloat16,
    read_converted,
)
from app.engines.options import EngineOptions
from app.engines.parity import TOLERANCE, disagreement, probes
from app.engines.pytorch import PyTorchEngine
from app.engines.selection import select_engine
from app.engines.selection_cache import CachedSelection, SelectionCache, host_description
from app.vision import checkpoint
from app.vision.classifier import Classifier
from app.vision.specs import CATDOG, MNIST
from tests.checkpoints import save_always
from tests.service import ROOT

CPU = torch.device("cpu")

_SELECTING = """
import sys
sys.path.insert(0, sys.argv[1])
from pathlib import Path
import torch
from app.engines.options import EngineOptions
from app.engines.selection import select_engine
from app.vision.classifier import Classifier

folder = Path(sys.argv[1])
classifier = Classifier.load("mnist", folder, torch.device("cpu"))
for preference in ("auto", "openvino"):
    options = EngineOptions(preference, 1, False, folder / "cache", folder)
    selection = select_engine(classifier, options)
    print("SELECTED", selection.engine.kind, selection.state, selection.reason)
"""


def options(cache: Path, preference: str = "auto") -> EngineOptions:
    return EngineOptions(
        preference,  # type: ignore[arg-type]
        threads=1,
        compiled=False,
        cache=cache,
        models=ROOT / "models",
    )


def openvino(classifier: Classifier, cache: Path, kind: EngineKind = FLOAT32) -> OpenVinoEngine:
    try:
        model = read_converted(classifier.card, cache)
    except RuntimeError:  # it is the first test that needs this one
        model = convert(classifier, cache)
    return OpenVinoEngine(model, kind, threads=1)


@pytest.fixture(scope="module", params=["mnist", "cifar10"])
def classifier(request: pytest.FixtureRequest) -> Classifier:
    """A shipped model."""
    return Classifier.load(request.param, ROOT / "models", CPU)


@pytest.fixture(scope="module")
def cache(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("engines")


@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16])
@pytest.mark.parametrize("count", [1, 3, 16])
def test_engines_match_the_network(
    classifier: Classifier, cache: Path, dtype: torch.dtype, count: int
) -> None:
    images = probes(classifier.card.spec.input)[:count]
    expected = classifier.probabilities(images)
    tolerance = 1e-5 if dtype is torch.float32 else 0.02
    engines: list[Engine] = [PyTorchEngine(classifier, dtype)]
    if dtype is torch.float32:
        engines.append(openvino(classifier, cache, FLOAT32))
    elif has_bfloat16(CPU):
        engines.append(openvino(classifier, cache, BFLOAT16))
    for engine in engines:
        answers = engine.probabilities(images)
        assert (answers.shape, answers.dtype) == (expected.shape, torch.float32)
        assert (answers - expected).abs().max() < tolerance
        assert engine.kind.dtype == str(dtype).removeprefix("torch.")


def test_next_call_does_not_overwrite_earlier_results(classifier: Classifier, cache: Path) -> None:
    engine = openvino(classifier, cache)
    first, second = probes(classifier.card.spec.input)[:2]
    before = engine.probabilities([first])
    copy = before.clone()
    engine.probabilities([second])
    assert torch.equal(before, copy)


def test_selection_is_cached_with_its_reason(classifier: Classifier, tmp_path: Path) -> None:
    first = select_engine(classifier, options(tmp_path))
    assert first.reason.startswith(
        "This is the fastest engine that matches float32 PyTorch: torch float32 "
    )
    assert "openvino float32" in first.reason
    assert select_engine(classifier, options(tmp_path)).reason == first.reason
    assert str(first.engine.kind) in first.reason


def test_preference_exact_selects_float32_pytorch(classifier: Classifier, tmp_path: Path) -> None:
    selection = select_engine(classifier, options(tmp_path, "exact"))
    images = probes(classifier.card.spec.input)
    assert selection.engine.kind == EngineKind("torch", "float32")
    assert selection.reason == "The settings require the reference engine."
    expected = classifier.probabilities(images)
    assert torch.equal(selection.engine.probabilities(images), expected)


def test_preference_excludes_the_other_engine(classifier: Classifier, tmp_path: Path) -> None:
    assert "openvino" not in select_engine(classifier, options(tmp_path, "torch")).reason
    assert "torch bfloat16" not in select_engine(classifier, options(tmp_path, "openvino")).reason


def test_cached_network_that_does_not_match_is_converted_again(tmp_path: Path) -> None:
    """Replace the converted network in the cache with another network."""
    folders = [tmp_path / str(digit) for digit in (3, 7)]
    for digit, folder in zip((3, 7), folders, strict=True):
        save_always(digit, folder)
    wrong, right = (Classifier.load("mnist", folder, CPU) for folder in folders)
    cache = tmp_path / "cache"
    assert select_engine(right, options(cache, "openvino")).engine.kind.name == "openvino"
    (kept,) = cache.glob("mnist-*")
    convert(wrong, tmp_path / "other")
    (other,) = (tmp_path / "other").glob("mnist-*")
    for path in other.iterdir():
        shutil.copy(path, kept)
    selection = select_engine(right, options(cache, "openvino"))
    assert selection.engine.kind.name == "openvino"
    assert selection.engine.probabilities(probes(MNIST.input)).argmax(dim=1).tolist() == [7] * 16


def test_same_weights_with_another_input_are_converted_again(tmp_path: Path) -> None:
    save_always(3, tmp_path)
    card, network = checkpoint.load("mnist", tmp_path)
    lighter = replace(card, spec=replace(card.spec, input=replace(card.spec.input, mean=(0.9,))))
    for each in (card, lighter):
        classifier = Classifier(each, network, CPU)
        select_engine(classifier, options(tmp_path / "cache", "openvino"))
        (folder,) = (tmp_path / "cache").glob("mnist-*")
        assert each.digest in folder.name
    assert len(json.loads((tmp_path / "cache" / "verdicts.json").read_text())) == 2


def test_damaged_cache_is_rebuilt(tmp_path: Path) -> None:
    save_always(3, tmp_path)
    classifier = Classifier.load("mnist", tmp_path, CPU)
    select_engine(classifier, options(tmp_path / "cache", "openvino"))
    (model,) = (tmp_path / "cache").glob("*/model.xml")
    model.write_text("<net")
    engine = select_engine(classifier, options(tmp_path / "cache", "openvino")).engine
    assert engine.kind.name == "openvino"
    assert engine.probabilities(probes(MNIST.input)).argmax(dim=1).tolist() == [3] * 16


def test_selection_works_without_a_writable_cache(tmp_path: Path) -> None:
    save_always(3, tmp_path)
    (tmp_path / "file").write_text("in the way")
    selection = select_engine(Classifier.load("mnist", tmp_path, CPU), options(tmp_path / "file"))
    assert selection.engine.probabilities(probes(MNIST.input)).argmax(dim=1).tolist() == [3] * 16


def test_selection_works_on_a_full_disk(classifier: Classifier, tmp_path: Path) -> None:
    """Files of at most 100 kB can be written: the selection, but no converted network."""
    limits = resource.getrlimit(resource.RLIMIT_FSIZE)
    previous = signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
    resource.setrlimit(resource.RLIMIT_FSIZE, (100_000, limits[1]))
    try:
        selection = select_engine(classifier, options(tmp_path, "openvino"))
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, limits)
        signal.signal(signal.SIGXFSZ, previous)
    assert selection.engine.kind.name == "openvino"
    assert [path.name for path in tmp_path.iterdir()] == ["verdicts.json"]


def test_temporary_folders_of_killed_processes_are_removed(tmp_path: Path) -> None:
    save_always(3, tmp_path)
    old, recent = tmp_path / ".making-old", tmp_path / ".making-recent"
    for folder in (old, recent):
        folder.mkdir()
    os.utime(old, (0, 0))
    convert(Classifier.load("mnist", tmp_path, CPU), tmp_path)
    assert not old.exists()
    assert recent.exists()


@pytest.mark.parametrize(
    ("module", "reason"),
    [("raise ImportError('libtbb.so.12')", "libtbb"), ("", "no attribute")],
    ids=["broken", "empty"],
)
def test_pytorch_is_selected_without_a_working_openvino(
    module: str, reason: str, tmp_path: Path
) -> None:
    """Run a subprocess that imports a fake OpenVINO."""
    save_always(3, tmp_path)
    (tmp_path / "openvino").mkdir()
    (tmp_path / "openvino/__init__.py").write_text(module)
    done = subprocess.run(
        [sys.executable, "-c", _SELECTING, str(tmp_path)],
        cwd=ROOT,
        capture_output=True,
        text=True,
        check=True,
    )
    lines = [line for line in done.stdout.splitlines() if line.startswith("SELECTED")]
    assert len(lines) == 2
    for line in lines:
        assert line.startswith("SELECTED torch ")
        assert reason in line
    assert " done " in lines[0]
    assert " failed No other engine can be used: openvino float32 failed" in lines[1]
    assert not (tmp_path / "cache/verdicts.json").exists()  # the next start tries again


@pytest.mark.parametrize(
    "text",
    [
        "",
        "[]",
        "[" * 100_000,
        '{"key": 1}',
        '{"key": {"kind": {"name": "x"}}}',
        '{"key": {"kind": {"name": [], "dtype": "x"}, "reason": "y"}}',
    ],
)
def test_damaged_cache_file_is_ignored(tmp_path: Path, text: str) -> None:
    (tmp_path / "verdicts.json").write_text(text)
    cache = SelectionCache(tmp_path / "verdicts.json")
    assert cache.find("key") is None
    selection = CachedSelection(EngineKind("torch", "float32"), "because")
    cache.put("key", selection)
    assert cache.find("key") == selection


def test_host_description_names_versions_and_device() -> None:
    words = host_description(CPU)
    assert f"torch {torch.__version__.partition('+')[0]}" in words
    assert "openvino 20" in words


def test_digit_probes_cover_most_classes() -> None:
    digits = Classifier.load("mnist", ROOT / "models", CPU)
    found = digits.probabilities(probes(MNIST.input)).argmax(dim=1)
    assert len(set(found.tolist())) >= 5


def test_probes_are_reproducible_and_distinct() -> None:
    first, again = probes(CATDOG.input), probes(CATDOG.input)
    assert all(torch.equal(one, other) for one, other in zip(first, again, strict=True))
    assert len({picture.float().mean().item() for picture in first}) == len(first)
    assert all(picture.dtype is torch.uint8 for picture in first)


@pytest.mark.parametrize(
    ("answers", "expected"),
    [
        ([[0.9, 0.1]], 0.0),
        ([[0.895, 0.105]], 0.005),
        ([[0.4, 0.6]], float("inf")),
        ([[float("nan"), 0.1]], float("inf")),
    ],
)
def test_disagreement(answers: list[list[float]], expected: float) -> None:
    found = disagreement(Tensor(answers), Tensor([[0.9, 0.1]]), TOLERANCE)
    assert found == pytest.approx(expected, abs=1e-6)


def test_equally_likely_classes_may_swap() -> None:
    near = TOLERANCE / 4
    first = Tensor([[0.5 - near, 0.5 + near]])
    assert disagreement(first, first.flip(1), TOLERANCE) == pytest.approx(2 * near, abs=1e-6)


def test_openvino_telemetry_is_disabled(tmp_path: Path) -> None:
    code = "import app.engines.openvino, openvino; assert openvino.convert_model"
    environment = os.environ | {"HOME": str(tmp_path)}
    subprocess.run([sys.executable, "-c", code], cwd=ROOT, env=environment, check=True)
    assert not list(tmp_path.iterdir())  # where it would note who it is
