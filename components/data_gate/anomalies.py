"""What ExampleValidator found, as lines to read. Needs neither TFX nor TFDV."""

from tensorflow_metadata.proto.v0 import anomalies_pb2

ALL_FEATURES = "all features"


def list_reasons(anomalies: anomalies_pb2.Anomalies) -> list[str]:
    """Lists why the anomalies of one split reject it, as "feature: reason"; empty: they don't.

    Any anomaly rejects, whatever its severity. So does a split without examples: TFDV compares
    nothing then, and reports no anomaly.
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
