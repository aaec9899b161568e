"""LitServe, with batching."""

import sys
from collections.abc import Sequence
from typing import Any

import litserve
from fastapi import Request
from torch import Tensor

from benchmarks.classify.servers.common import answers, load, prepared


class Api(litserve.LitAPI):
    """The hooks that LitServe calls in its worker process."""

    def setup(self, device: str) -> None:
        """Load the model."""
        self.classifier = load(device)

    def decode_request(self, request: Request) -> Tensor:
        """Decode and prepare one image."""
        return prepared(self.classifier, request["file"].file.read())

    def batch(self, inputs: Sequence[Tensor]) -> Sequence[Tensor]:
        """Leave stacking to the model."""
        return inputs

    def predict(self, pictures: Sequence[Tensor] | Tensor) -> list[dict[str, Any]]:
        """Run the network."""
        return answers(self.classifier, [*pictures] if len(pictures) else [])

    def unbatch(self, output: list[dict[str, Any]]) -> list[dict[str, Any]]:
        """Return one answer for each."""
        return output

    def encode_response(self, output: dict[str, Any]) -> dict[str, Any]:
        """Leave the answer as it is."""
        return output


def main() -> None:
    """Serve on the port, with the batch size, the timeout and the workers of the command line."""
    port, batch, timeout_s, workers = sys.argv[1:]
    api = Api(max_batch_size=int(batch), batch_timeout=float(timeout_s), api_path="/classify")
    server = litserve.LitServer(api, accelerator="cpu", workers_per_device=int(workers))
    server.run(host="127.0.0.1", port=int(port), generate_client_file=False, log_level="warning")


if __name__ == "__main__":
    main()
