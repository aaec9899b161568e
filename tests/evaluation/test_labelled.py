import tracemalloc

import pytest
from hypothesis import given
from hypothesis import strategies as st

from app.evaluation.errors import NothingLabelledError
from app.evaluation.labeled_images import Labels, label
from app.vision import checkpoint
from app.vision.specs import CATDOG, CIFAR10, SPECS
from tests.service import ROOT

CAT, DOG = 0, 1


def labelled(*names: str) -> Labels:
    return label(names, CATDOG.class_of)


def classes(labels: Labels) -> dict[str, int]:
    return {file.name: file.label for file in labels.files}


def reasons(labels: Labels) -> dict[str, str]:
    return {each.filename: each.reason for each in labels.skipped}


def test_the_folder_names_the_class() -> None:
    labels = labelled("cat/1.jpg", "dog/7.jpg", "dog/8.jpg")
    assert classes(labels) == {"cat/1.jpg": CAT, "dog/7.jpg": DOG, "dog/8.jpg": DOG}
    assert not labels.skipped
    assert not labels.unknown_folders


def test_case_and_aliases_do_not_matter() -> None:
    labels = labelled("Cat/1.jpg", "CATS/2.jpg", "dogs/1.jpg")
    assert classes(labels) == {"Cat/1.jpg": CAT, "CATS/2.jpg": CAT, "dogs/1.jpg": DOG}


@pytest.mark.parametrize(
    "names",
    [
        ("pets/test/cat/1.jpg", "pets/test/dog/1.jpg"),
        ("test/cat/1.jpg", "test/dog/1.jpg", "test/README"),
        ("cat/1.jpg", "cat/more/2.jpg"),
        ("pets/cat/1.jpg", "pets/cat/2.jpg"),
        ("cat/1.jpg",),
        ("pets\\cat\\1.jpg", "pets\\dog\\1.jpg"),
        ("./cat/1.jpg", "./dog/1.jpg"),
        ("pets/cat/1.jpg", "pets/dog/1.jpg", "README.txt"),
        ("pets/README", "pets/test/cat/1.jpg", "pets/test/dog/1.jpg"),
        ("cat/2020/01/1.jpg", "cat/2020/02/2.jpg"),
        ("pets/cat/a/b/1.jpg",),
    ],
)
def test_class_folders_may_lie_in_others_and_have_folders(names: tuple[str, ...]) -> None:
    labels = labelled(*names)
    pictures = {name for name in names if name.endswith(".jpg")}
    assert classes(labels).keys() == pictures
    assert not labels.unknown_folders


@pytest.mark.parametrize(
    ("model", "folder", "label"), [("mnist", "Seven", 7), ("cifar10", "Cats", 3)]
)
def test_shipped_models_know_their_aliases(model: str, folder: str, label: int) -> None:
    spec = checkpoint.load_card(model, ROOT / "models").spec
    assert spec.class_of(folder) == label
    assert spec.aliases == SPECS[model].aliases


def test_unknown_folders_are_reported_and_never_guessed() -> None:
    labels = labelled("cat/1.jpg", "catfish/1.jpg", "catfish/2.jpg", "lost.jpg")
    assert classes(labels) == {"cat/1.jpg": CAT}
    assert labels.unknown_folders == {"catfish": 2}
    assert reasons(labels) == {
        "catfish/1.jpg": "'catfish' is not a class of the model",
        "catfish/2.jpg": "'catfish' is not a class of the model",
        "lost.jpg": "it is in no class folder",
    }


@pytest.mark.parametrize(
    "names", [("cats/cat/1.jpg", "cats/dog/2.jpg"), ("dog/of/cat/1.jpg",), ("cat/dog/1.jpg",)]
)
def test_classes_inside_one_another_are_refused(names: tuple[str, ...]) -> None:
    with pytest.raises(NothingLabelledError, match="name the outer one otherwise"):
        labelled(*names)


def test_a_file_in_folders_of_two_classes_counts_for_neither() -> None:
    labels = labelled("cat/dog/1.jpg", "cat/cats/2.jpg", "cat/box/3.jpg", "dog/4.jpg")
    assert classes(labels) == {"cat/cats/2.jpg": CAT, "cat/box/3.jpg": CAT, "dog/4.jpg": DOG}
    assert reasons(labels) == {"cat/dog/1.jpg": "it is in 'cat', and in 'dog' inside: two classes"}


def test_a_deep_folder_costs_no_more_than_its_name() -> None:
    tracemalloc.start()
    labels = labelled("cat/" + "a/" * 20_000 + "1.jpg", "dog/2.jpg")
    _, peak_bytes = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    assert len(labels.files) == 2
    assert peak_bytes < 10_000_000


def test_a_name_counts_once_however_it_is_spelt() -> None:
    labels = labelled("cat/1.jpg", "./cat/1.jpg", "cat//1.jpg", "cat\\1.jpg", "dog/1.jpg")
    assert classes(labels) == {"cat/1.jpg": CAT, "dog/1.jpg": DOG}
    assert reasons(labels) == {"cat/1.jpg": "the name comes 4 times; the first counts"}


def test_what_desktops_leave_behind_is_passed_over() -> None:
    litter = ("cat/.DS_Store", "__MACOSX/cat/._1.jpg", "cat/Thumbs.db", ".git/cat/x.jpg")
    labels = labelled("cat/1.jpg", *litter)
    assert (classes(labels), labels.skipped) == ({"cat/1.jpg": CAT}, [])


def test_a_name_that_comes_twice_counts_once() -> None:
    labels = labelled("cat/1.jpg", "cat/1.jpg", "dog/1.jpg")
    assert classes(labels) == {"cat/1.jpg": CAT, "dog/1.jpg": DOG}
    assert reasons(labels) == {"cat/1.jpg": "the name comes 2 times; the first counts"}


@pytest.mark.parametrize(
    "names", [(), ("zebra/1.jpg",), ("1.jpg", "2.jpg"), ("train/cat/1", "x/2")]
)
def test_nothing_labelled_is_said_with_the_folders(names: tuple[str, ...]) -> None:
    with pytest.raises(NothingLabelledError, match="the folders are: "):
        labelled(*names)


def test_any_part_from_the_start_stands_for_all() -> None:
    labels = labelled(*(f"cat/{n}.jpg" for n in range(500)), *(f"dog/{n}.jpg" for n in range(500)))
    dogs = sum(file.label == DOG for file in labels.files[:200])
    assert 70 < dogs < 130
    assert labels.files == labelled(*sorted(classes(labels))).files


_PARTS = st.sampled_from(["cat", "Cats", "dog", "ship", "..", ".x", "a\\b", "", "ß", "CAT"])


@given(st.lists(st.lists(_PARTS, min_size=1, max_size=4).map("/".join), max_size=12))
def test_every_file_is_labelled_skipped_or_litter(names: list[str]) -> None:
    try:
        labels = label(names, CIFAR10.class_of)
    except NothingLabelledError:
        return
    found = [file.name for file in labels.files]
    assert len(found) == len(set(found))
    assert set(found) | {each.filename for each in labels.skipped} <= set(names)
    for file in labels.files:
        folders = file.name.replace("\\", "/").split("/")[:-1]
        assert file.label in {CIFAR10.class_of(folder) for folder in folders}
