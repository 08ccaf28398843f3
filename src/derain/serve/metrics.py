"""What `/metrics` tells Prometheus."""

from prometheus_client import CollectorRegistry, Counter, Gauge, Histogram, generate_latest

from derain import __version__


class Metrics:
    """The numbers of one server."""

    def __init__(self) -> None:
        self._registry = registry = CollectorRegistry()
        self.requests = Counter(
            "derain_requests", "Answers, by method and status.", ["method", "status"],
            registry=registry,
        )  # fmt: skip
        self.images = Counter(
            "derain_images", "Finished jobs: done, or the kind of problem.", ["outcome"],
            registry=registry,
        )  # fmt: skip
        self.received = Counter("derain_received_bytes", "Bytes of uploads.", registry=registry)
        self.seconds = Histogram(
            "derain_image_seconds", "Time to decode, restore and encode an image.",
            buckets=(0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10, 30, 60, 300), registry=registry,
        )  # fmt: skip
        self.deaths = Counter("derain_worker_deaths", "Workers that died.", registry=registry)
        self.waiting = Gauge("derain_waiting_images", "Jobs that wait.", registry=registry)
        self.running = Gauge("derain_running_images", "Jobs that run.", registry=registry)
        self.held = Gauge("derain_held_bytes", "Bytes of uploads and results.", registry=registry)
        info = Gauge("derain_info", "The version.", ["version"], registry=registry)
        info.labels(__version__).set(1)

    def text(self) -> bytes:
        """All of it in Prometheus's format."""
        return generate_latest(self._registry)
