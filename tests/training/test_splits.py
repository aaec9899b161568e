import torch

from tests.training.tiny import tiles
from training.examples import Examples
from training.splits import positions, split


def _numbered(count: int) -> Examples:
    return Examples(torch.zeros(count, 1, 2, 2, dtype=torch.uint8), torch.arange(count))


def test_a_fifth_is_set_aside_and_nothing_is_lost() -> None:
    parts = split(_numbered(1000), seed=3)
    train, validation = parts.train.labels.tolist(), parts.validation.labels.tolist()
    assert len(validation) == 200
    assert sorted(train + validation) == list(range(1000))
    assert validation != sorted(validation)


def test_the_seed_decides() -> None:
    first, again, other = (split(_numbered(100), seed) for seed in (0, 0, 1))
    assert torch.equal(first.validation.labels, again.validation.labels)
    assert not torch.equal(first.validation.labels, other.validation.labels)


def test_positions_are_those_of_the_split() -> None:
    parts = split(_numbered(100), seed=7)
    train, validation = positions(100, seed=7)
    assert torch.equal(train, parts.train.labels)
    assert torch.equal(validation, parts.validation.labels)


def test_the_digest_names_seed_pixels_and_labels() -> None:
    examples = tiles(50)
    digest = split(examples, seed=0).digest
    assert split(examples, seed=0).digest == digest
    pixel, label = examples.images.clone(), examples.labels.clone()
    pixel[7, 0, 3, 3] += 1
    label[7] = (label[7] + 1) % 10
    others = {
        split(examples, seed=1).digest,
        split(Examples(pixel, examples.labels), seed=0).digest,
        split(Examples(examples.images, label), seed=0).digest,
    }
    assert len(others | {digest}) == 4
