"""Celery, which carries the ids of waiting jobs to workers on any number of hosts, and no more.

Nothing here is trusted with a job: the job table says what is to be done, and a message only that
it is worth a look. Messages are acknowledged once the work is over, so that the broker gives those
of a lost worker to another.
"""

import logging
import mmap
import os
import signal
import threading
import warnings
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, Protocol, TypeVar

import kombu
import structlog
from celery import Celery, signals
from celery.exceptions import CPendingDeprecationWarning, Reject
from celery.worker.request import Request
from kombu.exceptions import KombuError

from app.jobs.announcer import BrokerUnavailableError
from app.settings import Settings
from app.vision.errors import AtelierError

log = structlog.stdlib.get_logger(__name__)
T = TypeVar("T")
_amqp: Any = kombu  # which has no type information

_TASK = "atelier.run"
_QUEUE = "atelier"
_PRIORITIES = 10
_OPENING_S = 600.0  # that the child of a worker may need for its start
_MARGIN_S = 600.0  # after the time limit, until Redis gives a message to another worker


@dataclass(frozen=True)
class BrokerOptions:
    """Where the broker is, how long to wait for it, and for how long a job may be worked on."""

    url: str
    timeout_s: float
    time_limit_s: float

    @classmethod
    def of(cls, settings: Settings) -> "BrokerOptions":
        """As the settings say; there must be a broker."""
        assert settings.broker_url is not None
        url = settings.broker_url.get_secret_value()
        return cls(url, settings.broker_timeout_s, settings.job_time_limit_s)

    @property
    def is_redis(self) -> bool:
        """Whether it is Redis; else it speaks AMQP, as RabbitMQ does."""
        return self.url.startswith(("redis", "sentinel"))

    def priority(self, turn: int) -> int:
        """The priority of a turn, from 1: for Redis 0 is the highest, for RabbitMQ 9."""
        later = min(turn, _PRIORITIES) - 1
        return later if self.is_redis else _PRIORITIES - 1 - later


class NothingToWorkWithError(AtelierError):
    """What a worker needs cannot be opened."""


class DeliveredWork(Protocol):
    """What is done with the jobs that a worker is told of."""

    def take(self, job_id: str, *, is_redelivered: bool) -> None:
        """Look at a job, and run it if it waits."""
        ...

    def close(self) -> None:
        """Let go of everything."""
        ...


class CeleryBroker:
    """Announces jobs, over a connection of its own; any thread may."""

    def __init__(self, options: BrokerOptions) -> None:
        """Connect lazily."""
        self._options = options
        self._celery = _make_celery(options, _publishing(options))
        self._producer: Any = None
        self._lock = threading.Lock()

    def announce(self, job_id: str, turn: int) -> None:
        """Have some worker look at a job.

        Raises:
            BrokerUnavailableError: the broker has not confirmed that it has the message.
        """

        def send(producer: Any) -> None:
            self._celery.send_task(
                _TASK,
                (job_id,),
                producer=producer,
                priority=self._options.priority(turn),
                retry=False,
                timeout=self._options.timeout_s,
                confirm_timeout=self._options.timeout_s,
            )

        self._connected(send)

    def waiting(self) -> int:
        """How many messages no worker has received yet.

        Raises:
            BrokerUnavailableError: the broker does not answer.
        """

        def count(producer: Any) -> int:
            self._celery.amqp.queues[_QUEUE](producer.channel).declare()
            try:
                found = producer.channel.queue_declare(queue=_QUEUE, passive=True)
            except producer.connection.channel_errors as error:
                if str(error.reply_code) == "404":  # Redis keeps no empty queue
                    return 0
                raise
            return int(found.message_count)

        return self._connected(count)

    def close(self) -> None:
        """Close the connection."""
        with self._lock:
            if self._producer is not None:
                self._producer.connection.release()
                self._producer = None

    def _connected(self, call: Callable[[Any], T]) -> T:
        """Call with a producer; once more with a new one, for the old one may have been idle."""
        with self._lock:
            if self._producer is not None:
                try:
                    return self._guarded(call)
                except BrokerUnavailableError:
                    pass
            return self._guarded(call)

    def _guarded(self, call: Callable[[Any], T]) -> T:
        connection = self._celery.connection_for_write() if self._producer is None else None
        try:
            if connection is not None:
                self._producer = self._celery.amqp.Producer(connection, auto_declare=False)
            return call(self._producer)
        except _errors(self._producer or connection) as error:
            self._disconnect()
            raise BrokerUnavailableError(f"the broker does not answer: {error}") from error

    def _disconnect(self) -> None:
        producer, self._producer = self._producer, None
        if producer is not None:
            producer.connection.collect(socket_timeout=self._options.timeout_s)


def consume(options: BrokerOptions, open_work: Callable[[threading.Event], DeliveredWork]) -> int:
    """Run what the broker delivers, in one child process, until SIGTERM; returns an exit status.

    `open_work` is called in the child: CUDA, databases and object stores do not survive a fork. Its
    event is set when the worker has to stop: the job is then given back.

    Raises:
        NothingToWorkWithError: it failed; the log says how.
    """
    celery = _make_celery(options, _consuming(options))
    child = _Child(open_work)

    def run(task: Any, job_id: str) -> None:
        child.take(job_id, is_redelivered=bool(task.request.delivery_info.get("redelivered")))

    celery.task(run, bind=True, name=_TASK, Request=_Request)
    signals.setup_logging.connect(_logging_is_ours, weak=False)
    signals.worker_process_init.connect(child.begin, weak=False)
    signals.worker_process_shutdown.connect(child.end, weak=False)
    signals.worker_shutting_down.connect(child.stop, weak=False)
    worker = celery.Worker(
        pool="prefork",
        concurrency=1,
        quiet=True,
        without_gossip=True,
        without_mingle=True,
        without_heartbeat=True,
    )
    worker.start()
    if child.has_failed:
        raise NothingToWorkWithError("the worker cannot start; see above")
    return int(worker.exitcode or 0)


class _Request(Request):  # type: ignore[misc]  # of a library without types
    """A message that may not be acknowledged in vain: the worker then connects anew.

    Celery would log the error and go on, and on Redis wait for ever for room for another message.
    """

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **{**kwargs, "connection_errors": ()})


class _Child:
    """The process in which jobs run. It is told to stop by the end of a pipe, as by the parent's.

    Celery ends it as well when the parent is killed, and starts another when it dies.
    """

    def __init__(self, open_work: Callable[[threading.Event], DeliveredWork]) -> None:
        self._open_work = open_work
        self._work: DeliveredWork | None = None
        self._stopping = threading.Event()
        reading, writing = os.pipe()
        self._end = os.fdopen(reading, "rb", buffering=0)  # comes when the parent says so, or ends
        self._parent = os.fdopen(writing, "wb", buffering=0)
        self._failed = mmap.mmap(-1, 1)  # which parent and child share

    @property
    def has_failed(self) -> bool:
        """Whether there was nothing to work with."""
        return self._failed[0] != 0

    def begin(self, **_: Any) -> None:
        """Open what is worked with; in the child."""
        self._parent.close()
        threading.Thread(target=self._await_stop, name="stop", daemon=True).start()
        signal.signal(signal.SIGTERM, lambda *_: self._stopping.set())
        try:
            self._work = self._open_work(self._stopping)
        except Exception as error:
            show = log.critical if isinstance(error, AtelierError) else log.exception
            show(str(error))
            self._failed[0] = 1
            os.kill(os.getppid(), signal.SIGTERM)

    def take(self, job_id: str, *, is_redelivered: bool) -> None:
        """Take a job; in the child."""
        if self._work is None or self._stopping.is_set():
            raise Reject("this worker stops", requeue=True)
        self._work.take(job_id, is_redelivered=is_redelivered)

    def end(self, **_: Any) -> None:
        """Close what was worked with; in the child."""
        if self._work is not None:
            self._work.close()

    def stop(self, **_: Any) -> None:
        """Tell the child to stop; in the parent."""
        self._parent.close()

    def _await_stop(self) -> None:
        self._end.read(1)
        self._stopping.set()


def _make_celery(options: BrokerOptions, transport: dict[str, Any]) -> Any:
    celery = Celery("atelier", broker=options.url, set_as_current=False)
    celery.conf.update(
        task_queues=[
            _amqp.Queue(
                _QUEUE,
                _amqp.Exchange(_QUEUE),
                routing_key=_QUEUE,
                max_priority=None if options.is_redis else _PRIORITIES - 1,
            )
        ],
        task_default_queue=_QUEUE,
        task_default_exchange=_QUEUE,
        task_default_routing_key=_QUEUE,
        task_ignore_result=True,
        task_serializer="json",
        accept_content=["json"],
        task_acks_late=True,
        task_reject_on_worker_lost=True,
        task_time_limit=options.time_limit_s,
        worker_prefetch_multiplier=1,
        worker_proc_alive_timeout=_OPENING_S,
        worker_enable_remote_control=False,
        worker_redirect_stdouts=False,
        worker_cancel_long_running_tasks_on_connection_loss=False,
        broker_connection_timeout=options.timeout_s,
        broker_connection_retry_on_startup=True,
        broker_connection_max_retries=None,
        broker_transport_options=transport,
    )
    return celery


def _consuming(options: BrokerOptions) -> dict[str, Any]:
    if not options.is_redis:
        return {}
    return {
        "priority_steps": list(range(_PRIORITIES)),
        "queue_order_strategy": "priority",
        "visibility_timeout": options.time_limit_s + _MARGIN_S,
    }


def _publishing(options: BrokerOptions) -> dict[str, Any]:
    timeout_s = options.timeout_s
    if not options.is_redis:
        return {"confirm_publish": True, "read_timeout": timeout_s, "write_timeout": timeout_s}
    timeouts = {"socket_timeout": timeout_s, "socket_connect_timeout": timeout_s}
    return _consuming(options) | timeouts


def _errors(of: Any) -> tuple[type[Exception], ...]:
    """What a producer or a connection may raise, besides what all of them do."""
    connection = getattr(of, "connection", of)
    return (OSError, KombuError, *connection.connection_errors, *connection.channel_errors)


def _logging_is_ours(**_: Any) -> None:
    warnings.simplefilter("ignore", CPendingDeprecationWarning)  # it is about a setting that we set
    for name in ("celery.app.trace", "celery.worker.strategy"):
        logging.getLogger(name).setLevel(logging.WARNING)  # jobs are logged as such
