"""Runs `pastiche` as its own command line does, and says how long it took to save each picture."""

import json
import sys
import time

from pastiche import pastiche
from torch import Tensor


def main() -> None:
    """Paint with the arguments of `python -m pastiche`; the last line printed is the durations."""
    durations = []
    save = pastiche.save_image

    def timed(picture: Tensor, path: str) -> None:
        started = time.perf_counter()
        save(picture, path)
        durations.append(time.perf_counter() - started)

    pastiche.save_image = timed
    pastiche.main(sys.argv)
    print(json.dumps(durations))


if __name__ == "__main__":
    main()
