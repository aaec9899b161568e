import json
from dataclasses import replace
from pathlib import Path

import pytest
import torch
from torch import Tensor

from app.engines.choice import TOLERANCE, EngineOptions, choose, disagreement, probes
from app.engines.engine import Kind
from app.engines.openvino import OpenVinoEngine
from app.engines.pytorch import PyTorchEngine
from app.engines.verdicts import Verdict, Verdicts, circumstances
from app.vision import checkpoint
from app.vision.classifier import Classifier
from app.vision.specs import CATDOG, MNIST
from tests.checkpoints import save_always
from tests.service import ROOT

CPU = torch.device("cpu")


def options(cache: Path, preference: str = "auto") -> EngineOptions:
    return EngineOptions(preference, threads=1, compiled=False, cache=cache)  # type: ignore[arg-type]


@pytest.fixture(scope="module", params=["mnist", "cifar10"])
def classifier(request: pytest.FixtureRequest) -> Classifier:
    """A shipped model."""
    return Classifier.load(request.param, ROOT / "models", CPU)


@pytest.fixture(scope="module")
def cache(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("engines")


@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16])
@pytest.mark.parametrize("count", [1, 3, 16])
def test_engines_answer_as_the_network_does(
    classifier: Classifier, cache: Path, dtype: torch.dtype, count: int
) -> None:
    pictures = probes(classifier.card.spec.input)[:count]
    expected = classifier.probabilities(pictures)
    tolerance = 1e-5 if dtype is torch.float32 else 0.02
    for engine in (
        PyTorchEngine(classifier, dtype),
        OpenVinoEngine(classifier, dtype, threads=1, cache=cache),
    ):
        answers = engine.probabilities(pictures)
        assert (answers.shape, answers.dtype) == (expected.shape, torch.float32)
        assert (answers - expected).abs().max() < tolerance
        assert engine.kind.dtype == str(dtype).removeprefix("torch.")


def test_answers_stay_when_the_engine_answers_again(classifier: Classifier, cache: Path) -> None:
    engine = OpenVinoEngine(classifier, torch.float32, threads=1, cache=cache)
    first, second = probes(classifier.card.spec.input)[:2]
    before = engine.probabilities([first])
    copy = before.clone()
    engine.probabilities([second])
    assert torch.equal(before, copy)


def test_the_choice_is_kept_with_its_reason(classifier: Classifier, tmp_path: Path) -> None:
    first = choose(classifier, options(tmp_path))
    assert first.reason.startswith("fastest that agrees with float32 PyTorch: torch float32 ")
    assert "openvino float32" in first.reason
    assert choose(classifier, options(tmp_path)).reason == first.reason
    assert str(first.engine.kind) in first.reason


def test_exact_is_float32_pytorch_itself(classifier: Classifier, tmp_path: Path) -> None:
    choice = choose(classifier, options(tmp_path, "exact"))
    pictures = probes(classifier.card.spec.input)
    assert choice.engine.kind == Kind("torch", "float32")
    assert choice.reason == "the settings ask for exactly this"
    expected = classifier.probabilities(pictures)
    assert torch.equal(choice.engine.probabilities(pictures), expected)


def test_a_preference_leaves_the_other_out(classifier: Classifier, tmp_path: Path) -> None:
    assert "openvino" not in choose(classifier, options(tmp_path, "torch")).reason
    assert "torch bfloat16" not in choose(classifier, options(tmp_path, "openvino")).reason


def test_an_engine_that_answers_otherwise_is_not_used(tmp_path: Path) -> None:
    """OpenVINO finds a converted network in its cache that is another one."""
    folders = [tmp_path / str(digit) for digit in (3, 7)]
    for digit, folder in zip((3, 7), folders, strict=True):
        save_always(digit, folder)
    wrong, right = (Classifier.load("mnist", folder, CPU) for folder in folders)
    OpenVinoEngine(wrong, torch.float32, threads=1, cache=tmp_path)
    (kept,) = tmp_path.glob("mnist-*")
    kept.rename(tmp_path / kept.name.replace(wrong.card.digest, right.card.digest))
    choice = choose(right, options(tmp_path))
    assert choice.engine.kind.name == "torch"
    assert "openvino float32 differs by inf" in choice.reason


def test_the_same_weights_with_another_input_are_converted_anew(tmp_path: Path) -> None:
    save_always(3, tmp_path)
    card, network = checkpoint.load("mnist", tmp_path)
    lighter = replace(card, spec=replace(card.spec, input=replace(card.spec.input, mean=(0.9,))))
    for each in (card, lighter):
        classifier = Classifier(each, network, CPU)
        choose(classifier, options(tmp_path / "cache", "openvino"))
        (folder,) = (tmp_path / "cache").glob("mnist-*")
        assert each.digest in folder.name
    assert len(json.loads((tmp_path / "cache" / "verdicts.json").read_text())) == 2


def test_a_damaged_cache_is_made_again(tmp_path: Path) -> None:
    save_always(3, tmp_path)
    classifier = Classifier.load("mnist", tmp_path, CPU)
    OpenVinoEngine(classifier, torch.float32, threads=1, cache=tmp_path / "cache")
    (model,) = (tmp_path / "cache").glob("*/model.xml")
    model.write_text("<net")
    engine = OpenVinoEngine(classifier, torch.float32, threads=1, cache=tmp_path / "cache")
    assert engine.probabilities(probes(MNIST.input)).argmax(dim=1).tolist() == [3] * 16


def test_a_cache_that_cannot_be_written_costs_only_time(tmp_path: Path) -> None:
    save_always(3, tmp_path)
    (tmp_path / "file").write_text("in the way")
    choice = choose(Classifier.load("mnist", tmp_path, CPU), options(tmp_path / "file"))
    assert choice.engine.probabilities(probes(MNIST.input)).argmax(dim=1).tolist() == [3] * 16


@pytest.mark.parametrize("text", ["", "[]", '{"key": 1}', '{"key": {"kind": {"name": "x"}}}'])
def test_damaged_verdicts_count_as_none(tmp_path: Path, text: str) -> None:
    (tmp_path / "verdicts.json").write_text(text)
    verdicts = Verdicts(tmp_path / "verdicts.json")
    assert verdicts.find("key") is None
    verdict = Verdict(Kind("torch", "float32"), "because")
    verdicts.keep("key", verdict)
    assert verdicts.find("key") == verdict


def test_circumstances_name_what_a_verdict_depends_on() -> None:
    words = circumstances(CPU)
    assert f"torch {torch.__version__.partition('+')[0]}" in words
    assert "openvino 20" in words


def test_probes_are_the_same_every_time_and_not_alike() -> None:
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
    found = disagreement(Tensor(answers), Tensor([[0.9, 0.1]]))
    assert found == pytest.approx(expected, abs=1e-6)


def test_two_that_are_equally_likely_may_change_places() -> None:
    near = TOLERANCE / 4
    first = Tensor([[0.5 - near, 0.5 + near]])
    assert disagreement(first, first.flip(1)) == pytest.approx(2 * near, abs=1e-6)
