"""The guide names what there is."""

import re

import pytest

from tests.service import ROOT

GUIDE = (ROOT / "docs/deploy.md").read_text()
README = (ROOT / "README.md").read_text()
COMPOSE = sorted(ROOT.glob("docker-compose*.yml"))


def test_every_variable_is_explained() -> None:
    used = {name for file in COMPOSE for name in re.findall(r"\$\{(\w+)", file.read_text())}
    table = "".join(re.findall(r"^\| `.*", GUIDE, re.MULTILINE))
    explained = set(re.findall(r"`([A-Z_]+)`", table))
    assert used == explained - {"COMPOSE_FILE", "ATELIER_MAX_ARCHIVE_BYTES"}


@pytest.mark.parametrize("text", [GUIDE, README])
def test_every_file_is_there(text: str) -> None:
    named = set(re.findall(r"\bdeploy/[\w.]+\w|docker-compose[\w.]*\.yml", text))
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
