import hashlib
import json
import re
import threading
from functools import partial
from http.server import SimpleHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import pytest
import torch
from torch import Tensor
from torchvision.models import DenseNet121_Weights, densenet121

from tests.training.tiny import backbone_state
from training.backbone import BackboneError, Photographs, find_backbone


class _Quiet(SimpleHTTPRequestHandler):
    def log_message(self, *_: object) -> None:
        pass


def _older(state: dict[str, Tensor]) -> dict[str, Tensor]:
    """The names that torchvision's download has, from before batch norm counted its batches."""
    pattern = re.compile(r"(denselayer\d+\.(?:norm|conv))([12])\.")
    return {
        pattern.sub(r"\1.\2.", name): value
        for name, value in state.items()
        if not name.endswith("num_batches_tracked")
    }


@pytest.mark.parametrize("older", [False, True])
def test_a_file_is_read_in_either_naming(tmp_path: Path, older: bool) -> None:
    state, path = backbone_state(), tmp_path / "backbone.pth"
    torch.save(_older(state) if older else state, path)
    found = find_backbone(path)
    assert not found.imagenet  # whoever made it, torchvision did not
    assert found.photographs is None
    assert found.origin["made"] == "unknown"
    assert found.origin["file"] == "backbone.pth"
    assert found.origin["sha256"] == hashlib.sha256(path.read_bytes()).hexdigest()
    network = densenet121().eval()
    network.load_state_dict(state)
    images = torch.rand(2, 3, 32, 32)
    with torch.inference_mode():
        features = found.network()(images)
        assert features.shape == (2, 1024)
        assert torch.allclose(network.classifier(features), network(images), atol=1e-5)


def test_origin_of_a_file_is_returned(tmp_path: Path) -> None:
    path = tmp_path / "backbone.pt"
    torch.save(backbone_state(), path)
    sha256 = hashlib.sha256(path.read_bytes()).hexdigest()
    made = {"made_by": "magic", "sha256": sha256, "photographs": 48, "split_seed": 4}
    path.with_suffix(".json").write_text(json.dumps(made))
    found = find_backbone(path)
    assert found.origin["made"] == made
    assert found.photographs == Photographs(count=48, split_seed=4)
    assert not found.imagenet
    torch.save(backbone_state(seed=1), path)
    with pytest.raises(BackboneError, match=r"backbone\.json describes other weights"):
        find_backbone(path)


@pytest.mark.parametrize(
    "sidecar",
    [
        "no JSON",
        "[1]",
        '{"sha256": "0", "photographs": 5}',
        '{"sha256": "0", "photographs": "five", "split_seed": 0}',
    ],
)
def test_a_bad_sidecar_is_not_blamed_on_the_weights(tmp_path: Path, sidecar: str) -> None:
    path = tmp_path / "backbone.pt"
    torch.save(backbone_state(), path)
    path.with_suffix(".json").write_text(sidecar)
    with pytest.raises(BackboneError, match=r"backbone\.json .*or delete it to use weights"):
        find_backbone(path)


def test_the_name_is_that_of_the_weights(tmp_path: Path) -> None:
    for name, seed in (("a", 0), ("b", 0), ("c", 1)):
        torch.save(backbone_state(seed), tmp_path / name)
    first, same, other = (find_backbone(tmp_path / name).name for name in "abc")
    assert first == same != other


def _without_a_layer(path: Path) -> None:
    state = backbone_state()
    del state["features.denseblock2.denselayer3.conv1.weight"]
    torch.save(state, path)


@pytest.mark.parametrize(
    "write",
    [
        Path.exists,  # nothing is there
        lambda path: path.write_bytes(b""),
        lambda path: path.write_bytes(b"not weights"),
        lambda path: torch.save([1, 2], path),
        lambda path: torch.save({"features.conv0.weight": 3}, path),
        _without_a_layer,
    ],
)
def test_file_without_a_backbone_is_refused(tmp_path: Path, write: object) -> None:
    path = tmp_path / "backbone.pt"
    assert callable(write)
    write(path)
    with pytest.raises(BackboneError, match=r"backbone\.pt .*training\.densenet_backbone"):
        find_backbone(path)


def test_torchvisions_weights_are_downloaded(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    state = backbone_state()
    torch.save(_older(state), tmp_path / "download")
    digest = hashlib.sha256((tmp_path / "download").read_bytes()).hexdigest()
    (tmp_path / "download").rename(tmp_path / f"densenet121-{digest[:8]}.pth")
    monkeypatch.setenv("TORCH_HOME", str(tmp_path / "torch"))
    handler = partial(_Quiet, directory=str(tmp_path))
    with ThreadingHTTPServer(("127.0.0.1", 0), handler) as server:
        threading.Thread(target=server.serve_forever, daemon=True).start()
        url = f"http://127.0.0.1:{server.server_port}/densenet121-{digest[:8]}.pth"
        monkeypatch.setattr(DenseNet121_Weights.IMAGENET1K_V1.value, "url", url)
        found = find_backbone(None)
        server.shutdown()
    assert found.imagenet
    assert found.origin["url"] == url
    assert find_backbone(tmp_path / f"densenet121-{digest[:8]}.pth").imagenet
    for name, value in found.state.items():
        assert torch.equal(value, state[name])


def test_without_a_network_the_message_says_what_to_do(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("TORCH_HOME", str(tmp_path))
    url = "http://127.0.0.1:9/densenet121-00000000.pth"
    monkeypatch.setattr(DenseNet121_Weights.IMAGENET1K_V1.value, "url", url)
    with pytest.raises(BackboneError, match=r"could not be downloaded") as caught:
        find_backbone(None)
    assert "--backbone" in str(caught.value)
    assert "training.densenet_backbone" in str(caught.value)
