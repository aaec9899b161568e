"""Runs brokers of our own, with their data in a temporary folder: RabbitMQ and Redis."""

import os
import shutil
import signal
import subprocess
import tempfile
import time
from abc import ABC, abstractmethod
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any

import kombu
from kombu.exceptions import OperationalError

from tests.patience import patient
from tests.service import free_port, wait_until

QUEUE = "atelier"
_amqp: Any = kombu
_RABBITMQ = Path("/usr/lib/rabbitmq/bin/rabbitmq-server")


class BrokerServer(ABC):
    """A broker on a port of 127.0.0.1."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self._process: subprocess.Popen[bytes] | None = None
        self.port = free_port()
        self.log = folder / "log"

    @property
    @abstractmethod
    def url(self) -> str:
        """The address of the broker, as a setting has it."""

    @abstractmethod
    def _command(self) -> tuple[list[str], dict[str, str]]: ...

    def start(self) -> None:
        """Start it, and wait until it answers."""
        words, environment = self._command()
        with self.log.open("ab") as log:
            self._process = subprocess.Popen(
                words,
                cwd=self._folder,
                env=os.environ | environment,
                stdout=log,
                stderr=log,
                start_new_session=True,
            )
        wait_until(self._answers)

    def ensure_running(self) -> None:
        """Start it again if a test has left it stopped."""
        if not self.is_running():
            self.start()

    @contextmanager
    def stopped(self) -> Iterator[None]:
        """Stop it, and start it again at the exit."""
        self.stop()
        try:
            yield
        finally:
            self.start()

    def stop(self) -> None:
        """Stop it; what it has promised to keep, it keeps."""
        assert self._process is not None
        self._process.terminate()
        try:
            self._process.wait(patient())
        finally:
            with suppress(ProcessLookupError):
                os.killpg(self._process.pid, signal.SIGKILL)
            self._process = None

    @contextmanager
    def hanging(self) -> Iterator[None]:
        """Stop all its processes with SIGSTOP: connections stay open, and nothing answers."""
        assert self._process is not None
        os.killpg(self._process.pid, signal.SIGSTOP)
        try:
            yield
        finally:
            os.killpg(self._process.pid, signal.SIGCONT)

    def is_running(self) -> bool:
        """Return whether it was started and has not ended since."""
        return self._process is not None and self._process.poll() is None

    def purge(self) -> int:
        """Lose all messages that wait; returns how many."""
        with self._connection() as connection:
            return int(connection.channel().queue_purge(QUEUE) or 0)

    def waiting(self) -> int:
        """Count the messages that wait."""
        with self._connection() as connection:
            try:
                found = connection.channel().queue_declare(QUEUE, passive=True)
            except connection.channel_errors:  # nothing was ever sent, or Redis has nothing left
                return 0
            return int(found.message_count)

    def take_all(self) -> list[str]:
        """The ids in all messages that wait, in the order in which workers would get them."""
        ids = []
        with self._connection() as connection:
            channel = connection.channel()
            while self.waiting():
                message = channel.basic_get(QUEUE, no_ack=True)
                if message is not None:
                    (job_id,), _, _ = channel.message_to_python(message).decode()
                    ids.append(job_id)
        return ids

    def repeat(self, job_id: str, times: int) -> None:
        """Name a job to workers several times, as our own processes do."""
        headers = {"lang": "py", "task": "atelier.run", "id": job_id, "root_id": job_id}
        with self._connection() as connection:
            producer = connection.Producer(serializer="json")
            for _ in range(times):
                producer.publish(
                    ((job_id,), {}, {}), routing_key=QUEUE, exchange="", headers=headers, priority=5
                )

    def _connection(self) -> Any:
        return _amqp.Connection(
            self.url, connect_timeout=patient(), transport_options=self._transport()
        )

    def _transport(self) -> dict[str, Any]:
        return {}

    def _answers(self) -> bool:
        assert self._process is not None
        assert self._process.poll() is None, self.log.read_text()
        try:
            with self._connection() as connection:
                connection.connect()
        except (OSError, OperationalError):
            time.sleep(0.1)
            return False
        return True


class RabbitMQ(BrokerServer):
    """RabbitMQ, with a port mapper of its own."""

    def __init__(self, folder: Path) -> None:
        super().__init__(folder)
        self._mapper_port = str(free_port())

    def stop(self) -> None:
        try:
            super().stop()
        finally:
            subprocess.run(
                ["epmd", "-port", self._mapper_port, "-kill"], check=False, capture_output=True
            )

    @property
    def url(self) -> str:
        return f"amqp://guest:guest@127.0.0.1:{self.port}//"

    def _command(self) -> tuple[list[str], dict[str, str]]:
        settings = self._folder / "rabbitmq.conf"
        settings.touch()
        environment = {
            "HOME": str(self._folder),
            "RABBITMQ_NODENAME": "atelier@localhost",
            "RABBITMQ_NODE_IP_ADDRESS": "127.0.0.1",
            "RABBITMQ_NODE_PORT": str(self.port),
            "RABBITMQ_DIST_PORT": str(free_port()),
            "ERL_EPMD_PORT": self._mapper_port,
            "RABBITMQ_SERVER_ADDITIONAL_ERL_ARGS": "+S 1:1 +sbwt none",
            "RABBITMQ_MNESIA_BASE": str(self._folder / "data"),
            "RABBITMQ_LOG_BASE": str(self._folder),
            "RABBITMQ_LOGS": "-",
            "RABBITMQ_PID_FILE": str(self._folder / "pid"),
            "RABBITMQ_ENABLED_PLUGINS_FILE": str(self._folder / "plugins"),
            "RABBITMQ_CONFIG_FILE": str(settings),
            "RABBITMQ_CONF_ENV_FILE": "/dev/null",
        }
        return [str(_RABBITMQ)], environment


class Redis(BrokerServer):
    """Redis, which writes down what it is told before it says that it has it."""

    @property
    def url(self) -> str:
        return f"redis://127.0.0.1:{self.port}/0"

    def _command(self) -> tuple[list[str], dict[str, str]]:
        options = {"port": self.port, "bind": "127.0.0.1", "dir": self._folder, "appendonly": "yes"}
        words = [word for name, value in options.items() for word in (f"--{name}", str(value))]
        return ["redis-server", *words, "--appendfsync", "always"], {}

    def _transport(self) -> dict[str, Any]:
        return {"priority_steps": list(range(10))}


KINDS: dict[str, type[BrokerServer]] = {"rabbitmq": RabbitMQ, "redis": Redis}


def is_installed(kind: str) -> bool:
    """Return whether this host has the server."""
    return _RABBITMQ.exists() if kind == "rabbitmq" else shutil.which("redis-server") is not None


@contextmanager
def running_broker(kind: str) -> Iterator[BrokerServer]:
    """Start a broker, where it is installed; it is gone afterwards."""
    folder = Path(tempfile.mkdtemp(prefix=f"atelier-{kind}-", dir="/tmp"))
    broker = KINDS[kind](folder)
    try:
        broker.start()
        yield broker
    finally:
        try:
            if broker.is_running():
                broker.stop()
        finally:
            shutil.rmtree(folder, ignore_errors=True)
