"""The README and the pages of its calls are run; figures are compared with the checkpoints."""

import json
import re
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from app.settings import Settings
from tests.patience import patient
from tests.service import ROOT, Service

README = (ROOT / "README.md").read_text()
API_PAGE = (ROOT / "docs/api.md").read_text()
PAGES = "\n".join([README, (ROOT / "docs/guide.md").read_text(), API_PAGE])
CALLS = re.findall(r"^\$ (curl .*)\n((?:(?!\$|```).*\n)+)", PAGES, re.MULTILINE)
CITED = "http://127.0.0.1:8000"
CHANGING = re.compile("/stylize|/evaluate|/jobs/|/health/ready")  # ids, times, seconds
STABLE_CALLS = [(call, answer) for call, answer in CALLS if not CHANGING.search(call)]
CHANGING_CALLS = [(call, answer) for call, answer in CALLS if CHANGING.search(call)]


def rounded(value: Any) -> Any:
    """Round numbers, so that another processor may differ in the last digits."""
    if isinstance(value, dict):
        return {name: rounded(each) for name, each in value.items()}
    if isinstance(value, list):
        return [rounded(each) for each in value]
    return round(value, 3) if isinstance(value, float) else value


@pytest.fixture(scope="module")
def workplace(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Make the folder for the calls: what they need of the repository, and their archive."""
    folder = tmp_path_factory.mktemp("workplace")
    for name in ("README.md", "docs"):
        (folder / name).symlink_to(ROOT / name)
    (preparation,) = re.findall(r"^\$ (mkdir .*)$", README, re.MULTILINE)
    subprocess.run(["bash", "-c", preparation], cwd=folder, check=True)
    return folder


def answer_to(command: str, service: Service, folder: Path = ROOT) -> Any:
    result = subprocess.run(
        ["bash", "-c", command.replace(CITED, service.url)],
        cwd=folder,
        capture_output=True,
        text=True,
        timeout=patient(),
        check=True,
    )
    return json.loads(result.stdout)


@pytest.mark.parametrize(
    ("command", "answer"), STABLE_CALLS, ids=[call for call, _ in STABLE_CALLS]
)
def test_a_call_gives_the_answer_that_is_shown(service: Service, command: str, answer: str) -> None:
    assert rounded(answer_to(command, service)) == rounded(json.loads(answer))


def test_a_call_about_jobs_gives_an_answer_like_the_one_shown(
    service: Service, workplace: Path
) -> None:
    ids: dict[str, str] = {}
    for command, answer in CHANGING_CALLS:
        shown = json.loads(answer)
        for cited, real in ids.items():
            command = command.replace(cited, real)  # noqa: PLW2901
        found = answer_to(command, service, workplace)
        assert found.keys() == shown.keys()
        if "id" in shown:
            ids[shown["id"]] = found["id"]
            assert found["options"] == shown["options"]


def test_the_inference_client_prints_what_is_shown(service: Service) -> None:
    programs = re.compile(r"^```python\n(.*?)^```\n\n```text\n(.*?)^```", re.MULTILINE | re.DOTALL)
    ((program, shown),) = programs.findall(API_PAGE)
    address = service.url.removeprefix("http://")
    result = subprocess.run(
        [sys.executable, "-c", program.replace(CITED.removeprefix("http://"), address)],
        cwd=ROOT,
        capture_output=True,
        text=True,
        check=True,
    )
    found, expected = (
        [(round(float(value), 3), each) for value, each in re.findall(r"'([\d.]+):(.+?)'", text)]
        for text in (result.stdout, shown)
    )
    assert len(found) == 2
    assert found == expected


def test_there_are_calls_to_run() -> None:
    assert len(CALLS) >= 11


@pytest.mark.parametrize("name", ["mnist", "cifar10", "catdog"])
def test_the_accuracies_are_those_of_the_checkpoints(name: str) -> None:
    card = json.loads((Settings().models_dir / f"{name}.json").read_text())
    (row,) = re.findall(rf"^\| `{name}` \|.*$", README, re.MULTILINE)
    assert f"{card['test']['accuracy']:.2%}".replace("%", " %") in row
    assert f"{card['validation']['accuracy']:.2%}".replace("%", " %") in row
    assert f"{card['test']['count']:,}" in row


def test_the_terminal_command_runs() -> None:
    (command,) = re.findall(r"^\$ \.venv/bin/python (-m app classify .*)$", README, re.MULTILINE)
    python = str(ROOT / ".venv/bin/python")
    result = subprocess.run(
        [python, *command.split()], cwd=ROOT, capture_output=True, text=True, check=True
    )
    assert "7" in result.stdout
