"""Archives and data sets are opened one at a time."""

import asyncio
import threading
from pathlib import Path

import pytest

from app.api.uploads.archives import ArchiveReceiver
from app.api.uploads.body import UploadTimeouts
from app.jobs.errors import QuotaError
from app.jobs.storage.spool import Spool
from app.limits import ArchiveLimits
from tests.patience import patient


def test_one_caller_cannot_fill_the_queue_of_archives(tmp_path: Path) -> None:
    released = threading.Event()

    async def scenario() -> None:
        archives = ArchiveReceiver(Spool(tmp_path), ArchiveLimits(1, 1), UploadTimeouts(1, 1), 0)
        bobs = [asyncio.create_task(archives.opened(released.wait, "bob")) for _ in range(4)]
        await asyncio.sleep(0)  # each of them waits in the line now
        try:
            with pytest.raises(QuotaError, match="4 archives or data sets of yours"):
                await archives.opened(released.wait, "bob")
            anns = asyncio.create_task(archives.opened(released.wait, "ann"))
        finally:
            released.set()
        assert all(await asyncio.gather(*bobs, anns))
        assert await archives.opened(released.wait, "bob")

    asyncio.run(asyncio.wait_for(scenario(), patient()))
