"""The layout of charts."""

from __future__ import annotations

import pytest
from support.report_inputs import make_history

from components.report import charts
from components.report.charts import LineChart, history_chart, reliability_diagram, training_charts
from components.report.content import Bin, Calibration, Training
from components.report.facts import BlessedModel


def draw(*epochs: dict[str, float | None], best_epoch: int = 1) -> list[LineChart]:
    numbered = [{"epoch": i, **epoch} for i, epoch in enumerate(epochs, 1)]
    return training_charts(Training.model_validate(make_history(numbered, best_epoch)))


def test_metrics_are_drawn_in_pairs_of_training_and_validation() -> None:
    drawn = draw({"f1": 0.5, "val_f1": None, "val_only": 2, "loss": 1}, {})
    names = {chart.title: [series.name for series in chart.series] for chart in drawn}
    assert names == {
        "Loss": ["training"],
        "F1": ["training", "validation"],
        "Only": ["validation"],
    }


def test_line_has_a_gap_where_a_value_is_missing() -> None:
    (chart,) = draw({"loss": 3}, {"loss": 2}, {"loss": None}, {"loss": 1})
    (line,) = chart.series
    assert [step for step in line.path if step.isalpha()] == ["M", "L", "M"]
    assert len(line.points) == 3


def test_higher_values_are_higher_and_all_are_within_the_axes() -> None:
    (chart,) = draw({"accuracy": 0.973}, {"accuracy": 0.9938})
    (first, second) = chart.series[0].points
    assert second[1] < first[1]
    for x, y in (first, second):
        assert charts.LEFT <= x <= charts.RIGHT
        assert charts.TOP <= y <= charts.BOTTOM
    assert chart.description == "Accuracy by epoch. In the last epoch: training 99.38%."


def test_accuracy_has_round_ticks_up_to_100_percent() -> None:
    (chart,) = draw({"accuracy": 0.8977}, {"accuracy": 0.9959})
    texts = [tick.text for tick in chart.y_ticks]
    assert texts == ["87.5%", "90%", "92.5%", "95%", "97.5%", "100%"]


@pytest.mark.parametrize(
    ("low", "high"),
    [(0.3, 0.30000000000000004), (0.9937, 0.9938), (1e-300, 2e-300), (1e6, 1e6 + 1)],
)
def test_nearly_equal_values_have_ticks_that_differ(low: float, high: float) -> None:
    for metric in ("accuracy", "score"):
        (chart,) = draw({metric: low}, {metric: high})
        texts = [tick.text for tick in chart.y_ticks]
        assert len(set(texts)) == len(texts) >= 2
        for _, y in chart.series[0].points:
            assert charts.TOP <= round(y, 6) <= charts.BOTTOM


@pytest.mark.parametrize("value", [0.0, 1.0, -2.5, 1e-7, 1e30, None])
@pytest.mark.parametrize("epochs", [1, 3])
def test_any_constant_value_can_be_drawn(value: float | None, epochs: int) -> None:
    (chart,) = draw(*[{"score": value}] * epochs)
    assert len(chart.y_ticks) >= 2
    for _, y in chart.series[0].points:
        assert charts.TOP <= round(y, 6) <= charts.BOTTOM


def test_learning_rate_starts_at_zero() -> None:
    (chart,) = draw({"learning_rate": 0.001}, {"learning_rate": 0.0005})
    assert chart.y_ticks[0].text == "0"


def test_learning_rate_with_a_warm_up_rises_from_zero_before_the_first_epoch() -> None:
    numbers = [0.003, 0.002, 1e-9]
    epochs = [{"epoch": i, "learning_rate": n, "loss": 1} for i, n in enumerate(numbers, 1)]
    training = Training.model_validate(make_history(epochs, best_epoch=2))
    loss, rate = training_charts(training, warm_up=True)
    (line,) = rate.series
    assert len(line.points) == 4
    assert line.points[0] == (charts.LEFT + 6, charts.BOTTOM)
    assert line.points[1][1] == min(y for _, y in line.points)
    assert [tick.text for tick in rate.x_ticks] == ["0", "1", "2", "3"]
    assert rate.marked == line.points[2][0]
    assert [tick.text for tick in loss.x_ticks] == ["1", "2", "3"]


def test_best_epoch_is_marked_at_its_points() -> None:
    (chart,) = draw({"loss": 3}, {"loss": 2}, {"loss": 4}, best_epoch=2)
    assert chart.marked == chart.series[0].points[1][0]


@pytest.mark.parametrize("epochs", [1, 2, 9, 30, 200])
def test_ticks_of_epochs_are_whole_few_and_below_their_points(epochs: int) -> None:
    losses: list[dict[str, float | None]] = [{"loss": 1.0 * i} for i in range(epochs)]
    (chart,) = draw(*losses)
    assert 1 <= len(chart.x_ticks) <= 9
    for tick in chart.x_ticks:
        assert chart.series[0].points[int(tick.text) - 1][0] == pytest.approx(tick.at)


def test_history_names_the_newest_model() -> None:
    models = [BlessedModel(i, "today", 0.99 + i / 10_000, current=False) for i in range(3, 23)]
    chart = history_chart(models)
    assert chart.x_ticks[-1].text == "22"
    assert len(chart.x_ticks) == 5
    assert len(chart.series[0].points) == 20


def make_bins(*bins: tuple[int, float | None, float | None]) -> Calibration:
    width = 1 / len(bins)
    made = tuple(
        Bin(
            lower=i * width,
            upper=(i + 1) * width,
            examples=examples,
            confidence=confidence,
            accuracy=accuracy,
        )
        for i, (examples, confidence, accuracy) in enumerate(bins)
    )
    return Calibration(bins=made, expected_error=0.01)


def test_mean_confidence_has_its_own_mark() -> None:
    diagram = reliability_diagram(make_bins((0, None, None), (10, 0.75, 0.5)))
    empty, bar = diagram.bars
    height = {tick.text: tick.at for tick in diagram.y_ticks}
    assert (bar.confidence, bar.accuracy) == (height["75%"], height["50%"])
    assert bar.title == (
        "confidence 50% to 100%: 10 predictions, accuracy 50%, mean confidence 75%"
    )
    assert empty.confidence is None
    assert empty.accuracy == height["0%"]
    assert empty.count == charts.COUNTS_BOTTOM


def test_counts_are_drawn_on_a_logarithmic_scale() -> None:
    one, ten, hundred = reliability_diagram(
        make_bins((1, 0.2, 1.0), (10, 0.5, 1.0), (100, 0.9, 1.0))
    ).bars
    assert one.count < charts.COUNTS_BOTTOM
    assert one.count - ten.count == pytest.approx(ten.count - hundred.count)
    assert hundred.count == pytest.approx(charts.COUNTS_TOP)


def test_diagram_without_predictions_can_be_drawn() -> None:
    empty = Calibration(bins=make_bins((0, None, None)).bins, expected_error=None)
    assert "error unknown" in reliability_diagram(empty).description
