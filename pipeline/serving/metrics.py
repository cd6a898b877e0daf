"""The server's Prometheus metrics."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import numpy.typing as npt
from prometheus_client import CollectorRegistry, Counter, Gauge, Histogram, ProcessCollector

from models.pictures import Predictions

_SECONDS = (0.001, 0.002, 0.003, 0.005, 0.01, 0.02, 0.05, 0.1, 0.2, 0.5, 1, 2, 5, 10)
_ROWS = (1, 2, 4, 8, 16, 32, 64, 128, 256, 512, 1024)
_CONFIDENCES = (0.2, 0.3, 0.4, 0.5, 0.6, 0.7, 0.8, 0.9, 0.95, 0.99, 1)


class Metrics:
    """The metrics of a server, in their own registry."""

    def __init__(self) -> None:
        self.registry = registry = CollectorRegistry()
        ProcessCollector(registry=registry)
        self.requests = Counter(
            "serving_requests", "Finished requests.", ["route", "status"], registry=registry
        )
        self.seconds = Histogram(
            "serving_request_seconds",
            "Seconds from the headers of a request to the end of its response.",
            ["route"],
            buckets=_SECONDS,
            registry=registry,
        )
        self.batch_rows = Histogram(
            "serving_batch_rows",
            "Examples in one call of the model.",
            buckets=_ROWS,
            registry=registry,
        )
        self.predictions = Counter(
            "serving_predictions",
            "Predicted classes. A changed distribution can indicate data drift.",
            ["class", "source"],
            registry=registry,
        )
        self.declined = Counter(
            "serving_declined",
            "Pictures that do not clearly show one class. Not counted as predictions.",
            ["source"],
            registry=registry,
        )
        self.confidence = Histogram(
            "serving_prediction_confidence",
            "Probability of the predicted class. A decrease can indicate data drift.",
            ["source"],
            buckets=_CONFIDENCES,
            registry=registry,
        )
        self.live_version = Gauge(
            "serving_live_version", "Live version; 0 before the first one.", registry=registry
        )
        self.loads = Counter("serving_model_loads", "Versions that became live.", registry=registry)
        self.load_failures = Counter(
            "serving_model_load_failures", "Versions that could not be served.", registry=registry
        )

    def count_request(self, route: str, status: int | str, seconds: float) -> None:
        """Counts a finished request and records its duration.

        Args:
          route: name of the route.
          status: HTTP status, or name of the gRPC status code.
          seconds: duration in seconds.
        """
        self.requests.labels(route, status).inc()
        self.seconds.labels(route).observe(seconds)

    def count_predictions(
        self, probabilities: npt.NDArray[np.float32], class_names: Sequence[str], source: str
    ) -> None:
        """Counts predictions by class and records their confidence.

        Args:
          probabilities: shape (n, len(class_names)).
          class_names: class names, indexed by label.
          source: `rest`, `grpc` or `page`.
        """
        labels, counts = np.unique(probabilities.argmax(axis=1), return_counts=True)
        for label, count in zip(labels.tolist(), counts.tolist(), strict=True):
            self.predictions.labels(class_names[label], source).inc(count)
        confidence = self.confidence.labels(source)
        for value in probabilities.max(axis=1).tolist():
            confidence.observe(value)

    def count_pictures(
        self, predictions: Predictions, class_names: Sequence[str], source: str
    ) -> None:
        """Counts the predictions for pictures. Declined pictures are counted separately.

        Args:
          predictions: predictions for any number of pictures.
          class_names: class names, indexed by label.
          source: `rest`, `grpc` or `page`.
        """
        clear = [not reason for reason in predictions.declined]
        self.declined.labels(source).inc(clear.count(False))
        self.count_predictions(predictions.probabilities[clear], class_names, source)
