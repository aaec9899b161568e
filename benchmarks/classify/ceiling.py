"""The most that the host can do: decoding and the engine on the same cores, without HTTP."""

import time
from collections import deque
from concurrent.futures import Future, ThreadPoolExecutor

import torch
from torch import Tensor

from app.engines.options import EngineOptions
from app.engines.selection import select_engine
from app.limits import ImageLimits
from app.vision.classifier import Classifier
from app.vision.images import read_header

_BATCH = 8
_AHEAD = 4 * _BATCH


def ceiling(model: str, options: EngineOptions, image: bytes, seconds: float) -> float:
    """Decode the image again and again in threads while the engine answers: images a second."""
    classifier = Classifier.load(model, options.models, torch.device("cpu"))
    engine = select_engine(classifier, options).engine

    def prepare() -> Tensor:
        return classifier.preprocess(read_header(image, ImageLimits()).decode())

    waiting: deque[Future[Tensor]] = deque()
    with ThreadPoolExecutor(options.threads) as pool:
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
