"""Formats the anomalies that ExampleValidator found. Imports neither TFX nor TFDV."""

from tensorflow_metadata.proto.v0 import anomalies_pb2

ALL_FEATURES = "all features"


def list_reasons(anomalies: anomalies_pb2.Anomalies) -> list[str]:
    """Returns the reasons to reject a split, each as "feature: reason"; empty if it passes.

    Anomalies of any severity reject a split. A split without examples is also rejected, because
    TFDV then skips the comparison and reports no anomaly.
    """
    reasons = [
        f"{feature}: {info.description or info.short_description}"
        for feature, info in sorted(anomalies.anomaly_info.items())
    ]
    if anomalies.HasField("dataset_anomaly_info"):
        reasons.append(f"{ALL_FEATURES}: {anomalies.dataset_anomaly_info.description}")
    if anomalies.data_missing:
        reasons.append(f"{ALL_FEATURES}: there are no examples")
    return reasons
