"""What a client of the Open Inference Protocol sees, by the client that NVIDIA publishes."""

from typing import Any

import httpx
import numpy as np
import pytest
import tritonclient.http as triton
from numpy.typing import NDArray
from tritonclient.utils import InferenceServerException

from app import __version__
from app.vision.specs import CIFAR10
from tests.pictures import encode, photograph

SMALL = photograph(32, 32)
PIXELS = np.asarray(SMALL)  # (H, W, C)
FILES = [encode(SMALL), encode(photograph(), "JPEG"), encode(photograph(200, 90), "WEBP")]
MANY = 64


def tensor(name: str, values: NDArray[Any], *, binary: bool = True) -> triton.InferInput:
    datatype = {"encoded": "BYTES", "pixels": "UINT8", "tensor": "FP32"}[name]
    given = triton.InferInput(name, list(values.shape), datatype)
    return given.set_data_from_numpy(values, binary_data=binary)


def files(*contents: bytes) -> triton.InferInput:
    return tensor("encoded", np.array(contents, dtype=np.object_))


def classified(client: httpx.Client, picture: bytes, model: str = "cifar10") -> list[float]:
    """The probabilities of all classes, by `POST /classify`."""
    url = f"/classify?model={model}&top_k=100"
    found = client.post(url, files={"file": picture}).json()["predictions"]
    return [each["probability"] for each in sorted(found, key=lambda each: each["index"])]


def probabilities(result: triton.InferResult) -> NDArray[np.float32]:
    found: NDArray[np.float32] = result.as_numpy("probabilities")
    return found


def test_health(protocol: triton.InferenceServerClient) -> None:
    assert protocol.is_server_live()
    assert protocol.is_server_ready()
    assert protocol.is_model_ready("cifar10")
    assert not protocol.is_model_ready("resnet")
    (version,) = protocol.get_model_metadata("cifar10")["versions"]
    assert protocol.is_model_ready("cifar10", version)
    assert not protocol.is_model_ready("cifar10", "1")


def test_health_for_clients_that_look_at_the_body(client: httpx.Client) -> None:
    for path, expected in (
        ("/v2/health/live", {"live": True}),
        ("/v2/health/ready", {"ready": True}),
        ("/v2/models/mnist/ready", {"name": "mnist", "ready": True}),
    ):
        answer = client.get(path)
        assert (answer.status_code, answer.json()) == (200, expected)


@pytest.mark.parametrize(
    "path",
    ["", "/health/live", "/health/ready", "/models/cifar10", "/models/cifar10/ready"],
)
def test_a_trailing_slash_makes_no_difference(client: httpx.Client, path: str) -> None:
    with_slash = client.get(f"/v2{path}/")
    assert with_slash.status_code == 200
    assert with_slash.content == client.get(f"/v2{path}").content


def test_a_trailing_slash_makes_no_difference_to_an_inference(client: httpx.Client) -> None:
    body, headers = FILES[0], {"Inference-Header-Content-Length": "0"}
    with_slash = client.post("/v2/models/cifar10/infer/", content=body, headers=headers)
    assert with_slash.status_code == 200
    without = client.post("/v2/models/cifar10/infer", content=body, headers=headers)
    assert with_slash.content == without.content


def test_metadata_of_the_server(protocol: triton.InferenceServerClient) -> None:
    assert protocol.get_server_metadata() == {
        "name": "atelier",
        "version": __version__,
        "extensions": ["binary_tensor_data", "classification"],
    }


def test_metadata_of_a_model(protocol: triton.InferenceServerClient) -> None:
    found = protocol.get_model_metadata("cifar10")
    assert found["name"] == "cifar10"
    assert [(each["name"], each["datatype"], each["shape"]) for each in found["inputs"]] == [
        ("encoded", "BYTES", [-1]),
        ("pixels", "UINT8", [-1, 32, 32, 3]),
        ("tensor", "FP32", [-1, 3, 32, 32]),
    ]
    assert found["outputs"] == [
        {
            "name": "probabilities",
            "datatype": "FP32",
            "shape": [-1, 10],
            "labels": list(CIFAR10.classes),
        }
    ]
    (version,) = found["versions"]
    assert protocol.get_model_metadata("cifar10", version) == found


@pytest.mark.parametrize(("model", "classes"), [("mnist", 10), ("cifar10", 10), ("catdog", 2)])
def test_encoded_images_are_answered_as_by_classify(
    protocol: triton.InferenceServerClient, client: httpx.Client, model: str, classes: int
) -> None:
    found = probabilities(protocol.infer(model, [files(*FILES)]))
    assert found.dtype == np.float32
    assert found.shape == (3, classes)
    for row, picture in zip(found, FILES, strict=True):
        assert row == pytest.approx(classified(client, picture, model), abs=1e-5)


@pytest.mark.parametrize("binary", [True, False])
def test_pixels_are_answered_as_the_picture_that_they_are_of(
    protocol: triton.InferenceServerClient, client: httpx.Client, binary: bool
) -> None:
    batch = np.stack([PIXELS, PIXELS[::-1]])  # (B, H, W, C)
    scaled = (batch.transpose(0, 3, 1, 2) / 255).astype(np.float32)  # (B, C, H, W)
    for given in (
        tensor("pixels", np.ascontiguousarray(batch), binary=binary),
        tensor("tensor", np.ascontiguousarray(scaled), binary=binary),
    ):
        found = probabilities(protocol.infer("cifar10", [given]))
        assert found[0] == pytest.approx(classified(client, FILES[0]), abs=1e-5)
        assert found[1] != pytest.approx(found[0], abs=1e-5)


def test_grey_pixels(protocol: triton.InferenceServerClient) -> None:
    dark = np.zeros((1, 28, 28, 1), np.uint8)
    by_bytes = probabilities(protocol.infer("mnist", [tensor("pixels", dark)]))
    floats = dark.reshape(1, 1, 28, 28).astype(np.float32)
    by_floats = probabilities(protocol.infer("mnist", [tensor("tensor", floats)]))
    assert by_bytes == pytest.approx(by_floats, abs=1e-6)
    assert by_bytes.sum() == pytest.approx(1, abs=1e-5)


def test_as_many_images_as_classify_takes(protocol: triton.InferenceServerClient) -> None:
    found = probabilities(protocol.infer("mnist", [files(*[FILES[0]] * MANY)]))
    assert found.shape == (MANY, 10)
    column = tensor("encoded", np.array([[FILES[0]]] * MANY, dtype=np.object_))
    assert probabilities(protocol.infer("mnist", [column])).shape == (MANY, 10)
    with pytest.raises(InferenceServerException, match=r"413.*at most 64 images"):
        protocol.infer("mnist", [files(*[FILES[0]] * (MANY + 1))])


@pytest.mark.parametrize("binary", [True, False])
def test_classification_names_the_most_probable_classes(
    protocol: triton.InferenceServerClient, client: httpx.Client, binary: bool
) -> None:
    asked = triton.InferRequestedOutput("probabilities", binary_data=binary, class_count=3)
    found = protocol.infer("cifar10", [files(*FILES)], outputs=[asked]).as_numpy("probabilities")
    assert found.shape == (3, 3)
    texts = [text.decode() if binary else text for text in found[0]]
    expected = client.post("/classify?model=cifar10&top_k=3", files={"file": FILES[0]}).json()
    for text, prediction in zip(texts, expected["predictions"], strict=True):
        value, index, label = text.split(":")
        assert float(value) == pytest.approx(prediction["probability"], abs=1e-5)
        assert (int(index), label) == (prediction["index"], prediction["label"])


def test_more_classes_than_there_are_means_all(protocol: triton.InferenceServerClient) -> None:
    asked = triton.InferRequestedOutput("probabilities", class_count=1000)
    found = protocol.infer("cifar10", [files(FILES[0])], outputs=[asked])
    assert found.as_numpy("probabilities").shape == (1, 10)


def test_the_answer_says_what_answered_to_which_request(
    protocol: triton.InferenceServerClient,
) -> None:
    (version,) = protocol.get_model_metadata("mnist")["versions"]
    answer = protocol.infer(
        "mnist", [files(FILES[0])], model_version=version, request_id="42"
    ).get_response()
    assert (answer["model_name"], answer["model_version"], answer["id"]) == ("mnist", version, "42")
    assert "id" not in protocol.infer("mnist", [files(FILES[0])]).get_response()


@pytest.mark.parametrize("algorithm", ["gzip", "deflate"])
def test_a_request_may_be_compressed_and_its_answer_is_not(
    protocol: triton.InferenceServerClient, algorithm: str
) -> None:
    given = tensor("pixels", np.zeros((MANY, 32, 32, 3), np.uint8))
    found = protocol.infer(
        "cifar10",
        [given],
        request_compression_algorithm=algorithm,
        response_compression_algorithm=algorithm,
    )
    plain = protocol.infer("cifar10", [given])
    assert probabilities(found) == pytest.approx(probabilities(plain), abs=1e-6)


def test_requests_at_the_same_time(protocol: triton.InferenceServerClient, service: Any) -> None:
    url = service.url.removeprefix("http://")
    with triton.InferenceServerClient(url, concurrency=4) as several:
        started = [several.async_infer("cifar10", [files(each)]) for each in FILES * 4]
        answers = [probabilities(each.get_result())[0] for each in started]
    alone = probabilities(protocol.infer("cifar10", [files(FILES[2])]))[0]
    assert answers[2] == pytest.approx(alone, abs=1e-5)


@pytest.mark.parametrize(
    ("model", "version", "message"),
    [
        ("resnet", "", "404.*The models are: mnist, cifar10, catdog"),
        ("mnist", "1", "404.*no version '1'"),
    ],
)
def test_what_is_not_served(
    protocol: triton.InferenceServerClient, model: str, version: str, message: str
) -> None:
    with pytest.raises(InferenceServerException, match=message):
        protocol.get_model_metadata(model, version)
    with pytest.raises(InferenceServerException, match=message):
        protocol.infer(model, [files(FILES[0])], model_version=version)


def test_a_model_that_is_not_available(strict_client: httpx.Client) -> None:
    for path in ("", "/ready", "/versions/1/ready"):
        answer = strict_client.get(f"/v2/models/catdog{path}")
        assert (answer.status_code, list(answer.json())) == (503, ["error"])
        assert "There is no catdog.json" in answer.json()["error"]
        assert int(answer.headers["Retry-After"]) > 0


def test_a_bad_image_is_named_by_its_place(protocol: triton.InferenceServerClient) -> None:
    with pytest.raises(InferenceServerException, match=r"415.*image 1: The file is not an image"):
        protocol.infer("mnist", [files(FILES[0], b"<svg/>")])
    with pytest.raises(InferenceServerException, match=r"422.*image 0: .*truncated"):
        protocol.infer("mnist", [files(FILES[0][: len(FILES[0]) // 2])])


def test_an_answer_that_would_come_too_late_is_not_waited_for(
    protocol: triton.InferenceServerClient,
) -> None:
    with pytest.raises(InferenceServerException, match=r"503.*no answer within 1e-06 s"):
        protocol.infer("mnist", [files(FILES[1])], timeout=1)
    assert probabilities(protocol.infer("mnist", [files(FILES[1])], timeout=10**9)).shape == (1, 10)


def test_requests_are_counted(client: httpx.Client) -> None:
    raw = {"Inference-Header-Content-Length": "0"}
    answer = client.post("/v2/models/mnist/infer", content=FILES[0], headers=raw)
    assert answer.headers["Content-Type"] == "application/octet-stream"
    length = int(answer.headers["Inference-Header-Content-Length"])
    row = np.frombuffer(answer.content[length:], "<f4")
    assert row == pytest.approx(classified(client, FILES[0], "mnist"), abs=1e-5)
    assert 'route="/v2/models/{model_name}/infer"' in client.get("/metrics").text
