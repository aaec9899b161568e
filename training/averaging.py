"""Exponentially averaged weights."""

import copy

import torch
from torch import nn


class AveragedWeights:
    """A copy of a network in eval mode, with an exponential moving average of its weights.

    The decay rises to its full value over the first steps, so that the initial random weights soon
    have no influence.
    """

    def __init__(self, network: nn.Module, decay: float) -> None:
        self.network = copy.deepcopy(network).eval().requires_grad_(False)
        self._decay = decay

    @torch.no_grad()
    def update(self, network: nn.Module, step: int) -> None:
        """Move the average towards `network` after its optimizer's `step`, counted from 1."""
        weight = 1 - min(self._decay, (1 + step) / (10 + step))
        targets = network.state_dict()
        for name, average in self.network.state_dict().items():
            if average.is_floating_point():
                average.lerp_(targets[name], weight)
            else:  # counters, such as batch normalization's
                average.copy_(targets[name])
