"""Celery as the broker that carries the ids of waiting jobs to workers on any number of hosts.

A message is only a hint; the job table says what has to be run. Messages are acknowledged after the
work, so that the broker redelivers those of a lost worker.
"""

import os
import threading
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, TypeVar

import kombu
from celery import Celery
from kombu.exceptions import KombuError

from app.jobs.broker import BrokerUnavailableError
from app.settings import Settings

T = TypeVar("T")
_amqp: Any = kombu  # kombu has no type information

TASK = "atelier.run"
_QUEUE = "atelier"
_HIGHEST = 9  # the highest of ten priorities
_OPENING_S = 600.0  # for the start of a worker's child process
_POLL_S = 2.0  # the poll interval of Redis
_LEAST_HEARTBEAT_S = 5.0
_ELSEWHERE = ("CELERY_BROKER_URL", "CELERY_BROKER_READ_URL", "CELERY_BROKER_WRITE_URL")
"""Variables that take precedence over the URL that Celery is given."""

_MARGIN_S = 600.0  # from the time limit of a job until Redis redelivers its message


@dataclass(frozen=True)
class BrokerOptions:
    """The broker's address and its timeouts."""

    url: str
    timeout_s: float
    time_limit_s: float

    @classmethod
    def of(cls, settings: Settings) -> "BrokerOptions":
        """Return the options of the settings, which must name a broker."""
        assert settings.broker_url is not None
        url = settings.broker_url.get_secret_value()
        return cls(url, settings.broker_timeout_s, settings.job_time_limit_s)

    @property
    def heartbeat_s(self) -> float:
        """Seconds between two heartbeats on an idle connection."""
        return max(_LEAST_HEARTBEAT_S, 2 * self.timeout_s)

    @property
    def is_redis(self) -> bool:
        """Return whether the broker is Redis; otherwise it uses AMQP, like RabbitMQ."""
        return self.url.startswith(("redis", "sentinel"))

    def rank(self, priority: int) -> int:
        """Return the broker's number for a priority: Redis serves 0 first, RabbitMQ 9."""
        clipped = min(max(priority, 0), _HIGHEST)
        return _HIGHEST - clipped if self.is_redis else clipped


class CeleryBroker:
    """A broker that is used through Celery, over one connection. It is thread-safe."""

    def __init__(self, options: BrokerOptions) -> None:
        """Connect lazily."""
        self._options = options
        self._celery = make_celery(options, publishing=True)
        self._producer: Any = None
        self._lock = threading.Lock()

    def announce(self, job_id: str, priority: int) -> None:
        """Announce a job to the workers.

        Raises:
            BrokerUnavailableError: the broker has not confirmed the message.
        """

        def send(producer: Any) -> None:
            self._celery.send_task(
                TASK,
                (job_id,),
                producer=producer,
                priority=self._options.rank(priority),
                retry=False,
                timeout=self._options.timeout_s,
                confirm_timeout=self._options.timeout_s,
            )

        self._connected(send)

    def waiting(self) -> int:
        """Return the number of messages that no worker has received yet.

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
        """Call a function with the producer; if the connection has broken, with a new one."""
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


def make_celery(options: BrokerOptions, *, publishing: bool) -> Any:
    """Return a Celery app for publishing, or for consuming, messages."""
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
    """Return the transport's options: publishers have timeouts, consumers wait for messages."""
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
    """Return the exception types of a producer or a connection."""
    connection = getattr(of, "connection", of)
    return (OSError, KombuError, *connection.connection_errors, *connection.channel_errors)
