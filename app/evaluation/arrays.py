"""The arrays that answers are kept in."""

import numpy as np
from numpy.typing import NDArray

Probabilities = NDArray[np.float32]
"""(N, K): a row that sums to 1 for each picture."""

Indices = NDArray[np.int64]
"""(N,): a class for each picture."""
