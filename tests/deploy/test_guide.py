"""The guide names what there is."""

import re

import pytest

from tests.service import ROOT

GUIDE = (ROOT / "docs/deploy.md").read_text()
FLEET = (ROOT / "docs/fleet.md").read_text()
README = (ROOT / "README.md").read_text()
COMPOSE = {
    str(file.relative_to(ROOT)): file.read_text()
    for folder in (ROOT, ROOT / "deploy")
    for file in folder.glob("docker-compose*.yml")
}


def used(*names: str) -> set[str]:
    return {name for each in names for name in re.findall(r"\$\{(\w+)", COMPOSE[each])}


def explained(text: str) -> set[str]:
    return set(re.findall(r"`([A-Z_]+)`", "".join(re.findall(r"^\| `.*", text, re.MULTILINE))))


def test_every_variable_is_explained() -> None:
    one_host = COMPOSE.keys() - {"docker-compose.fleet.yml"}
    others = {"COMPOSE_FILE", "ATELIER_MAX_ARCHIVE_BYTES"}
    assert used(*one_host) == explained(GUIDE) - others
    assert used("docker-compose.fleet.yml") <= explained(FLEET)


@pytest.mark.parametrize("text", [GUIDE, FLEET, README])
def test_every_file_is_there(text: str) -> None:
    named = set(re.findall(r"\bdeploy/[\w.-]+\w|(?<!/)docker-compose[\w.]*\.yml", text))
    missing = {name for name in named if not (ROOT / name).exists()}
    assert len(named) >= 3
    assert missing <= {"docker-compose.local.yml"}


def test_a_backup_is_for_its_owner_only() -> None:
    backups = [line for line in GUIDE.splitlines() if "deploy/backup.py >" in line]
    assert len(backups) >= 3
    for each in backups:
        assert re.fullmatch(r"\(umask 077 && .* > ~/[\w.-]+\)", each)


def test_no_port_is_published_to_others() -> None:
    published = re.findall(r"--publish (\S+)", GUIDE)
    assert published
    assert all(each.startswith("127.0.0.1:") for each in published)


def test_every_target_of_make_is_there() -> None:
    makefile = (ROOT / "Makefile").read_text()
    for target in re.findall(r"`?make ([a-z][a-z-]+)", GUIDE):
        assert re.search(rf"^{target}:", makefile, re.MULTILINE), target
