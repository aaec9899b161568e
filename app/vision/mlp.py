"""The MNIST network, a multilayer perceptron, 784-512-512-10."""

from collections import OrderedDict

from torch import nn


def mlp(class_count: int) -> nn.Sequential:
    """Build the network.

    Input float32 (B, 1, 28, 28), normalized; output float32 (B, class_count), log-probabilities.
    """
    return nn.Sequential(
        OrderedDict(
            flatten=nn.Flatten(),  # (B, 784)
            fc1=nn.Linear(28 * 28, 512),
            relu1=nn.ReLU(),
            dropout1=nn.Dropout(0.2),
            fc2=nn.Linear(512, 512),
            relu2=nn.ReLU(),
            dropout2=nn.Dropout(0.2),
            fc3=nn.Linear(512, class_count),
            log_softmax=nn.LogSoftmax(dim=1),
        )
    )
