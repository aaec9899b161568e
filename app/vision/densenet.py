"""The cat and dog network: DenseNet-121 (Huang et al. 2017) with a small head."""

from collections import OrderedDict

from torch import nn

FEATURES = 1024
"""Width of what the convolutions say of a picture, and of what the head takes."""


def densenet(class_count: int) -> nn.Module:
    """Build the network.

    Input float32 (B, 3, H, W), normalised, 32 px a side or more; output float32 (B, class_count),
    log-probabilities.
    """
    from torchvision.models import densenet121  # noqa: PLC0415 - takes a second to import

    network: nn.Module = densenet121()
    network.classifier = head(class_count)
    return network


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
