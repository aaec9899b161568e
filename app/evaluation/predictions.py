"""Predictions of a model on a data set, as arrays that can be saved and resumed."""

import io
import json
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Self

import numpy as np
from numpy.typing import NDArray

from app.evaluation.labeled_images import SkippedFile

Probabilities = NDArray[np.float32]
"""(N, K): a row that sums to 1 for each image."""

Indices = NDArray[np.int64]
"""(N,): a class for each image."""


class PredictionsError(ValueError):
    """The bytes are not saved predictions."""


@dataclass
class Predictions:
    """The predictions so far; they grow batch by batch.

    `key` identifies the model and the data set. `seen` is the number of files, in order, that were
    predicted or skipped. `positions` are the indices of the predicted files, `rows` their
    probabilities, one float32 (K,) each. `seconds` is the time spent.
    """

    key: str = ""
    seen: int = 0
    positions: list[int] = field(default_factory=list)
    rows: list[Probabilities] = field(default_factory=list)
    skipped: list[SkippedFile] = field(default_factory=list)
    seconds: float = 0.0

    def probabilities(self) -> Probabilities:
        """Return all rows: float32 (N, K), with N >= 1."""
        return np.stack(self.rows)

    def labels(self, all_labels: Sequence[int]) -> Indices:
        """Select the labels of the predicted files from those of all files: int64 (N,)."""
        return np.asarray(all_labels, dtype=np.int64)[self.positions]

    def to_bytes(self) -> bytes:
        """Serialize the predictions, the inverse of `from_bytes`."""
        buffer = io.BytesIO()
        known = {"of": self.key, "seen": self.seen, "seconds": self.seconds}
        skipped = [[each.filename, each.reason] for each in self.skipped]
        np.savez(
            buffer,
            positions=np.asarray(self.positions, dtype=np.int64),
            rows=np.asarray(self.rows, dtype=np.float32),
            rest=np.frombuffer(json.dumps({**known, "skipped": skipped}).encode(), dtype=np.uint8),
        )
        return buffer.getvalue()

    @classmethod
    def from_bytes(cls, data: bytes) -> Self:
        """Parse saved predictions.

        Raises:
            PredictionsError: the data is damaged.
        """
        try:
            with np.load(io.BytesIO(data), allow_pickle=False) as found:
                rest = json.loads(found["rest"].tobytes())
                skipped = [SkippedFile(*each) for each in rest["skipped"]]
                return cls(
                    key=rest["of"],
                    seen=rest["seen"],
                    positions=found["positions"].tolist(),
                    rows=list(found["rows"]),
                    skipped=skipped,
                    seconds=rest["seconds"],
                )
        except Exception as error:  # on damaged archives numpy raises almost any type
            raise PredictionsError(f"The saved predictions are damaged: {error}.") from error
