import copy
import json
import threading
from collections.abc import Sequence
from dataclasses import replace
from inspect import GEN_RUNNING, getgeneratorstate
from pathlib import Path

import pytest
import torch
from PIL import Image

from app.engines.pytorch import ReferenceEngine
from app.engines.selection import EngineSelection
from app.evaluation.evaluator import Evaluator
from app.evaluation.labeled_images import LabeledSet, label_files
from app.evaluation.predictions import Predictions, PredictionsError
from app.evaluation.report import EvaluationReport
from app.evaluation.sources import ImageFolder, ImageSource
from app.evaluation.worst_mistakes import with_thumbnails
from app.limits import ImageLimits
from app.vision.classifier import Classifier
from app.vision.images import PixelBudget
from tests.checkpoints import save_always
from tests.evaluation.archives import put
from tests.patience import patient
from tests.pictures import encode, photograph
from tests.service import wait_until

LIMITS = ImageLimits(max_bytes=100_000, max_pixels=100_000)


@pytest.fixture(scope="module")
def evaluator(tmp_path_factory: pytest.TempPathFactory) -> Evaluator:
    """Evaluator of a network that always predicts 3, with probability 0.99."""
    models = tmp_path_factory.mktemp("models")
    save_always(3, models)
    classifier = Classifier.load("mnist", models, torch.device("cpu"))
    choice = EngineSelection(ReferenceEngine(classifier), "for a test", min_side_px=None)
    return Evaluator(classifier, choice, LIMITS, PixelBudget(1_000_000), threads=2)


@pytest.fixture
def digits(tmp_path: Path) -> ImageSource:
    """Sixty images of 3, twenty of 5, a damaged one and one that is too large."""
    picture = encode(Image.new("L", (28, 28)))
    files = {f"three/{n}.png": picture for n in range(60)} | {
        f"5/{n}.png": picture for n in range(20)
    }
    files["5/broken.png"] = picture[:50]
    files["3/large.png"] = encode(photograph(400, 300))
    files["ten/1.png"] = picture
    return ImageFolder(put(tmp_path, files))


def test_report_names_only_the_largest_of_many_unknown_folders(
    evaluator: Evaluator, tmp_path: Path
) -> None:
    files = dict.fromkeys(
        ["3/1.png", "large/1.png", "large/2.png"], encode(Image.new("L", (28, 28)))
    )
    files |= {f"other-{number}/1.png": b"" for number in range(200)}
    report = whole(evaluator, ImageFolder(put(tmp_path, files)))
    assert len(report.unknown_folders) == 100
    assert report.unknown_folders["large"] == 2
    assert report.unknown_folder_count == 201


class _Gated(ImageSource):
    """Allows a number of reads, and blocks further ones until the gate is opened."""

    def __init__(self, files: ImageSource, open_for: int) -> None:
        self._files, self._open_for = files, open_for
        self.reads = 0
        self.is_stuck, self.gate = threading.Event(), threading.Event()

    @property
    def names(self) -> Sequence[str]:
        return self._files.names

    def read(self, name: str, max_bytes: int) -> bytes:
        self.reads += 1
        if self.reads > self._open_for:
            self.is_stuck.set()
            assert self.gate.wait(timeout=patient())
        return self._files.read(name, max_bytes)


def labeled(source: ImageSource, evaluator: Evaluator) -> LabeledSet:
    return label_files(source.names, evaluator.classifier.card.spec.class_of)


def whole(evaluator: Evaluator, source: ImageSource) -> EvaluationReport:
    labels, answers = labeled(source, evaluator), Predictions()
    for _ in evaluator.run(source, labels, answers):
        pass
    return evaluator.report(labels, answers)


def test_report_of_a_network_with_known_predictions(
    evaluator: Evaluator, digits: ImageSource
) -> None:
    report = whole(evaluator, digits)
    assert report.n == 80
    assert report.accuracy == 60 / 80
    assert report.classes[3].recall == 1
    assert report.classes[5].recall == 0
    assert report.confusion_matrix.counts[5][3] == 20
    assert report.calibration.ece == pytest.approx(0.99 - 0.75, abs=1e-6)
    assert (report.unknown_folders, report.unknown_folder_count) == ({"ten": 1}, 1)
    skipped = {each.filename: each.reason for each in report.skipped}
    assert report.skipped_count == len(skipped) == 3
    assert "damaged" in skipped["5/broken.png"]
    assert "pixels" in skipped["3/large.png"]
    assert "not a class" in skipped["ten/1.png"]
    assert report.model == {"name": "mnist", "version": evaluator.classifier.card.version}
    assert report.images_per_s > 0
    assert len(report.worst_mistakes) == 12
    for mistake in report.worst_mistakes:
        assert (mistake.label, mistake.predicted) == ("5", "3")
        assert mistake.predicted_probability == pytest.approx(0.99)
    json.dumps(report.to_json(), allow_nan=False)


def test_resumed_evaluation_gives_the_same_report(
    evaluator: Evaluator, digits: ImageSource
) -> None:
    labels, answers = labeled(digits, evaluator), Predictions()
    kept = b""
    for _ in evaluator.run(digits, labels, answers):
        kept = answers.to_bytes()
        if answers.seen > 30:
            break
    resumed = Predictions.from_bytes(kept)
    assert (resumed.seen, resumed.skipped) == (answers.seen, answers.skipped)
    for _ in evaluator.run(digits, labels, resumed):
        pass
    report = evaluator.report(labels, resumed)
    once = whole(evaluator, digits)
    timeless = {"seconds": 0, "images_per_s": 0}
    assert report.to_json() | timeless == once.to_json() | timeless


@pytest.mark.parametrize("data", [b"", b"PK\5\6" + bytes(18), Predictions().to_bytes()[:100]])
def test_damaged_predictions_are_refused(data: bytes) -> None:
    with pytest.raises(PredictionsError):
        Predictions.from_bytes(data)


def test_report_covers_partial_predictions(evaluator: Evaluator, digits: ImageSource) -> None:
    labels, answers = labeled(digits, evaluator), Predictions()
    next(evaluator.run(digits, labels, answers))
    report = evaluator.report(labels, copy.copy(answers))
    assert 0 < report.n < 80


def test_skipped_files_are_yielded_as_progress(evaluator: Evaluator, tmp_path: Path) -> None:
    broken = encode(photograph(300, 300), "PNG")[:-1000]
    source = ImageFolder(put(tmp_path, {f"3/{n}.png": broken for n in range(2000)}))
    labels, answers = labeled(source, evaluator), Predictions()
    seen = [answers.seen for _ in evaluator.run(source, labels, answers)]
    assert seen[-1] == 2000
    assert len(seen) >= min(2, int(answers.seconds))


def test_closing_the_generator_stops_reading_files(
    evaluator: Evaluator, digits: ImageSource
) -> None:
    source = _Gated(digits, open_for=12)
    files = labeled(digits, evaluator).files
    images = replace(evaluator, threads=1).preprocess(source, files)
    next(images)
    assert source.is_stuck.wait(timeout=patient())

    def open_gate_once_closing() -> None:
        wait_until(lambda: getgeneratorstate(images) == GEN_RUNNING)
        source.gate.set()

    opener = threading.Thread(target=open_gate_once_closing)
    opener.start()
    images.close()  # in the middle of a chunk
    opener.join()
    assert source.reads == 13


def test_worst_mistakes_get_thumbnails(evaluator: Evaluator, tmp_path: Path) -> None:
    wide = encode(photograph(300, 30))
    source = ImageFolder(put(tmp_path, {"5/1.png": wide, "5/2.png": wide, "3/1.png": wide}))
    mistakes = whole(evaluator, source).worst_mistakes
    (tmp_path / "5/2.png").unlink()
    ((mistake, picture),) = with_thumbnails(mistakes, source, LIMITS)
    assert mistake.filename == "5/1.png"
    assert mistake.thumbnail in ("mistake-01.jpg", "mistake-02.jpg")
    (tmp_path / "thumbnail.jpg").write_bytes(picture)
    with Image.open(tmp_path / "thumbnail.jpg") as image:
        assert (image.format, image.size) == ("JPEG", (192, 19))


def test_batches_grow_and_every_image_is_predicted_once(
    evaluator: Evaluator, tmp_path: Path
) -> None:
    picture = encode(Image.new("L", (28, 28)))
    source = ImageFolder(put(tmp_path, {f"3/{n}.png": picture for n in range(301)}))
    labels, answers = labeled(source, evaluator), Predictions()
    seen = [answers.seen for _ in evaluator.run(source, labels, answers)]
    steps = [after - before for before, after in zip([0, *seen], seen, strict=False)]
    assert seen[-1] == 301
    assert steps[0] == 8
    assert max(steps) > 8
    assert sorted(answers.positions) == list(range(301))
