"""What operators can watch, in Prometheus's form."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt
from prometheus_client import CollectorRegistry, Counter, Gauge, Histogram, ProcessCollector

_SECONDS = (0.001, 0.002, 0.003, 0.005, 0.01, 0.02, 0.05, 0.1, 0.2, 0.5, 1, 2, 5, 10)
_ROWS = (1, 2, 4, 8, 16, 32, 64, 128, 256, 512, 1024)
_CONFIDENCES = (0.2, 0.3, 0.4, 0.5, 0.6, 0.7, 0.8, 0.9, 0.95, 0.99, 1)


class Metrics:
    """The metrics of one server, in a registry of its own."""

    def __init__(self) -> None:
        self.registry = registry = CollectorRegistry()
        ProcessCollector(registry=registry)
        self.requests = Counter(
            "mnist_requests", "Requests answered.", ["route", "status"], registry=registry
        )
        self.seconds = Histogram(
            "mnist_request_seconds",
            "From a request's headers to the end of its answer.",
            ["route"],
            buckets=_SECONDS,
            registry=registry,
        )
        self.batch_rows = Histogram(
            "mnist_batch_rows",
            "Examples in one call of the model.",
            buckets=_ROWS,
            registry=registry,
        )
        self.predictions = Counter(
            "mnist_predictions",
            "Digits predicted; a change of their shares may be a drift of the data.",
            ["digit", "source"],
            registry=registry,
        )
        self.confidence = Histogram(
            "mnist_prediction_confidence",
            "Probability of the predicted digit; a fall may be a drift of the data.",
            ["source"],
            buckets=_CONFIDENCES,
            registry=registry,
        )
        self.live_version = Gauge(
            "mnist_live_version", "Version that answers; 0: none yet.", registry=registry
        )
        self.loads = Counter("mnist_model_loads", "Versions that became live.", registry=registry)
        self.load_failures = Counter(
            "mnist_model_load_failures", "Versions that could not be served.", registry=registry
        )

    def count_predictions(self, probabilities: npt.NDArray[np.float32], source: str) -> None:
        """Counts answers.

        Args:
          probabilities: shape (n, 10).
          source: `rest` or `page`.
        """
        digits, counts = np.unique(probabilities.argmax(axis=1), return_counts=True)
        for digit, count in zip(digits.tolist(), counts.tolist(), strict=True):
            self.predictions.labels(digit, source).inc(count)
        confidence = self.confidence.labels(source)
        for value in probabilities.max(axis=1).tolist():
            confidence.observe(value)
