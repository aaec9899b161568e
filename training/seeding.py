"""Repeatable randomness."""

import os

import numpy as np
import torch


def seed_torch(*numbers: int) -> None:
    """Seed torch's generators of all devices with a combination of these numbers."""
    seed = np.random.SeedSequence(numbers).generate_state(1, np.uint64)[0]
    torch.manual_seed(int(seed))


def make_repeatable(device: torch.device) -> None:
    """Make a device deterministic; the CPU is so anyway."""
    if device.type == "cuda":
        os.environ.setdefault(
            "CUBLAS_WORKSPACE_CONFIG", ":4096:8"
        )  # otherwise cuBLAS results may vary
        torch.use_deterministic_algorithms(True, warn_only=True)
