import httpx

from app.vision.specs import SPECS
from tests.pictures import encode, photograph
from tests.service import ROOT, Service, wait_until


def test_live_and_ready(client: httpx.Client) -> None:
    assert client.get("/health/live").json() == {"status": "live"}
    ready = client.get("/health/ready")
    assert ready.status_code == 200
    assert ready.json() == {
        "status": "ready",
        "models": {name: (ROOT / f"models/{name}.pt").exists() for name in SPECS},
        "selecting": [],
        "workers": [],
    }
    assert ready.json()["models"]["mnist"] is ready.json()["models"]["cifar10"] is True


def test_metrics_count_requests_and_jobs(client: httpx.Client) -> None:
    name = 'atelier_requests_total{method="POST",route="/classify",status="200"}'

    def count() -> float:
        lines = client.get("/metrics").text.splitlines()
        return sum(float(line.split()[-1]) for line in lines if line.startswith(name))

    before = count()
    client.post("/classify?model=mnist", files={"file": encode(photograph())})
    assert count() == before + 1
    text = client.get("/metrics").text
    for metric in ("batch_images", "decode_seconds", "inference_seconds", "queued_images"):
        assert f"atelier_{metric}" in text


def test_unknown_path_is_refused_with_a_problem_document(client: httpx.Client) -> None:
    response = client.get("/nope")
    assert (response.status_code, response.json()["code"]) == (404, "not_found")
    assert "/nope" in response.json()["detail"]


def test_unknown_method_is_refused_with_a_problem_document(client: httpx.Client) -> None:
    response = client.delete("/classify")
    assert (response.status_code, response.json()["code"]) == (405, "method_not_allowed")
    assert response.headers["Allow"] == "POST"


def test_every_log_line_of_a_request_carries_its_id(client: httpx.Client, service: Service) -> None:
    client.get("/models/nope", headers={"X-Request-ID": "find-me-in-the-log"})
    wait_until(lambda: "find-me-in-the-log" in service.log.read_text())
    lines = [line for line in service.log.read_text().splitlines() if "find-me" in line]
    assert any("path=/models/nope" in line and "status=404" in line for line in lines)


def test_a_line_break_in_a_path_does_not_forge_a_log_line(
    client: httpx.Client, service: Service
) -> None:
    client.get("/%0aFORGED", headers={"X-Request-ID": "forger"})
    wait_until(lambda: "forger" in service.log.read_text())
    assert not any(line.startswith("FORGED") for line in service.log.read_text().splitlines())


def test_openapi_documents_fields_and_errors(client: httpx.Client) -> None:
    document = client.get("/openapi.json").json()
    classify = document["paths"]["/classify"]["post"]
    errors = {"401", "403", "404", "408", "413", "415", "421", "422", "429", "500", "503"}
    assert {"200", *errors} == set(classify["responses"])
    assert set(classify["responses"]["413"]["content"]) == {"application/problem+json"}
    assert set(classify["requestBody"]["content"]) == {"multipart/form-data", "image/*"}
    described = document["components"]["schemas"]["PredictionOut"]["properties"]
    assert "probability" in described
