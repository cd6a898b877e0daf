from google.protobuf import text_format
from tensorflow_metadata.proto.v0 import anomalies_pb2

from components.data_gate.anomalies import list_reasons


def parse(text: str) -> anomalies_pb2.Anomalies:
    return text_format.Parse(text, anomalies_pb2.Anomalies())


def test_without_anomalies_there_are_no_reasons() -> None:
    assert list_reasons(anomalies_pb2.Anomalies()) == []


def test_a_reason_has_the_feature_and_its_description() -> None:
    anomalies = parse("""
        anomaly_info { key: "label" value { description: "large" short_description: "range" } }
        anomaly_info { key: "image" value { short_description: "missing" } }
    """)
    assert list_reasons(anomalies) == ["image: missing", "label: large"]


def test_a_warning_is_also_a_reason() -> None:
    anomalies = parse('anomaly_info { key: "x" value { severity: WARNING description: "odd" } }')
    assert list_reasons(anomalies) == ["x: odd"]


def test_an_anomaly_of_the_data_set_is_a_reason() -> None:
    anomalies = parse('dataset_anomaly_info { description: "too few examples" }')
    assert list_reasons(anomalies) == ["all features: too few examples"]


def test_missing_data_is_a_reason() -> None:
    assert list_reasons(parse("data_missing: true")) == ["all features: there are no examples"]
