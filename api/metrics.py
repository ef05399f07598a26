"""What is counted for Prometheus: requests by route and status, seconds, what the store holds.

No label has a value that a request chose.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import suppress
from typing import Final

from prometheus_client import CollectorRegistry, Counter, Histogram, generate_latest
from prometheus_client.core import CounterMetricFamily
from prometheus_client.registry import Collector

from core.errors import AtlasError
from embedder.encoders.text_memory import TextCounts

_SECONDS: Final = (0.005, 0.01, 0.015, 0.03, 0.06, 0.1, 0.25, 0.5, 1, 2.5, 5, 10, 30)


class Metrics:
    """The counters of one process, and those of the encoder process, which all ask.

    Parameters
    ----------
    texts : callable
        Tells how many texts were asked for.
    """

    def __init__(self, texts: Callable[[], TextCounts]) -> None:
        self.registry = CollectorRegistry()
        labels = ("method", "route", "status")
        self._requests = Counter(
            "angioatlas_requests", "Requests answered.", labels, registry=self.registry
        )
        self._seconds = Histogram(
            "angioatlas_request_seconds",
            "Seconds from a request's arrival to the end of its answer.",
            ("route",),
            buckets=_SECONDS,
            registry=self.registry,
        )
        self.registry.register(_Texts(texts))

    def observe(self, method: str, route: str, status: int, seconds: float) -> None:
        """Count one request."""
        self._requests.labels(method, route, str(status)).inc()
        self._seconds.labels(route).observe(seconds)

    def text(self) -> bytes:
        """Return all of it in Prometheus' text format."""
        return generate_latest(self.registry)


class _Texts(Collector):
    """Asks when it is asked; says nothing while there is no answer."""

    def __init__(self, texts: Callable[[], TextCounts]) -> None:
        self._texts = texts

    def collect(self) -> Iterator[CounterMetricFamily]:
        """Yield the texts, by where their vectors came from."""
        with suppress(AtlasError):
            counts = self._texts()
            found = CounterMetricFamily(
                "angioatlas_texts", "Texts whose vectors were asked for.", labels=["from"]
            )
            found.add_metric(["memory"], counts.remembered)
            found.add_metric(["encoder"], counts.embedded)
            yield found
