"""Celery's worker, which runs the jobs that the broker delivers in a child process."""

import logging
import signal
import threading
import warnings
from collections.abc import Callable
from typing import Any

from amqp.exceptions import AccessRefused, NotAllowed
from celery import signals
from celery.apps.worker import Worker
from celery.exceptions import CPendingDeprecationWarning, Reject, WorkerShutdown
from celery.worker.consumer import Consumer
from celery.worker.request import Request
from kombu.exceptions import KombuError
from redis.exceptions import AuthenticationError, AuthorizationError

from app.errors import AtelierError
from app.runtime.celery_broker import TASK, BrokerOptions, make_celery
from app.runtime.child_process import DeliveryHandler, ForkedWorker, StoppingError, WorkerStartError

_REFUSALS = (AccessRefused, NotAllowed, AuthenticationError, AuthorizationError)


class BrokerRefusedError(AtelierError):
    """The broker refuses the connection."""


def consume(options: BrokerOptions, open_work: Callable[[threading.Event], DeliveryHandler]) -> int:
    """Run what the broker delivers, in one child process, until SIGTERM or SIGINT.

    Returns the exit status.

    `open_work` is called in the child process, because CUDA and connections do not survive a fork.
    Its event is set when the worker has to stop; the job is then put back. The function waits for a
    broker that is unreachable.

    Raises:
        BrokerRefusedError: the broker refuses the connection.
        WorkerStartError: `open_work` failed; the log has the reason.
    """
    celery = make_celery(options, publishing=False)
    child = ForkedWorker(open_work)

    def run(task: Any, job_id: str) -> None:
        is_redelivered = bool(task.request.delivery_info.get("redelivered"))
        try:
            child.take(job_id, is_redelivered=is_redelivered)
        except StoppingError as error:
            raise Reject(str(error), requeue=True) from error

    celery.task(run, bind=True, name=TASK, Request=_Request)
    signals.setup_logging.connect(_logging_is_ours, weak=False)
    signals.worker_process_init.connect(child.begin, weak=False)
    signals.worker_process_shutdown.connect(child.end, weak=False)
    signals.worker_shutting_down.connect(child.stop, weak=False)
    worker = _Worker(
        app=celery,
        consumer_cls=_Consumer,
        pool="prefork",
        concurrency=1,
        quiet=True,
        without_gossip=True,
        without_mingle=True,
        without_heartbeat=True,
    )
    worker.start()
    if worker.consumer is not None and worker.consumer.refusal is not None:
        raise worker.consumer.refusal
    if child.has_failed:
        raise WorkerStartError("the worker cannot start; see above")
    return int(worker.exitcode or 0)


class _Worker(Worker):  # type: ignore[misc]  # of a library without types
    """A worker that handles SIGINT like SIGTERM; Celery would exit with another status."""

    def install_platform_tweaks(self, worker: Any) -> None:
        """Install the signal handlers."""
        super().install_platform_tweaks(worker)
        signal.signal(signal.SIGINT, signal.getsignal(signal.SIGTERM))


class _Consumer(Consumer):  # type: ignore[misc]  # of a library without types
    """A consumer that ends the worker when the broker refuses the connection.

    Celery would retry forever with Redis, and end with a traceback with RabbitMQ.
    """

    refusal: BrokerRefusedError | None = None

    def ensure_connected(self, conn: Any) -> Any:
        """Connect, and wait as long as the broker is unreachable."""
        try:
            conn.connect()
        except _REFUSALS as error:
            self.refusal = BrokerRefusedError(
                f"the broker refuses the connection: {error}. Check the user, the password and "
                "the virtual host in ATELIER_BROKER_URL"
            )
            signals.worker_shutting_down.send(sender=self.hostname)
            raise WorkerShutdown(1) from error
        except (*self.connection_errors, KombuError):
            pass  # the base class waits for the broker
        return super().ensure_connected(conn)


class _Request(Request):  # type: ignore[misc]  # of a library without types
    """A message whose failed acknowledgement makes the worker reconnect.

    Celery would log the error and continue; with Redis it would then never receive another message.
    """

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **{**kwargs, "connection_errors": ()})


def _logging_is_ours(**_: Any) -> None:
    warnings.simplefilter(
        "ignore", CPendingDeprecationWarning
    )  # it is about a setting that is set above
    for name in ("celery.app.trace", "celery.worker.strategy"):
        logging.getLogger(name).setLevel(logging.WARNING)  # jobs have their own log lines
