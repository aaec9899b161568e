"""BentoML, with adaptive batching."""

from typing import Any

import bentoml
from PIL.Image import Image

from benchmarks.classify.servers.common import answers, load


@bentoml.service(workers=1, traffic={"timeout": 60})
class Peer:
    """One service with a batchable method."""

    def __init__(self) -> None:
        self.classifier = load()

    @bentoml.api(route="/classify", batchable=True, max_batch_size=8, max_latency_ms=60_000)
    def classify(self, file: list[Image]) -> list[dict[str, Any]]:
        """Label several images."""
        pictures = [self.classifier.preprocess(image.convert("RGB")) for image in file]
        return answers(self.classifier, pictures)
