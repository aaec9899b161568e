"""Celery, which carries the ids of waiting jobs to workers on any number of hosts, and no more.

Nothing here is trusted with a job: the job table says what is to be done, and a message only that
it is worth a look. Messages are acknowledged once the work is over, so that the broker gives those
of a lost worker to another.
"""

import logging
import os
import signal
import threading
import warnings
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, TypeVar

import kombu
from amqp.exceptions import AccessRefused, NotAllowed
from celery import Celery, signals
from celery.apps.worker import Worker
from celery.exceptions import CPendingDeprecationWarning, Reject, WorkerShutdown
from celery.worker.consumer import Consumer
from celery.worker.request import Request
from kombu.exceptions import KombuError
from redis.exceptions import AuthenticationError, AuthorizationError

from app.errors import AtelierError
from app.jobs.broker import BrokerUnavailableError
from app.runtime.child_process import Child, DeliveredWork, NothingToWorkWithError, StoppingError
from app.settings import Settings

T = TypeVar("T")
_amqp: Any = kombu  # which has no type information

_TASK = "atelier.run"
_QUEUE = "atelier"
_HIGHEST = 9  # of ten priorities
_OPENING_S = 600.0  # that the child of a worker may need for its start
_POLL_S = 2.0  # in which Redis says that there is nothing
_LEAST_HEARTBEAT_S = 5.0
_REFUSALS = (AccessRefused, NotAllowed, AuthenticationError, AuthorizationError)
_ELSEWHERE = ("CELERY_BROKER_URL", "CELERY_BROKER_READ_URL", "CELERY_BROKER_WRITE_URL")
"""Where Celery would look for a broker before it looks at what it is told."""

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
    def heartbeat_s(self) -> float:
        """Seconds between two signs of life on an idle connection."""
        return max(_LEAST_HEARTBEAT_S, 2 * self.timeout_s)

    @property
    def is_redis(self) -> bool:
        """Tell whether the broker is Redis; else it speaks AMQP, as RabbitMQ does."""
        return self.url.startswith(("redis", "sentinel"))

    def rank(self, priority: int) -> int:
        """Return the broker's number for a priority: Redis serves 0 first, RabbitMQ 9."""
        clipped = min(max(priority, 0), _HIGHEST)
        return _HIGHEST - clipped if self.is_redis else clipped


class BrokerRefusedError(AtelierError):
    """The broker does not let us in."""


class CeleryBroker:
    """Announces jobs, over a connection of its own; any thread may."""

    def __init__(self, options: BrokerOptions) -> None:
        """Connect lazily."""
        self._options = options
        self._celery = _make_celery(options, publishing=True)
        self._producer: Any = None
        self._lock = threading.Lock()

    def announce(self, job_id: str, priority: int) -> None:
        """Have some worker look what there is to be done.

        Raises:
            BrokerUnavailableError: the broker has not confirmed that it has the message.
        """

        def send(producer: Any) -> None:
            self._celery.send_task(
                _TASK,
                (job_id,),
                producer=producer,
                priority=self._options.rank(priority),
                retry=False,
                timeout=self._options.timeout_s,
                confirm_timeout=self._options.timeout_s,
            )

        self._connected(send)

    def waiting(self) -> int:
        """Count the messages that no worker has received yet.

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
    """Run what the broker delivers, in one child process, until SIGTERM or SIGINT.

    Returns an exit status.

    `open_work` is called in the child: CUDA, databases and object stores do not survive a fork. Its
    event is set when the worker has to stop: the job is then given back. A broker that is away is
    waited for.

    Raises:
        BrokerRefusedError: it does not let us in.
        NothingToWorkWithError: it failed; the log says how.
    """
    celery = _make_celery(options, publishing=False)
    child = Child(open_work)

    def run(task: Any, job_id: str) -> None:
        is_redelivered = bool(task.request.delivery_info.get("redelivered"))
        try:
            child.take(job_id, is_redelivered=is_redelivered)
        except StoppingError as error:
            raise Reject(str(error), requeue=True) from error

    celery.task(run, bind=True, name=_TASK, Request=_Request)
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
        raise NothingToWorkWithError("the worker cannot start; see above")
    return int(worker.exitcode or 0)


class _Worker(Worker):  # type: ignore[misc]  # of a library without types
    """A worker that SIGINT stops as SIGTERM does; Celery would end with a status of its own."""

    def install_platform_tweaks(self, worker: Any) -> None:
        """Install the signal handlers."""
        super().install_platform_tweaks(worker)
        signal.signal(signal.SIGINT, signal.getsignal(signal.SIGTERM))


class _Consumer(Consumer):  # type: ignore[misc]  # of a library without types
    """A consumer that ends the worker when the broker refuses the connection.

    Celery would try Redis again for ever, and end with a traceback for RabbitMQ.
    """

    refusal: BrokerRefusedError | None = None

    def ensure_connected(self, conn: Any) -> Any:
        """Connect, however long the broker is away."""
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
            pass  # it is away, and waited for
        return super().ensure_connected(conn)


class _Request(Request):  # type: ignore[misc]  # of a library without types
    """A message that may not be acknowledged in vain: the worker then connects anew.

    Celery would log the error and go on, and on Redis wait for ever for room for another message.
    """

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **{**kwargs, "connection_errors": ()})


def _make_celery(options: BrokerOptions, *, publishing: bool) -> Any:
    for name in _ELSEWHERE:
        os.environ.pop(name, None)
    celery = Celery("atelier", broker=options.url, set_as_current=False)
    celery.conf.update(
        task_queues=[
            _amqp.Queue(
                _QUEUE,
                _amqp.Exchange(_QUEUE),
                routing_key=_QUEUE,
                max_priority=None if options.is_redis else _HIGHEST,
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
        broker_heartbeat=options.heartbeat_s,
        broker_transport_options=_transport(options, publishing=publishing),
    )
    return celery


def _transport(options: BrokerOptions, *, publishing: bool) -> dict[str, Any]:
    """Return the transport's options: nobody waits for ever, and consumers wait for messages."""
    timeout_s = options.timeout_s
    if options.is_redis:
        return {
            "priority_steps": list(range(_HIGHEST + 1)),
            "queue_order_strategy": "priority",
            "visibility_timeout": options.time_limit_s + _MARGIN_S,
            "socket_connect_timeout": timeout_s,
            "socket_timeout": timeout_s if publishing else timeout_s + _POLL_S,
            "socket_keepalive": True,
            "health_check_interval": options.heartbeat_s,
        }
    if publishing:
        return {"confirm_publish": True, "read_timeout": timeout_s, "write_timeout": timeout_s}
    return {}


def _errors(of: Any) -> tuple[type[Exception], ...]:
    """Return the errors that a producer or a connection may raise, besides those of all brokers."""
    connection = getattr(of, "connection", of)
    return (OSError, KombuError, *connection.connection_errors, *connection.channel_errors)


def _logging_is_ours(**_: Any) -> None:
    warnings.simplefilter("ignore", CPendingDeprecationWarning)  # it is about a setting that we set
    for name in ("celery.app.trace", "celery.worker.strategy"):
        logging.getLogger(name).setLevel(logging.WARNING)  # jobs are logged as such
