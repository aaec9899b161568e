"""The most that the host can do: decoding and the engine on the same cores, without HTTP."""

import os
import time
from collections import deque
from concurrent.futures import Future, ThreadPoolExecutor
from pathlib import Path

import torch
from torch import Tensor

from app.engines.choice import EngineOptions, choose
from app.vision.classifier import Classifier
from app.vision.images import ImageLimits, read_header

_BATCH = 8
_AHEAD = 4 * _BATCH


def ceiling(model: str, models: Path, cache: Path, image: bytes, seconds: float) -> float:
    """Decode the image again and again in threads while the engine answers: images a second."""
    classifier = Classifier.load(model, models, torch.device("cpu"))
    threads = os.cpu_count() or 1
    engine = choose(
        classifier, EngineOptions("auto", threads=threads, compiled=False, cache=cache)
    ).engine

    def prepare() -> Tensor:
        return classifier.prepare(read_header(image, ImageLimits()).decode())

    waiting: deque[Future[Tensor]] = deque()
    with ThreadPoolExecutor(threads) as pool:
        waiting.extend(pool.submit(prepare) for _ in range(_AHEAD))
        started, count = time.perf_counter(), 0
        while time.perf_counter() < started + seconds:
            pictures = [waiting.popleft().result() for _ in range(_BATCH)]
            waiting.extend(pool.submit(prepare) for _ in range(_BATCH))
            engine.probabilities(pictures)
            count += _BATCH
        took_s = time.perf_counter() - started
        for each in waiting:
            each.cancel()
    return count / took_s
