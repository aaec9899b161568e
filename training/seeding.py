"""Repeatable randomness."""

import os

import numpy as np
import torch


def seed_torch(*numbers: int) -> None:
    """Seed torch's generators of all devices by all of these numbers together."""
    seed = np.random.SeedSequence(numbers).generate_state(1, np.uint64)[0]
    torch.manual_seed(int(seed))


def make_repeatable(device: torch.device) -> None:
    """Let a device compute the same from the same; the CPU does so anyway."""
    if device.type == "cuda":
        os.environ.setdefault("CUBLAS_WORKSPACE_CONFIG", ":4096:8")  # else cuBLAS may vary
        torch.use_deterministic_algorithms(True, warn_only=True)
