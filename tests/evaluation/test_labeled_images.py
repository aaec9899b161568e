import tracemalloc

import pytest
from hypothesis import given
from hypothesis import strategies as st

from app.evaluation.errors import NoLabeledFilesError
from app.evaluation.labeled_images import LabeledSet, label_files
from app.vision import checkpoint
from app.vision.specs import CATDOG, CIFAR10, SPECS
from tests.service import ROOT

CAT, DOG = 0, 1


def labeled(*names: str) -> LabeledSet:
    return label_files(names, CATDOG.class_of)


def classes(labels: LabeledSet) -> dict[str, int]:
    return {file.name: file.label for file in labels.files}


def reasons(labels: LabeledSet) -> dict[str, str]:
    return {each.filename: each.reason for each in labels.skipped}


def test_folder_name_is_the_class() -> None:
    labels = labeled("cat/1.jpg", "dog/7.jpg", "dog/8.jpg")
    assert classes(labels) == {"cat/1.jpg": CAT, "dog/7.jpg": DOG, "dog/8.jpg": DOG}
    assert not labels.skipped
    assert not labels.unknown_folders


def test_case_is_ignored_and_aliases_are_accepted() -> None:
    labels = labeled("Cat/1.jpg", "CATS/2.jpg", "dogs/1.jpg")
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
def test_class_folders_may_have_parent_folders_and_subfolders(names: tuple[str, ...]) -> None:
    labels = labeled(*names)
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
    labels = labeled("cat/1.jpg", "catfish/1.jpg", "catfish/2.jpg", "lost.jpg")
    assert classes(labels) == {"cat/1.jpg": CAT}
    assert labels.unknown_folders == {"catfish": 2}
    assert reasons(labels) == {
        "catfish/1.jpg": "'catfish' is not a class of the model",
        "catfish/2.jpg": "'catfish' is not a class of the model",
        "lost.jpg": "the file is not in a class folder",
    }


@pytest.mark.parametrize(
    "names", [("cats/cat/1.jpg", "cats/dog/2.jpg"), ("dog/of/cat/1.jpg",), ("cat/dog/1.jpg",)]
)
def test_nested_class_folders_are_refused(names: tuple[str, ...]) -> None:
    with pytest.raises(NoLabeledFilesError, match="Rename the outer folder"):
        labeled(*names)


def test_file_in_folders_of_two_classes_is_skipped() -> None:
    labels = labeled("cat/dog/1.jpg", "cat/cats/2.jpg", "cat/box/3.jpg", "dog/4.jpg")
    assert classes(labels) == {"cat/cats/2.jpg": CAT, "cat/box/3.jpg": CAT, "dog/4.jpg": DOG}
    assert reasons(labels) == {
        "cat/dog/1.jpg": "the file is in folders of two classes, 'cat' and 'dog'"
    }


def test_deep_folder_takes_little_memory() -> None:
    tracemalloc.start()
    labels = labeled("cat/" + "a/" * 20_000 + "1.jpg", "dog/2.jpg")
    _, peak_bytes = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    assert len(labels.files) == 2
    assert peak_bytes < 10_000_000


def test_spellings_of_one_name_are_used_once() -> None:
    labels = labeled("cat/1.jpg", "./cat/1.jpg", "cat//1.jpg", "cat\\1.jpg", "dog/1.jpg")
    assert classes(labels) == {"cat/1.jpg": CAT, "dog/1.jpg": DOG}
    assert reasons(labels) == {"cat/1.jpg": "the name occurs 4 times; only the first file is used"}


def test_hidden_files_and_desktop_files_are_ignored() -> None:
    litter = ("cat/.DS_Store", "__MACOSX/cat/._1.jpg", "cat/Thumbs.db", ".git/cat/x.jpg")
    labels = labeled("cat/1.jpg", *litter)
    assert (classes(labels), labels.skipped) == ({"cat/1.jpg": CAT}, [])


def test_duplicate_name_is_used_once() -> None:
    labels = labeled("cat/1.jpg", "cat/1.jpg", "dog/1.jpg")
    assert classes(labels) == {"cat/1.jpg": CAT, "dog/1.jpg": DOG}
    assert reasons(labels) == {"cat/1.jpg": "the name occurs 2 times; only the first file is used"}


@pytest.mark.parametrize(
    "names", [(), ("zebra/1.jpg",), ("1.jpg", "2.jpg"), ("train/cat/1", "x/2")]
)
def test_error_without_labeled_files_lists_the_folders(names: tuple[str, ...]) -> None:
    with pytest.raises(NoLabeledFilesError, match="Folders: "):
        labeled(*names)


def test_prefix_of_the_files_is_a_representative_sample() -> None:
    labels = labeled(*(f"cat/{n}.jpg" for n in range(500)), *(f"dog/{n}.jpg" for n in range(500)))
    dogs = sum(file.label == DOG for file in labels.files[:200])
    assert 70 < dogs < 130
    assert labels.files == labeled(*sorted(classes(labels))).files


_PARTS = st.sampled_from(["cat", "Cats", "dog", "ship", "..", ".x", "a\\b", "", "ß", "CAT"])


@given(st.lists(st.lists(_PARTS, min_size=1, max_size=4).map("/".join), max_size=12))
def test_every_file_is_labeled_skipped_or_hidden(names: list[str]) -> None:
    try:
        labels = label_files(names, CIFAR10.class_of)
    except NoLabeledFilesError:
        return
    found = [file.name for file in labels.files]
    assert len(found) == len(set(found))
    assert set(found) | {each.filename for each in labels.skipped} <= set(names)
    for file in labels.files:
        folders = file.name.replace("\\", "/").split("/")[:-1]
        assert file.label in {CIFAR10.class_of(folder) for folder in folders}
