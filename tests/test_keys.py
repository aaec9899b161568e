import re
import subprocess
import sys

import pytest

from app.keys import Keyring, digest_of, entry_for, new_key
from tests.patience import patient
from tests.service import ROOT


def test_new_key_is_found_under_its_name() -> None:
    ann, bob = new_key(), new_key()
    keyring = Keyring.parse(f"{entry_for('ann', ann)},\n {entry_for('bob', bob)}")
    assert [keyring.find(key) for key in (ann, bob)] == list(keyring.keys)
    assert keyring.find(ann[:-1]) is keyring.find("") is keyring.find("\ud800") is None
    assert len({new_key() for _ in range(100)}) == 100


def test_name_may_have_two_keys_during_a_rotation() -> None:
    old, new = new_key(), new_key()
    keyring = Keyring.parse(f"{entry_for('ann', old)} {entry_for('ann', new)}")
    assert [key.name for key in map(keyring.find, (old, new)) if key] == ["ann", "ann"]


def test_empty_keyring_finds_no_key() -> None:
    assert not Keyring.parse(" ")
    assert Keyring().find("") is None


@pytest.mark.parametrize("entry", ["ann", "ann:", "ann:abc", f"ann:{'G' * 64}", f":{'0' * 64}"])
def test_malformed_entry_is_not_quoted_in_the_error(entry: str) -> None:
    with pytest.raises(ValueError, match="entry 2") as caught:
        Keyring.parse(f"bob:{digest_of('x')} {entry}")
    assert entry not in str(caught.value).split()


def test_command_prints_a_key_and_its_entry() -> None:
    shown = _key("new", "ann").stdout
    (key,) = re.findall(r"atelier_\S+", shown)
    (entry,) = re.findall(r"ann:\S+", shown)
    found = Keyring.parse(entry).find(key)
    assert found is not None
    assert found.name == "ann"


@pytest.mark.parametrize("name", ["", "two words", "a:b", "x" * 65, "ä"])
def test_command_refuses_an_invalid_name(name: str) -> None:
    refused = _key("new", name)
    assert refused.returncode == 2
    assert "letters, digits" in refused.stderr


def _key(*arguments: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, "-m", "app", "key", *arguments],
        cwd=ROOT,
        capture_output=True,
        text=True,
        timeout=patient(),
        check=False,
    )
