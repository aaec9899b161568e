import json
from typing import Any

import httpx
import pytest

from app.vision.specs import CIFAR10
from tests.pictures import encode, photograph

PICTURE = encode(photograph())


def files(*contents: bytes) -> list[tuple[str, tuple[str, bytes]]]:
    return [("file", (f"{index}.png", data)) for index, data in enumerate(contents)]


def test_one_image_by_multipart(client: httpx.Client) -> None:
    response = client.post("/classify?model=cifar10&top_k=3", files=files(PICTURE))
    assert response.status_code == 200
    body = response.json()
    assert body["model"]["name"] == "cifar10"
    assert len(body["model"]["version"]) == 12
    assert body["image"] == {"width": 64, "height": 48, "format": "PNG"}
    probabilities = [each["probability"] for each in body["predictions"]]
    assert len(probabilities) == 3
    assert probabilities == sorted(probabilities, reverse=True)
    for each in body["predictions"]:
        assert CIFAR10.classes[each["index"]] == each["label"]


@pytest.mark.parametrize("media_type", ["image/png", "image/jpeg", "IMAGE/X-ANYTHING; a=b"])
def test_one_image_as_the_body(client: httpx.Client, media_type: str) -> None:
    by_body = client.post(
        "/classify?model=cifar10", content=PICTURE, headers={"Content-Type": media_type}
    )
    by_part = client.post("/classify?model=cifar10", files=files(PICTURE))
    assert by_body.status_code == 200
    assert by_body.json() == by_part.json()


def test_a_chunked_body(client: httpx.Client) -> None:
    pieces = (PICTURE[at : at + 100] for at in range(0, len(PICTURE), 100))
    response = client.post("/classify", content=pieces, headers={"Content-Type": "image/png"})
    assert response.status_code == 200


@pytest.mark.parametrize("model", ["mnist", "cifar10"])
def test_probabilities_sum_to_one(client: httpx.Client, model: str) -> None:
    response = client.post(f"/classify?model={model}&top_k=1000000000", files=files(PICTURE))
    predictions = response.json()["predictions"]
    assert sorted(each["index"] for each in predictions) == list(range(10))
    assert sum(each["probability"] for each in predictions) == pytest.approx(1, abs=1e-5)


def test_top_k_is_five_or_the_number_of_classes(client: httpx.Client) -> None:
    body = client.post("/classify", files=files(PICTURE)).json()
    assert body["model"]["name"] == "catdog"
    assert {each["label"] for each in body["predictions"]} == {"cat", "dog"}
    body = client.post("/classify?model=mnist", files=files(PICTURE)).json()
    assert len(body["predictions"]) == 5


def test_several_images_come_back_in_order_and_a_bad_one_fails_alone(client: httpx.Client) -> None:
    other = encode(photograph().rotate(180), "JPEG")
    contents = [PICTURE, b"not an image", other, PICTURE[: len(PICTURE) // 2], b"", PICTURE]
    response = client.post("/classify?model=cifar10", files=files(*contents))
    assert response.status_code == 200
    results = response.json()["results"]
    assert [each["filename"] for each in results] == [f"{index}.png" for index in range(6)]
    errors = [each.get("error", {}).get("code") for each in results]
    assert errors == [
        None,
        "unsupported_format",
        None,
        "undecodable_image",
        "undecodable_image",
        None,
    ]
    alone = client.post("/classify?model=cifar10", files=files(PICTURE)).json()
    assert [each["label"] for each in results[5]["predictions"]] == [
        each["label"] for each in alone["predictions"]
    ]
    for first, last in zip(results[0]["predictions"], results[5]["predictions"], strict=True):
        assert first["probability"] == pytest.approx(last["probability"], abs=1e-5)


def test_sixty_four_images_at_once(client: httpx.Client) -> None:
    response = client.post("/classify?model=mnist", files=files(*[PICTURE] * 64))
    assert len(response.json()["results"]) == 64


@pytest.mark.parametrize("top_k", ["0", "-1", "NaN", "1.5", "", "1e3", "0x10", "9" * 5000])
def test_top_k_that_is_not_a_positive_integer_is_refused(client: httpx.Client, top_k: str) -> None:
    response = client.post("/classify", params={"top_k": top_k}, files=files(PICTURE))
    assert_problem(response, 422, "invalid_request")
    assert response.json()["errors"][0]["field"] == "query.top_k"


def test_an_unknown_parameter_is_refused_by_name(client: httpx.Client) -> None:
    response = client.post("/classify?topk=3", files=files(PICTURE))
    assert_problem(response, 422, "invalid_request")
    assert "topk" in response.json()["detail"]


def test_an_unknown_model_is_refused_with_the_known_ones(client: httpx.Client) -> None:
    response = client.post("/classify?model=nope", files=files(PICTURE))
    assert_problem(response, 404, "unknown_model")
    assert "mnist, cifar10, catdog" in response.json()["detail"]


def test_request_id_of_the_client_is_returned(client: httpx.Client) -> None:
    headers = {"X-Request-ID": "trace-17"}
    good = client.post("/classify", files=files(PICTURE), headers=headers)
    bad = client.post("/classify?top_k=0", headers=headers)
    assert good.headers["X-Request-ID"] == bad.headers["X-Request-ID"] == "trace-17"


@pytest.mark.parametrize("request_id", [b"", b"a b", b"x" * 129, "é".encode()])
def test_a_useless_request_id_is_replaced(client: httpx.Client, request_id: bytes) -> None:
    response = client.get("/health/live", headers={b"X-Request-ID": request_id})
    assert len(response.headers["X-Request-ID"]) == 32


def assert_problem(response: httpx.Response, status: int, code: str) -> None:
    assert response.status_code == status
    assert response.headers["Content-Type"] == "application/problem+json"
    body: dict[str, Any] = json.loads(response.content)
    assert body["status"] == status
    assert body["code"] == code
    assert body["type"].endswith(code)
    assert body["title"]
    assert body["detail"]


def test_request_is_ended_at_the_clients_deadline(client: httpx.Client) -> None:
    headers = {"X-Request-Timeout": "0.000001"}
    response = client.post("/classify?model=mnist", files=files(PICTURE), headers=headers)
    assert response.status_code == 503
    assert response.json()["code"] == "deadline_exceeded"
    assert int(response.headers["retry-after"]) > 0
    patient = {"X-Request-Timeout": "1000"}
    assert client.post("/classify", files=files(PICTURE), headers=patient).status_code == 200


@pytest.mark.parametrize(
    ("path", "header"),
    [
        ("/classify", "X-Request-Timeout"),
        ("/v2/models/cifar10/infer", "X-Request-Timeout"),
        ("/v2/models/cifar10/infer", "Inference-Header-Content-Length"),
        ("/stylize", "Idempotency-Key"),
        ("/evaluate", "Idempotency-Key"),
    ],
)
def test_repeated_single_header_is_refused(client: httpx.Client, path: str, header: str) -> None:
    response = client.post(path, files=files(PICTURE), headers=[(header, "0.1"), (header, "7")])
    assert response.status_code == 422
    assert f"{header.lower()}: Send this header once" in response.text


@pytest.mark.parametrize("seconds", ["0", "-1", "nan", "inf", "soon"])
def test_a_timeout_is_a_number_of_seconds(client: httpx.Client, seconds: str) -> None:
    headers = {"X-Request-Timeout": seconds}
    response = client.post("/classify", files=files(PICTURE), headers=headers)
    assert response.status_code == 422
    assert "x-request-timeout" in response.json()["detail"]
