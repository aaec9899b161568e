"""The predictions that a model has made so far."""

import io
import json
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Self

import numpy as np

from app.evaluation.arrays import Indices, Probabilities
from app.evaluation.labeled_images import Skipped


class AnswersError(ValueError):
    """Bytes that do not hold answers."""


@dataclass
class Answers:
    """Grows batch by batch.

    `of` names the model and the set that they belong to. `seen` counts the files of the set, in its
    order, that were answered or skipped. `positions` are those of the answered ones, `rows` their
    probabilities, one float32 (K,) each. `seconds` is the time that it took.
    """

    of: str = ""
    seen: int = 0
    positions: list[int] = field(default_factory=list)
    rows: list[Probabilities] = field(default_factory=list)
    skipped: list[Skipped] = field(default_factory=list)
    seconds: float = 0.0

    def probabilities(self) -> Probabilities:
        """Return all rows: float32 (N, K), with N >= 1."""
        return np.stack(self.rows)

    def labels(self, of_set: Sequence[int]) -> Indices:
        """Pick the labels of the answered files from those of the set: int64 (N,)."""
        return np.asarray(of_set, dtype=np.int64)[self.positions]

    def to_bytes(self) -> bytes:
        """Return all of it, for `from_bytes`."""
        buffer = io.BytesIO()
        known = {"of": self.of, "seen": self.seen, "seconds": self.seconds}
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
        """Read what `to_bytes` returned.

        Raises:
            AnswersError: it is damaged.
        """
        try:
            with np.load(io.BytesIO(data), allow_pickle=False) as found:
                rest = json.loads(found["rest"].tobytes())
                skipped = [Skipped(*each) for each in rest["skipped"]]
                return cls(
                    of=rest["of"],
                    seen=rest["seen"],
                    positions=found["positions"].tolist(),
                    rows=list(found["rows"]),
                    skipped=skipped,
                    seconds=rest["seconds"],
                )
        except Exception as error:  # on damaged archives numpy raises almost any type
            raise AnswersError(f"these are no answers: {error}") from error
