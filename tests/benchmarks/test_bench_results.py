from __future__ import annotations

import dataclasses
import json
from typing import Any

import pytest
from benchmarks import bench_results
from benchmarks.bench_results import PLAIN, STOCK, Run, make_results, ratio, read_runs, render

FACTS: dict[str, Any] = {
    "command": "make bench",
    "target": 0.95,
    "default": "augmented",
    "machine": {"hardware": "Abacus, 2 threads, no GPU"},
    "versions": {"keras": "3.0"},
    "commands": {"`releases`": 0.25},
}


def make_run(contender: str, number: int = 0, **values: Any) -> Run:
    defaults: dict[str, Any] = {
        "contender": contender,
        "round": number,
        "seed": 42 + number,
        "seconds": 100.0,
        "cpu_seconds": 150.0,
        "peak_bytes": 2**30,
        "steps": {"Trainer": [90.0, 140.0], "fit": [80.0, 130.0]},
        "epochs": [[0.94, 50.0], [0.96, 90.0]],
        "train_images": 800,
        "correct": 970,
        "test_images": 1000,
        "rerun_seconds": None,
        "commit": "abc",
    }
    return Run(**{**defaults, **values})


def test_runs_survive_a_file_of_json_lines() -> None:
    runs = [make_run(PLAIN), make_run(STOCK, 1)]
    lines = [json.dumps(dataclasses.asdict(run)) + "\n" for run in runs]
    assert read_runs([*lines, "\n"]) == runs


def test_rates_and_times_of_a_run() -> None:
    run = make_run(PLAIN)
    assert run.images_per_second == 800 * 2 / 80
    assert run.outside_seconds == 20
    assert run.seconds_to(0.94) == 50
    assert run.seconds_to(0.95) == 90
    assert run.seconds_to(0.97) is None


def test_ratios_compare_only_runs_of_the_same_round() -> None:
    runs = [
        make_run(PLAIN, 0, seconds=100),
        make_run("augmented", 0, seconds=50),
        make_run(PLAIN, 1, seconds=1000),  # The machine was busy in this round.
        make_run("augmented", 1, seconds=600),
        make_run("augmented", 2, seconds=9),
    ]

    def seconds(run: Run) -> float:
        return run.seconds

    assert ratio(runs, "augmented", PLAIN, seconds) == pytest.approx(0.55)
    assert ratio(runs, "augmented", STOCK, seconds) is None
    assert ratio(runs, "augmented", PLAIN, lambda run: run.seconds_to(0.99)) is None


def test_statistics_of_several_seeds() -> None:
    runs = [
        make_run("augmented", number, correct=correct, seconds=seconds, peak_bytes=peak)
        for number, (correct, seconds, peak) in enumerate(
            [(960, 100.0, 5), (980, 300.0, 7), (970, 110.0, 6)]
        )
    ]
    facts = make_results(runs, FACTS)["contenders"]["augmented"]
    assert facts["accuracy"] == pytest.approx(0.97)
    assert facts["lowest_accuracy"] == 0.96
    assert facts["seconds"] == 110
    assert facts["peak_bytes"] == 7
    assert facts["steps"]["fit"] == [80, 130]
    low, high = facts["accuracy_interval"]  # Of 970 in 1,000, not 2,910 in 3,000.
    assert (low, high) == pytest.approx((0.9575, 0.9789), abs=1e-4)


def test_target_time_counts_only_the_runs_that_reached_it() -> None:
    runs = [make_run("augmented"), make_run("augmented", 1, epochs=[[0.9, 40.0]])]
    results = make_results(runs, FACTS)
    facts = results["contenders"]["augmented"]
    assert (facts["target_reached"], facts["target_seconds"]) == (1, 90)
    assert "| 90 s (1 of 2 runs) |" in bench_results.summary_table(results)


def test_target_that_the_plain_script_never_reaches_bounds_the_ratio() -> None:
    late = make_run(PLAIN, seconds=180, epochs=[[0.9, 40.0]])
    runs = [late, make_run("augmented"), make_run("notebook", epochs=[[0.9, 40.0]])]
    results = make_results(runs, FACTS)
    plain, own, notebook = bench_results.summary_table(results).splitlines()[2:]
    assert "| never |" in plain
    assert "| 90 s, ÷ plain < 0.50 |" in own
    assert "| never |" in notebook
    results = make_results([*runs, make_run(PLAIN, 1)], FACTS)
    plain, own, _ = bench_results.summary_table(results).splitlines()[2:]
    assert "| 90 s (1 of 2 runs), ÷ plain 1.00 |" in plain
    assert "| 90 s, ÷ plain < 0.50 |" in own


@pytest.fixture(name="results")
def make_example() -> dict[str, Any]:
    return make_results(
        [
            make_run(PLAIN, steps={"load": [1.0, 2.0], "fit": [80.0, 130.0]}),
            make_run("augmented", seconds=50, rerun_seconds=4.0),
            make_run("augmented", 1, seconds=50, rerun_seconds=6.0, correct=990),
            make_run(
                STOCK, seconds=200, steps={"ImportExampleGen": [1, 2], **make_run(STOCK).steps}
            ),
        ],
        FACTS,
    )


def test_json_is_compact(results: dict[str, Any]) -> None:
    text = bench_results.to_text(results)
    assert json.loads(text) == json.loads(json.dumps(results))
    assert '"fit": [ 80.0, 130.0 ]' in text


def test_table_for_people(results: dict[str, Any]) -> None:
    *table, _, text = bench_results.BLOCKS["summary"](results).splitlines()
    rows = {line.split(" | ")[0]: line.split(" | ")[1:6] for line in table}
    assert list(rows)[2:] == [
        "| plain Keras script",
        "| stock TFX components",
        "| this pipeline, `augmented` (default)",
    ]
    assert rows["| this pipeline, `augmented` (default)"] == [
        "98.00% (96.93 to 98.70), 2 seeds, lowest 97.00%",
        "50 / 150 s",
        "0.50 / 1.00",
        "0.25 / 1.00",
        "90 s, ÷ plain 1.00",
    ]
    assert text == (
        "`make bench`, 4 runs on Abacus, 2 threads, no GPU (keras 3.0; commit abc). "
        "Wall time: a rerun with no changes 5 s, `releases` 0.25 s."
    )


def test_table_of_stages_counts_fit_once_and_aligns_similar_components(
    results: dict[str, Any],
) -> None:
    lines = bench_results.BLOCKS["stages"](results).splitlines()
    assert "| ExampleGen |  | 1.0 / 2.0 |  |" in lines
    assert "| Trainer |  | 90.0 / 140.0 | 90.0 / 140.0 |" in lines
    assert "| start-up and exit | 19.0 / 18.0 | 109.0 / 8.0 | 0.0 / 10.0 |" in lines
    assert "| of which `model.fit` | 80.0 / 130.0 | 80.0 / 130.0 | 80.0 / 130.0 |" in lines


def test_rendering_replaces_only_the_blocks(results: dict[str, Any]) -> None:
    page = "a\n<!-- benchmark: stages -->\nold\n<!-- end of benchmark -->\nb\n"
    rendered = render(page, results)
    stages = bench_results.BLOCKS["stages"](results)
    assert rendered == page.replace("old\n", stages)
    assert render(rendered, results) == rendered
