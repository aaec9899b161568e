"""The compose file of a fleet is accepted, safe, and fits the program."""

import json
import shutil
import subprocess
from pathlib import Path
from typing import Any

import pytest
import yaml

from app.settings import Settings
from tests.deploy.compose import compose, seconds
from tests.deploy.programs import program
from tests.service import ROOT

FILE = "docker-compose.fleet.yml"
SECRETS = {
    "POSTGRES_PASSWORD": "one",
    "RABBITMQ_PASSWORD": "two",
    "MINIO_PASSWORD": "three",
    "MINIO_ROOT_PASSWORD": "five",
    "GRAFANA_PASSWORD": "four",
    "ATELIER_SESSION_SECRET": "s" * 32,
    "ATELIER_API_KEYS": f"me:{64 * '0'}",
}


def services(**variables: str) -> dict[str, dict[str, Any]]:
    result = compose(FILE, **SECRETS, **variables)
    assert result.returncode == 0, result.stderr
    found: dict[str, dict[str, Any]] = yaml.safe_load(result.stdout)["services"]
    return found


@pytest.mark.parametrize("missing", SECRETS)
def test_it_does_not_start_without_passwords_and_a_key(missing: str) -> None:
    given = {name: value for name, value in SECRETS.items() if name != missing}
    refused = compose(FILE, **given)
    assert refused.returncode != 0
    assert missing in refused.stderr


def test_its_settings_are_those_of_the_program(monkeypatch: pytest.MonkeyPatch) -> None:
    for name, value in services()["web"]["environment"].items():
        monkeypatch.setenv(name, value)
    settings = Settings()
    assert settings.database == "postgresql://atelier:one@postgres/atelier"
    assert settings.broker_url is not None
    assert settings.broker_url.get_secret_value() == "amqp://atelier:two@rabbitmq//"
    assert settings.blobs_url == "s3://atelier-files/jobs"


def test_the_service_has_no_credentials_of_the_stores_administrator() -> None:
    found = services()
    root = {found["minio"]["environment"][f"MINIO_ROOT_{name}"] for name in ("USER", "PASSWORD")}
    for name, service in found.items():
        if name == "web" or name.startswith("worker"):
            assert not root & set(service["environment"].values()), name
            assert "three" in service["environment"].values()


def test_the_service_may_only_read_and_write_files_of_its_folder() -> None:
    bucket, _, folder = (
        services()["web"]["environment"]["ATELIER_BLOBS_URL"].removeprefix("s3://").partition("/")
    )
    policy = json.loads((ROOT / "deploy/minio/atelier-files.json").read_text())
    allowed = {
        (action, resource)
        for statement in policy["Statement"]
        for action in statement["Action"]
        for resource in statement["Resource"]
        if statement["Effect"] == "Allow"
    }
    on_files = ("AbortMultipartUpload", "DeleteObject", "GetObject", "PutObject")
    assert allowed == {
        ("s3:ListBucket", f"arn:aws:s3:::{bucket}"),
        *((f"s3:{action}", f"arn:aws:s3:::{bucket}/{folder}/*") for action in on_files),
    }


@pytest.mark.parametrize("is_attached", [True, False])
def test_the_store_is_prepared_as_often_as_need_be(tmp_path: Path, *, is_attached: bool) -> None:
    """With a client that notes what it is asked."""
    client, said = tmp_path / "mc", '"policyName":"atelier-files"' if is_attached else ""
    client.write_text(
        f'#!/bin/sh\necho "$*" >>{tmp_path}/asked\n'
        f"case \"$*\" in *info*) echo '{{{said}}}';; esac\n"
    )
    client.chmod(0o755)
    path = {"PATH": f"{tmp_path}:/usr/bin:/bin", "MINIO_PASSWORD": "three"}
    subprocess.run(["/bin/sh", ROOT / "deploy/minio/prepare.sh"], check=True, env=path)
    asked = (tmp_path / "asked").read_text()
    assert "mb --ignore-existing store/atelier-files" in asked
    assert "admin user add store atelier three" in asked
    assert ("policy attach" in asked) is not is_attached


def test_tls_can_be_put_in_front() -> None:
    site = {"ATELIER_DOMAIN": "atelier.example", "ATELIER_UPSTREAM": "balancer:8080"}
    result = compose(FILE, "deploy/docker-compose.tls.yml", **SECRETS, **site)
    assert result.returncode == 0, result.stderr
    found = yaml.safe_load(result.stdout)["services"]
    assert found["proxy"]["environment"]["ATELIER_UPSTREAM"] == "balancer:8080"
    assert found["web"]["environment"]["ATELIER_ALLOW_ANONYMOUS"] == "0"


def test_each_worker_has_a_gpu_of_its_own() -> None:
    workers = {name: each for name, each in services().items() if name.startswith("worker")}
    gpus = []
    for number, worker in enumerate(workers.values()):
        (device,) = worker["deploy"]["resources"]["reservations"]["devices"]
        gpus += device["device_ids"]
        assert worker.get("profiles") == ([f"gpu-{number}"] if number else None)
        assert worker["environment"]["ATELIER_DEVICE"] == "cuda"
    assert gpus == ["0", "1", "2", "3"]


def test_only_this_host_gets_in_unless_an_address_is_named() -> None:
    def addresses(**variables: str) -> dict[str, str]:
        return {
            name: port.split(":")[0]
            for name, service in services(**variables).items()
            for port in service.get("ports", [])
        }

    assert set(addresses().values()) == {"127.0.0.1"}
    named = addresses(ATELIER_ADDRESS="10.0.0.2", ATELIER_SERVERS_ADDRESS="10.0.0.1")
    assert named["balancer"] == "10.0.0.2"
    assert {named[name] for name in ("postgres", "rabbitmq", "minio")} == {"10.0.0.1"}
    assert {named[name] for name in ("prometheus", "grafana")} == {"127.0.0.1"}
    assert "ports" not in services()["web"]
    assert "ATELIER_ALLOW_ANONYMOUS" not in services()["web"]["environment"]


def test_a_further_host_fetches_files_from_the_first() -> None:
    balancer = services(ATELIER_SERVERS="10.0.0.1")["balancer"]
    assert balancer["environment"]["ATELIER_STORE"] == "server 10.0.0.1:9000 resolve;"


def test_every_container_has_few_privileges() -> None:
    for name, service in services().items():
        assert service["security_opt"] == ["no-new-privileges:true"], name
        assert not {"privileged", "pid", "ipc", "devices", "userns_mode"} & service.keys(), name
        if name == "web" or name.startswith("worker"):
            assert service["read_only"] is True
            assert service["cap_drop"] == ["ALL"]
            assert seconds(service["stop_grace_period"]) >= 2 * Settings().shutdown_grace_s


def test_servers_are_of_one_version_and_watched() -> None:
    for name, service in services().items():
        if "image" in service:
            assert ":" in service["image"], name
            assert not service["image"].endswith(":latest"), name
    for name in ("balancer", "postgres", "rabbitmq", "minio"):
        assert "test" in services()[name]["healthcheck"]


def test_messages_may_wait_for_longer_than_jobs_may_take() -> None:
    text = (ROOT / "deploy/rabbitmq/atelier.conf").read_text()
    (line,) = [line for line in text.splitlines() if line.startswith("consumer_timeout")]
    assert int(line.partition("=")[2]) > Settings().job_time_limit_s * 1000


def test_prometheus_understands_how_to_find_all_web_processes(tmp_path: Path) -> None:
    promtool = program("promtool", package="prometheus")
    for name in ("fleet.yml", "alerts.yml"):
        shutil.copy(ROOT / "deploy/prometheus" / name, tmp_path)
    subprocess.run([promtool, "check", "config", tmp_path / "fleet.yml"], check=True)
