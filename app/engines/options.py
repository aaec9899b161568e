"""Options of engines."""

from dataclasses import dataclass
from pathlib import Path
from typing import Literal

Preference = Literal["auto", "torch", "openvino", "int8", "exact"]
"""`int8` is `auto` with networks in INT8; `exact` is float32 PyTorch and nothing else."""


@dataclass(frozen=True)
class EngineOptions:
    """The operator's choices for all engines.

    `cache` is a folder for what engines prepare, `threads` how many compute on a CPU, `compiled`
    whether PyTorch compiles networks on CUDA; `models` is the folder of the checkpoints.
    """

    preference: Preference
    threads: int
    compiled: bool
    cache: Path
    models: Path
