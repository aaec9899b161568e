"""The compose files are accepted, and safe."""

from typing import Any

import pytest

from app.settings import Settings
from tests.deploy.compose import compose, seconds, services
from tests.deploy.dockerfile import instructions
from tests.service import ROOT

GPU, TLS = "deploy/docker-compose.gpu.yml", "deploy/docker-compose.tls.yml"
DOMAIN = {"ATELIER_DOMAIN": "atelier.example"}
KEYS = {"ATELIER_API_KEYS": f"me:{64 * '0'}"}
ALL = [(), (GPU,), (TLS,), (GPU, TLS)]


@pytest.mark.parametrize("files", ALL)
def test_every_container_has_few_privileges(files: tuple[str, ...]) -> None:
    for name, service in services(*files, **DOMAIN, **KEYS).items():
        assert service["read_only"] is True, name
        assert service["cap_drop"] == ["ALL"], name
        assert service["security_opt"] == ["no-new-privileges:true"], name
        assert service["restart"] == "unless-stopped", name
        assert {"mem_limit", "pids_limit"} <= service.keys(), name
        assert not {"privileged", "pid", "ipc", "devices", "userns_mode"} & service.keys(), name
        assert not any("docker.sock" in volume for volume in service["volumes"]), name


@pytest.mark.parametrize("files", ALL)
def test_only_the_proxy_is_reached_from_elsewhere(files: tuple[str, ...]) -> None:
    found = services(*files, **DOMAIN, **KEYS)
    assert found["web"]["ports"] == ["127.0.0.1:8000:8000/tcp"]
    assert "ports" not in found["worker"]
    assert found["worker"]["network_mode"] == "none"
    published = {port["published"] for port in found["proxy"]["ports"]} if TLS in files else set()
    assert published == ({80, 443} if TLS in files else set())


@pytest.mark.parametrize("name", ["web", "worker"])
def test_there_is_time_to_stop(name: str) -> None:
    settings, service = Settings(), services()[name]
    assert service["init"] is True  # else a process that is still starting hears no SIGTERM
    grace_s = seconds(service["stop_grace_period"])
    assert grace_s >= 2 * settings.shutdown_grace_s
    assert grace_s > 2 * settings.checkpoint_s
    assert grace_s > settings.lease_give_up_s


def test_it_starts_without_any_variable() -> None:
    web = services()["web"]
    assert web["environment"]["ATELIER_ALLOW_ANONYMOUS"] == "1"
    assert web["environment"]["ATELIER_API_KEYS"] == ""


@pytest.mark.parametrize(
    ("given", "missing"), [(DOMAIN, "ATELIER_API_KEYS"), (KEYS, "ATELIER_DOMAIN")]
)
def test_access_from_other_hosts_needs_a_key(given: dict[str, str], missing: str) -> None:
    refused = compose("docker-compose.yml", TLS, **given)
    assert refused.returncode != 0
    assert missing in refused.stderr
    assert "is not in .env" in refused.stderr
    environment = services(TLS, **DOMAIN, **KEYS)["web"]["environment"]
    assert environment["ATELIER_ALLOW_ANONYMOUS"] == "0"
    assert environment["ATELIER_ALLOWED_HOSTS"] == "atelier.example"


def test_both_processes_see_the_gpu() -> None:
    found = services(GPU)
    for name in ("web", "worker"):
        (device,) = found[name]["deploy"]["resources"]["reservations"]["devices"]
        assert device["driver"] == "nvidia"
        assert "gpu" in device["capabilities"]
        assert found[name]["environment"]["ATELIER_DEVICE"] == "cuda"
        assert found[name]["build"]["args"]["VARIANT"] == "gpu"


def test_limits_and_port_are_variables() -> None:
    found = services(
        ATELIER_WEB_MEMORY="3g", ATELIER_WORKER_MEMORY="5g", ATELIER_CPUS="2", ATELIER_PORT="9000"
    )
    assert [found[name]["mem_limit"] for name in ("web", "worker")] == ["3g", "5g"]
    assert found["web"]["cpus"] == found["worker"]["cpus"] == 2
    assert found["web"]["ports"] == ["127.0.0.1:9000:8000/tcp"]


def test_state_is_in_one_volume() -> None:
    found: dict[str, dict[str, Any]] = services()
    settings = dict(
        word.split("=", 1)
        for each in instructions(ROOT / "Dockerfile")
        if each.name == "ENV"
        for word in each.rest.split()
    )
    for name in ("web", "worker"):
        assert found[name]["volumes"] == [f"data:{settings['ATELIER_DATA_DIR']}:rw"]
        assert settings["HOME"] == settings["ATELIER_DATA_DIR"]
