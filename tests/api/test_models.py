import hashlib
import json
from pathlib import Path

import httpx
import pytest

from app.settings import Settings
from tests import http_client
from tests.checkpoints import save_always
from tests.pictures import encode, photograph
from tests.service import ROOT, running_service


@pytest.mark.parametrize("name", ["mnist", "cifar10"])
def test_model_is_shown_with_all_its_details(client: httpx.Client, name: str) -> None:
    folder = Settings().models_dir
    card = json.loads((folder / f"{name}.json").read_text())
    model = client.get(f"/models/{name}").json()
    assert model["available"] is True
    assert model["sha256"] == hashlib.sha256((folder / f"{name}.pt").read_bytes()).hexdigest()
    assert model["sha256"].startswith(model["version"])
    assert model["classes"] == card["spec"]["classes"]
    assert model["input"] == card["spec"]["input"]
    assert model["metrics"]["test"] == card["test"]
    assert model["metrics"]["test"]["count"] == 10_000
    assert model["parameters"] == sum(layer["parameters"] for layer in model["layers"])
    assert (model["engine"], model["dtype"]) == ("torch", "float32")
    assert model["engine_reason"] == "The settings require the reference engine."
    assert model["engine_selection"] == "done"
    assert model["device"].split(":")[0] in {"cpu", "cuda"}


def test_the_layer_table_of_the_cnn(client: httpx.Client) -> None:
    layers = {layer["name"]: layer for layer in client.get("/models/cifar10").json()["layers"]}
    assert layers["conv1"] == {
        "name": "conv1",
        "type": "Conv2d",
        "output_shape": [16, 32, 32],
        "parameters": 448,
        "receptive_field_px": 3,
    }
    assert layers["pool3"]["output_shape"] == [64, 4, 4]
    assert layers["fc1"]["parameters"] == 1024 * 500 + 500


def test_all_models_are_listed(client: httpx.Client) -> None:
    models = client.get("/models").json()["models"]
    assert [model["name"] for model in models] == ["mnist", "cifar10", "catdog"]
    assert models[0] == client.get("/models/mnist").json()


def test_an_unknown_model_is_a_problem(client: httpx.Client) -> None:
    response = client.get("/models/nope")
    assert (response.status_code, response.json()["code"]) == (404, "unknown_model")


def test_a_refused_checkpoint_is_listed_with_the_reason_and_the_others_serve(
    tmp_path: Path,
) -> None:
    models = tmp_path / "models"
    save_always(4, models)
    (models / "cifar10.json").write_bytes((ROOT / "models/cifar10.json").read_bytes())
    (models / "cifar10.pt").write_bytes(b"\x80\x04.")
    with running_service(tmp_path, models_dir=models) as service:
        listed = http_client.get(f"{service.url}/models/cifar10").json()
        assert listed["available"] is False
        assert "SHA-256" in listed["reason"]
        files = {"file": encode(photograph())}
        refused = http_client.post(f"{service.url}/classify?model=cifar10", files=files)
        assert (refused.status_code, refused.json()["code"]) == (503, "model_unavailable")
        assert refused.headers["Retry-After"]
        answer = http_client.post(f"{service.url}/classify?top_k=1", files=files).json()
        assert answer["predictions"][0]["label"] == "4"
        assert answer["predictions"][0]["probability"] == pytest.approx(0.99)
        ready = http_client.get(f"{service.url}/health/ready")
        assert ready.json() == {
            "status": "ready",
            "models": {"mnist": True, "cifar10": False, "catdog": False},
            "selecting": [],
            "workers": [],
        }
