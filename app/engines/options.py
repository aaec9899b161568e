"""Engine settings of the operator. This module does not import PyTorch."""

from dataclasses import dataclass
from pathlib import Path
from typing import Literal

Preference = Literal["auto", "torch", "openvino", "int8", "exact"]
"""`int8` is `auto` plus INT8 networks; `exact` is float32 PyTorch only."""


@dataclass(frozen=True)
class EngineOptions:
    """Engine settings of the operator.

    `threads` is the number of compute threads on a CPU; with `compiled`, PyTorch compiles networks
    on CUDA. `cache` is the folder of converted networks, `models` that of the checkpoints.
    """

    preference: Preference
    threads: int
    compiled: bool
    cache: Path
    models: Path
