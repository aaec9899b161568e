"""The distillation loss."""

import torch
from torch import Tensor, nn
from torch.nn import functional

CLASSES = 1000
"""ImageNet's. The student's last output, after them, is its log-odds of a dog against a cat."""


class DistillationLoss(nn.Module):
    """The divergence of the student's distribution from the teacher's, helped by the labels.

    Kullback-Leibler divergence at a temperature, scaled by its square so that gradients keep their
    size (Hinton, Vinyals and Dean 2015), plus the cross-entropy of cat against dog.
    """

    def __init__(self, temperature: float, label_weight: float) -> None:
        super().__init__()
        self._temperature = temperature
        self._label_weight = label_weight

    def forward(self, student: Tensor, teacher: Tensor, dog: Tensor) -> Tensor:
        """Compare float32 (B, 1001) with the teacher's logits (B, 1000) and the labels (B,).

        A label is the part of the view that is a dog, 0..1.
        """
        divergence = functional.kl_div(
            torch.log_softmax(student[:, :CLASSES] / self._temperature, dim=1),
            torch.log_softmax(teacher / self._temperature, dim=1),
            reduction="batchmean",
            log_target=True,
        )
        labels = functional.binary_cross_entropy_with_logits(student[:, CLASSES], dog)
        return divergence * self._temperature**2 + self._label_weight * labels
