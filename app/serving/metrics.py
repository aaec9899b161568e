"""What the web process counts, for Prometheus."""

from prometheus_client import CollectorRegistry, Counter, Gauge, Histogram

_LATENCY_BUCKETS_S = (0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10, 30)
_BATCH_BUCKETS = (1, 2, 4, 8, 16, 32, 64, 128)


class Metrics:
    """All instruments, in a registry of their own so that a process may hold several."""

    def __init__(self) -> None:
        self.registry = CollectorRegistry()
        self.requests = Counter(
            "atelier_requests",
            "Requests answered",
            ["method", "route", "status"],
            registry=self.registry,
        )
        self.request_s = Histogram(
            "atelier_request_seconds",
            "Time from a request's head to the end of its answer",
            ["route"],
            buckets=_LATENCY_BUCKETS_S,
            registry=self.registry,
        )
        self.decode_s = Histogram(
            "atelier_decode_seconds",
            "Time to decode and prepare one image",
            buckets=_LATENCY_BUCKETS_S,
            registry=self.registry,
        )
        self.wait_s = Histogram(
            "atelier_wait_seconds",
            "Time that an image waits, by stage, until its work is begun",
            ["stage"],
            buckets=_LATENCY_BUCKETS_S,
            registry=self.registry,
        )
        self.inference_s = Histogram(
            "atelier_inference_seconds",
            "Time of one forward pass",
            ["model"],
            buckets=_LATENCY_BUCKETS_S,
            registry=self.registry,
        )
        self.batch_images = Histogram(
            "atelier_batch_images",
            "Images in one forward pass",
            ["model"],
            buckets=_BATCH_BUCKETS,
            registry=self.registry,
        )
        self.queued_images = Gauge(
            "atelier_queued_images",
            "Images waiting, by stage",
            ["stage"],
            registry=self.registry,
        )
        self.dropped_images = Counter(
            "atelier_dropped_images",
            "Images not computed because their client had gone or their time was over",
            registry=self.registry,
        )
        self.model_ready = Gauge(
            "atelier_model_ready",
            "1 when the model answers, else 0",
            ["model"],
            registry=self.registry,
        )
        self.jobs = Gauge(
            "atelier_jobs",
            "Jobs that wait or run",
            ["status"],
            registry=self.registry,
        )
