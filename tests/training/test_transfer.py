from dataclasses import replace
from pathlib import Path

import pytest
import torch
from rich.console import Console

from app.vision.preprocess import preprocess
from app.vision.specs import CATDOG
from tests.checkpoints import card
from tests.training.tiny import backbone_state, photographs
from training.backbone import Backbone, BackboneError, Photographs
from training.catdog_densenet import HEAD, UNFROZEN
from training.examples import Examples
from training.loop import Trainer, predict
from training.runs import RunError
from training.splits import Split, split
from training.transfer import FineTuning, HeadTask

_CPU = torch.device("cpu")
_SPEC = replace(CATDOG, input=CATDOG.input.sized(32))


def _data(count: int = 40) -> Split:
    pictures, labels = photographs(count)
    images = torch.stack([preprocess(picture, _SPEC.input) for picture in pictures])
    return split(Examples(images, torch.tensor([_SPEC.classes.index(n) for n in labels])), seed=0)


@pytest.fixture
def task() -> HeadTask:
    """The recipe of the head, on a random backbone and small images."""
    state = {name: value for name, value in backbone_state().items() if "classifier" not in name}
    # The statistics of random weights say nothing yet; let them be those of some images.
    backbone = Backbone(state, {"weights": "random"}, imagenet=False, photographs=None)
    network = backbone.network().train()
    network(torch.rand(30, 3, 32, 32, generator=torch.Generator().manual_seed(0)))
    return HeadTask(
        **vars(HEAD) | {"spec": _SPEC, "recipe": replace(HEAD.recipe, epochs=6, batch_size=16)},
        backbone=replace(backbone, state=network.state_dict()),
        view_count=3,
        view_seed=0,
        split_seed=0,
    )


def test_the_head_learns_and_the_backbone_stays(task: HeadTask, tmp_path: Path) -> None:
    data = _data()
    before = {name: value.clone() for name, value in task.backbone.state.items()}
    lessons = task.lessons(data, _CPU, tmp_path, Console())
    assert lessons.train.images.shape == (32, 3, 1024)
    assert lessons.validation.images.shape == (8, 1, 1024)
    assert lessons.digest == data.digest
    trainer = Trainer(task, lessons, _CPU, seed=0)
    list(trainer.run())
    network = task.complete(trainer.best())
    state = network.state_dict()
    assert all(torch.equal(state[name], value) for name, value in before.items())
    assert not network.training
    unseen = _data(60).validation
    outputs = predict(network, unseen.images, _SPEC.input)
    assert (outputs.argmax(dim=1) == unseen.labels).all()


def test_validated_network_is_the_served_one(task: HeadTask, tmp_path: Path) -> None:
    data = _data()
    lessons = task.lessons(data, _CPU, tmp_path, Console())
    trained = task.build().eval()
    with torch.inference_mode():
        from_features = trained(task.plain(lessons.validation.images))
    network = task.complete(trained)
    from_pixels = predict(network, data.validation.images, _SPEC.input)
    assert torch.allclose(from_features, from_pixels, atol=1e-5)


def test_features_are_kept_while_they_are_the_same(task: HeadTask, tmp_path: Path) -> None:
    task.lessons(_data(), _CPU, tmp_path, Console())
    written = (tmp_path / "features.pt").stat().st_mtime_ns
    task.lessons(_data(), _CPU, tmp_path, Console())
    assert (tmp_path / "features.pt").stat().st_mtime_ns == written
    replace(task, view_count=2).lessons(_data(), _CPU, tmp_path, Console())
    assert (tmp_path / "features.pt").stat().st_mtime_ns > written


@pytest.mark.parametrize("seen", [Photographs(32, split_seed=1), Photographs(31, split_seed=0)])
def test_backbone_trained_on_validation_photographs_is_refused(
    task: HeadTask, tmp_path: Path, seen: Photographs
) -> None:
    data = _data()
    same = replace(task.backbone, photographs=Photographs(32, split_seed=0))
    assert len(replace(task, backbone=same).lessons(data, _CPU, tmp_path, Console()).train) == 32
    other = replace(task.backbone, photographs=seen)
    with pytest.raises(BackboneError, match="may have seen some of those"):
        replace(task, backbone=other).lessons(data, _CPU, tmp_path, Console())


def test_every_view_is_chosen_sometimes(task: HeadTask) -> None:
    torch.manual_seed(0)
    views = torch.arange(3.0).view(1, 3, 1).expand(100, 3, 8)
    chosen = task.varied(views)
    assert chosen.shape == (100, 8)
    assert set(chosen[:, 0].tolist()) == {0.0, 1.0, 2.0}
    assert set(task.plain(views)[:, 0].tolist()) == {0.0}


def test_fine_tuning_goes_on_with_all_weights(task: HeadTask, tmp_path: Path) -> None:
    data = _data()
    scores = replace(
        card().test, classes=dict.fromkeys(_SPEC.classes, next(iter(card().test.classes.values())))
    )
    start = replace(
        card(),
        spec=_SPEC,
        validation=scores,
        test=scores,
        data=replace(card().data, split=data.digest),
    )
    recipe = replace(UNFROZEN.recipe, epochs=1, batch_size=16)
    tuning = FineTuning(
        **vars(UNFROZEN) | {"spec": _SPEC, "recipe": recipe},
        card=start,
        network=task.complete(task.build()),
    )
    assert tuning.lessons(data, _CPU, tmp_path, Console()) is data
    trainer = Trainer(tuning, data, _CPU, seed=0)
    list(trainer.run())
    before, after = tuning.network.state_dict(), trainer.best().state_dict()
    changed = {name for name in before if not torch.equal(before[name], after[name])}
    assert {"features.conv0.weight", "classifier.fc2.bias"} <= changed
    with pytest.raises(RunError, match="--split-seed"):
        tuning.lessons(replace(data, digest="another"), _CPU, tmp_path, Console())
