"""A response with a file of a job."""

from collections.abc import AsyncIterator, Mapping

from starlette.responses import StreamingResponse
from starlette.types import Receive, Scope, Send

from app.api.threads import in_storage
from app.jobs.storage.base import StoredFile


class BlobResponse(StreamingResponse):
    """A response that reads a stored file in chunks, as fast as the client does, and closes it."""

    def __init__(
        self, reader: StoredFile, media_type: str, headers: Mapping[str, str] | None = None
    ) -> None:
        headers = {**(headers or {}), "Content-Length": str(reader.size_bytes)}
        super().__init__(_pieces(reader), headers=headers, media_type=media_type)
        self._reader = reader

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Send the response."""
        try:
            await super().__call__(scope, receive, send)
        finally:
            self._reader.close()


async def _pieces(reader: StoredFile) -> AsyncIterator[bytes]:
    while piece := await in_storage(reader.read):
        yield piece
