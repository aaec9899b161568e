"""The metrics as they are documented, watched and drawn, against those of a running service."""

import json
import re
import shutil
import socket
import sqlite3
import subprocess
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path
from typing import Any

import httpx
import pytest
from prometheus_client.parser import text_string_to_metric_families

from app.keys import entry_for, new_key
from tests import http_client
from tests.deploy.programs import program
from tests.patience import patient
from tests.pictures import encode, photograph
from tests.service import ROOT, Service, running_service, wait_until

pytestmark = pytest.mark.deploy

DOCUMENT = ROOT / "docs/metrics.md"
ALERTS = ROOT / "deploy/prometheus/alerts.yml"
DASHBOARD = json.loads((ROOT / "deploy/grafana/atelier.json").read_text())
_NAME = re.compile(r"\b(?:atelier|process)_[a-z_]+\b")
_OWN_LABELS = {"le", "instance", "job"}  # Prometheus' own

Kind = tuple[str, frozenset[str]]


@pytest.fixture
def exposed(service: Service) -> dict[str, Kind]:
    """Type and labels of every metric, once something has happened."""
    http_client.post(f"{service.url}/classify?model=mnist", files={"file": encode(photograph())})
    http_client.post(f"{service.url}/admin/reload")
    text = http_client.get(f"{service.url}/metrics").text
    return dict(_kinds(text))


def _kinds(text: str) -> Iterator[tuple[str, Kind]]:
    for family in text_string_to_metric_families(text):
        if family.name.endswith("_created"):
            continue
        labels = {label for sample in family.samples for label in sample.labels}
        name = f"{family.name}_total" if family.type == "counter" else family.name
        yield name, (family.type, frozenset(labels - {"le"}))


def test_the_document_lists_what_the_service_exposes(exposed: dict[str, Kind]) -> None:
    rows = re.findall(r"^\| `(\w+)` \| (\w+) \|([^|]*)\|", DOCUMENT.read_text(), re.MULTILINE)
    documented = {
        name: (kind, frozenset(re.findall(r"\w+", labels))) for name, kind, labels in rows
    }
    assert documented == exposed
    assert [name for name, *_ in rows] == list(exposed)


def expressions() -> dict[str, str]:
    """Every query of the rules and the dashboard, by its name."""
    found = dict(re.findall(r"alert: (\w+)\n\s+expr: >-\n\s+(.*)", ALERTS.read_text()))
    for panel in DASHBOARD["panels"]:
        for target in panel["targets"]:
            found[f"{panel['title']} {target['refId']}"] = target["expr"]
    return found


@pytest.mark.parametrize("name", expressions())
def test_monitored_metrics_exist(name: str, exposed: dict[str, Kind]) -> None:
    series = {f"{each}{end}": each for each in exposed for end in ("", "_bucket", "_sum", "_count")}
    query = expressions()[name]
    names = _NAME.findall(query)
    assert set(names) <= set(series)
    assert names or query.startswith("up{")
    labels = set(re.findall(r'(\w+)=~?"', query))
    labels |= {word for group in re.findall(r"by \((.*?)\)", query) for word in group.split(", ")}
    known = {label for each in names for label in exposed[series[each]][1]}
    assert labels - _OWN_LABELS <= known


def test_the_dashboard_can_be_imported() -> None:
    variables = {each["name"]: each for each in DASHBOARD["templating"]["list"]}
    assert variables["datasource"]["type"] == "datasource"
    sources: list[Any] = [each["datasource"] for each in DASHBOARD["panels"]]
    assert all(source["uid"] == "${datasource}" for source in sources)
    ids = [panel["id"] for panel in DASHBOARD["panels"]]
    assert len(set(ids)) == len(ids)


@pytest.fixture
def promtool() -> str:
    """Prometheus' own checker."""
    return program("promtool", package="prometheus")


@pytest.mark.parametrize(
    "words",
    [
        ["check", "config", "prometheus.yml"],
        ["check", "rules", "alerts.yml"],
        ["test", "rules", "alerts.test.yml"],
    ],
)
def test_prometheus_accepts_the_rules(promtool: str, words: list[str], tmp_path: Path) -> None:
    folder = shutil.copytree(ALERTS.parent, tmp_path / "prometheus")
    (folder / "atelier.key").write_text(new_key())
    result = subprocess.run(
        [promtool, *words], cwd=folder, capture_output=True, text=True, check=False
    )
    assert result.returncode == 0, result.stdout + result.stderr


def test_prometheus_gets_in_with_its_key(tmp_path: Path) -> None:
    prometheus = program("prometheus", package="prometheus")
    key, folder = new_key(), shutil.copytree(ALERTS.parent, tmp_path / "prometheus")
    (folder / "atelier.key").write_text(key)
    with running_service(tmp_path, api_keys=entry_for("prometheus", key)) as service:
        config, target = folder / "prometheus.yml", service.url.removeprefix("http://")
        example = config.read_text().replace("127.0.0.1:8000", target)
        config.write_text(example.replace("scrape_interval: 15s", "scrape_interval: 1s"))
        with socket.create_server(("127.0.0.1", 0)) as listener:
            port = listener.getsockname()[1]
        series = tmp_path / "series"
        options = [f"--config.file={config}", f"--storage.tsdb.path={series}"]
        process = subprocess.Popen(
            [prometheus, *options, f"--web.listen-address=127.0.0.1:{port}"],
            stderr=subprocess.DEVNULL,
        )
        try:
            wait_until(lambda: _values(port, "up") == ["1"], 30)
            assert _values(port, "atelier_database_up") == ["1"]
        finally:
            process.terminate()
            process.wait(patient())


def _values(port: int, query: str) -> list[str]:
    """Ask a Prometheus; it answers nothing while it is still starting."""
    try:
        answer = http_client.get(f"http://127.0.0.1:{port}/api/v1/query", params={"query": query})
    except httpx.TransportError:
        return []
    if answer.status_code != 200:
        return []
    return [each["value"][1] for each in answer.json()["data"]["result"]]


def test_metrics_of_an_unreachable_database_are_nan(tmp_path: Path) -> None:
    with (
        running_service(tmp_path) as service,
        closing(sqlite3.connect(tmp_path / "var/atelier.db", isolation_level=None)) as other,
    ):
        before = http_client.get(f"{service.url}/metrics").text
        other.execute("BEGIN EXCLUSIVE")
        locked = http_client.get(f"{service.url}/metrics").text
        other.execute("ROLLBACK")
        after = http_client.get(f"{service.url}/metrics").text
    for text in (before, after):
        assert "atelier_database_up 1.0" in text
        assert 'atelier_jobs{status="queued"} 0.0' in text
        assert "atelier_workers 0.0" in text
    assert "atelier_database_up 0.0" in locked
    assert "atelier_jobs{" not in locked
    assert "atelier_workers NaN" in locked
