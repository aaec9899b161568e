"""The cat and dog network: DenseNet-121 (Huang et al. 2017) with a small head.

The layers have torchvision's names, so that weights of its `densenet121` can be loaded. They are
defined here because importing torchvision takes more than a second of CPU time at every start.
"""

from collections import OrderedDict

import torch
from torch import Tensor, nn
from torch.nn import functional

FEATURES = 1024
"""Number of features between the convolutions and the head."""

_STEM = 64  # output channels of the first convolution
_GROWTH = 32  # channels that each layer of a dense block adds
_BOTTLENECK = 4 * _GROWTH
_BLOCKS = (6, 12, 24, 16)  # layers of each dense block


def densenet(class_count: int) -> nn.Module:
    """Build the network.

    Input float32 (B, 3, H, W), normalized, H and W at least 32; output float32 (B, class_count),
    log-probabilities.
    """
    return _DenseNet(head(class_count))


def head(class_count: int) -> nn.Sequential:
    """Build the head alone: float32 (B, 1024) features -> (B, class_count), log-probabilities."""
    return nn.Sequential(
        OrderedDict(
            fc1=nn.Linear(FEATURES, 256),
            relu=nn.ReLU(),
            dropout=nn.Dropout(0.2),
            fc2=nn.Linear(256, class_count),
            log_softmax=nn.LogSoftmax(dim=1),
        )
    )


class _DenseNet(nn.Module):
    def __init__(self, classifier: nn.Module) -> None:
        super().__init__()
        self.features = _features()
        self.classifier = classifier

    def forward(self, images: Tensor) -> Tensor:
        maps = functional.relu(self.features(images), inplace=True)  # (B, 1024, H / 32, W / 32)
        outputs: Tensor = self.classifier(functional.adaptive_avg_pool2d(maps, 1).flatten(1))
        return outputs


class _DenseBlock(nn.Sequential):
    """A sequence of layers; each takes the concatenated outputs of all layers before it."""

    def forward(self, maps: Tensor) -> Tensor:
        outputs = [maps]
        for layer in self:
            outputs.append(layer(torch.cat(outputs, dim=1)))
        return torch.cat(outputs, dim=1)


def _features() -> nn.Sequential:
    parts: OrderedDict[str, nn.Module] = OrderedDict(
        conv0=nn.Conv2d(3, _STEM, kernel_size=7, stride=2, padding=3, bias=False),
        norm0=nn.BatchNorm2d(_STEM),
        relu0=nn.ReLU(inplace=True),
        pool0=nn.MaxPool2d(kernel_size=3, stride=2, padding=1),
    )
    channels = _STEM
    for number, layers in enumerate(_BLOCKS, start=1):
        parts[f"denseblock{number}"] = _dense_block(channels, layers)
        channels += layers * _GROWTH
        if number < len(_BLOCKS):
            parts[f"transition{number}"] = _transition(channels)
            channels //= 2
    parts["norm5"] = nn.BatchNorm2d(channels)
    return nn.Sequential(parts)


def _dense_block(channels: int, layers: int) -> nn.Sequential:
    return _DenseBlock(
        OrderedDict(
            (f"denselayer{number + 1}", _dense_layer(channels + number * _GROWTH))
            for number in range(layers)
        )
    )


def _dense_layer(channels: int) -> nn.Sequential:
    return nn.Sequential(
        OrderedDict(
            norm1=nn.BatchNorm2d(channels),
            relu1=nn.ReLU(inplace=True),
            conv1=nn.Conv2d(channels, _BOTTLENECK, kernel_size=1, bias=False),
            norm2=nn.BatchNorm2d(_BOTTLENECK),
            relu2=nn.ReLU(inplace=True),
            conv2=nn.Conv2d(_BOTTLENECK, _GROWTH, kernel_size=3, padding=1, bias=False),
        )
    )


def _transition(channels: int) -> nn.Sequential:
    """Build the layers between two dense blocks; they halve channels, height and width."""
    return nn.Sequential(
        OrderedDict(
            norm=nn.BatchNorm2d(channels),
            relu=nn.ReLU(inplace=True),
            conv=nn.Conv2d(channels, channels // 2, kernel_size=1, bias=False),
            pool=nn.AvgPool2d(kernel_size=2),
        )
    )
