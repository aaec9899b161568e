"""Prometheus metrics of the web process."""

from functools import partial

from prometheus_client import CollectorRegistry, Counter, Gauge, Histogram, ProcessCollector

_LATENCY_BUCKETS_S = (0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10, 30)
_BATCH_BUCKETS = (1, 2, 4, 8, 16, 32, 64, 128)


class Metrics:
    """All metrics, in a registry of their own so that a process may hold several."""

    def __init__(self) -> None:
        self.registry = registry = CollectorRegistry()
        counter = partial(Counter, registry=registry)
        gauge = partial(Gauge, registry=registry)
        latency = partial(Histogram, registry=registry, buckets=_LATENCY_BUCKETS_S)
        self.requests = counter(
            "atelier_requests", "Requests answered", ["method", "route", "status"]
        )
        self.request_s = latency(
            "atelier_request_seconds",
            "Time from the request's head to the end of the response",
            ["route"],
        )
        self.decode_s = latency("atelier_decode_seconds", "Time to decode and preprocess one image")
        self.wait_s = latency(
            "atelier_wait_seconds",
            "Time that an image waits in the queue, by stage",
            ["stage"],
        )
        self.inference_s = latency(
            "atelier_inference_seconds", "Time of one forward pass", ["model"]
        )
        self.batch_images = Histogram(
            "atelier_batch_images",
            "Images in one forward pass",
            ["model"],
            registry=registry,
            buckets=_BATCH_BUCKETS,
        )
        self.queued_images = gauge("atelier_queued_images", "Images waiting, by stage", ["stage"])
        self.dropped_images = counter(
            "atelier_dropped_images",
            "Images dropped because the client disconnected or the deadline passed",
        )
        self.model_ready = gauge(
            "atelier_model_ready", "1 if the model can answer, else 0", ["model"]
        )
        self.reloads = counter(
            "atelier_model_reloads", "Model reloads, by outcome", ["model", "outcome"]
        )
        self.upload_bytes = gauge("atelier_upload_bytes", "Request bytes held in memory")
        self.free_disk_bytes = gauge(
            "atelier_free_disk_bytes", "Free disk space of the data directory"
        )
        self.database_up = gauge(
            "atelier_database_up", "1 if the job database answers within a second, else 0"
        )
        self.jobs = gauge("atelier_jobs", "Jobs in the database", ["status"])
        self.longest_wait_s = gauge("atelier_longest_wait_seconds", "Age of the oldest queued job")
        self.workers = gauge("atelier_workers", "Workers with a recent heartbeat")
        ProcessCollector(registry=registry)
