"""The CIFAR-10 network, three convolutions and two linear layers."""

from collections import OrderedDict

from torch import nn


def cnn(class_count: int) -> nn.Sequential:
    """Build the network.

    Input float32 (B, 3, 32, 32), normalized; output float32 (B, class_count), logits.
    """
    return nn.Sequential(
        OrderedDict(
            conv1=nn.Conv2d(3, 16, kernel_size=3, padding=1),
            relu1=nn.ReLU(),
            pool1=nn.MaxPool2d(2),  # (B, 16, 16, 16)
            conv2=nn.Conv2d(16, 32, kernel_size=3, padding=1),
            relu2=nn.ReLU(),
            pool2=nn.MaxPool2d(2),  # (B, 32, 8, 8)
            conv3=nn.Conv2d(32, 64, kernel_size=3, padding=1),
            relu3=nn.ReLU(),
            pool3=nn.MaxPool2d(2),  # (B, 64, 4, 4)
            flatten=nn.Flatten(),  # (B, 1024)
            dropout1=nn.Dropout(0.25),
            fc1=nn.Linear(1024, 500),
            relu4=nn.ReLU(),
            dropout2=nn.Dropout(0.25),
            fc2=nn.Linear(500, class_count),
        )
    )
