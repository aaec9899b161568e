"""Starts an image's processes as the compose files say."""

import os
import signal
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from tests.deploy.compose import seconds
from tests.deploy.image import Image
from tests.deploy.root import Container
from tests.patience import patient


@dataclass(frozen=True)
class Running:
    """A process of an image."""

    process: subprocess.Popen[bytes]
    log: Path
    grace_s: int

    def stop(self) -> int:
        """End it as `docker stop` does; its exit status."""
        self.process.send_signal(signal.SIGTERM)
        return self.process.wait(patient(self.grace_s))

    def status(self) -> dict[str, str]:
        """Read the kernel's status of the process."""
        lines = Path(f"/proc/{self.process.pid}/status").read_text().splitlines()
        return {name: value.strip() for name, _, value in (line.partition(":") for line in lines)}

    def writable(self) -> set[str]:
        """Return the folders in which it could write: mounted, and not read-only."""
        root = Path(f"/proc/{self.process.pid}/root")
        found = set()
        for line in Path(f"/proc/{self.process.pid}/mountinfo").read_text().splitlines():
            target, options = line.split()[4:6]
            if "rw" in options.split(",") and (root / target[1:]).is_dir():
                found.add(target)
        return found


def new_volume(image: Image, folder: Path) -> Path:
    """Make an empty volume, which gets its owner and rights from the image, as Docker has it."""
    folder.mkdir()
    like = (image.root.path / "data").stat()
    os.chown(folder, like.st_uid, like.st_gid)
    folder.chmod(like.st_mode)
    return folder


def placed(image: Image, service: dict[str, Any], volume: Path, **variables: object) -> Container:
    """The container of a service in a compose file, with variables that only a test needs."""
    given = service.get("environment", {}) | {name: str(each) for name, each in variables.items()}
    (target,) = [each.split(":")[1] for each in service["volumes"]]
    return replace(
        image.container(given),
        mounts={target: volume},
        tmpfs=tuple(service["tmpfs"]),
        read_only=service["read_only"],
        network=service.get("network_mode") != "none",
    )


@contextmanager
def running(
    image: Image, container: Container, service: dict[str, Any], log: Path
) -> Iterator[Running]:
    """Start the service's command, and end it if the test has not."""
    words = [*image.start["ENTRYPOINT"], service["command"]]
    with log.open("ab") as output:
        process = subprocess.Popen(
            image.root.command(container, words),
            stdin=subprocess.DEVNULL,
            stdout=output,
            stderr=output,
        )
    try:
        yield Running(process, log, seconds(service["stop_grace_period"]))
    finally:
        process.kill()
        process.wait()


def is_healthy(image: Image, container: Container) -> bool:
    """Run the image's HEALTHCHECK beside a container."""
    command = image.root.command(container, image.start["HEALTHCHECK"])
    result = subprocess.run(command, check=False, capture_output=True, timeout=patient())
    return result.returncode == 0
