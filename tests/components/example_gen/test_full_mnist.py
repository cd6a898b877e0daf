"""Compares ExampleGen on all 70,000 images with data read directly from TFDS."""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

if TYPE_CHECKING:
    from tfx.types import Artifact


def test_the_official_splits_become_54000_6000_and_10000(
    ingest: Callable[..., Artifact], full_mnist: Path
) -> None:
    import tensorflow_datasets as tfds

    examples = ingest("tfds", full_mnist)
    counts = {s: examples.get_int_custom_property(f"count_{s}") for s in ("train", "validation")}
    assert counts == {"train": 54_000, "validation": 6_000}
    assert examples.get_int_custom_property("count_test") == 10_000

    labels = {
        split: Counter(
            int(label)
            for batch in tfds.load(
                "mnist:3.0.1",
                split=split,
                data_dir=str(full_mnist),
                decoders={"image": tfds.decode.SkipDecoding()},
                download=False,
                batch_size=10_000,
            )
            for label in batch["label"].numpy()
        )
        for split in ("train", "test")
    }
    by_split = json.loads(examples.get_string_custom_property("label_counts"))
    assert by_split["test"] == {str(label): n for label, n in sorted(labels["test"].items())}
    for label, n in labels["train"].items():
        validation, train = by_split["validation"][str(label)], by_split["train"][str(label)]
        assert validation + train == n
        assert abs(validation - n / 10) < 1


def test_slices_match_a_single_read(full_mnist: Path) -> None:
    from components.example_gen.reading import make_reader
    from components.example_gen.splits import make_slices

    reader = make_reader("tfds", str(full_mnist))
    test_split = make_slices(reader.sizes(), 70_000)[1]
    parts = make_slices({"test": 10_000}, 3_000)
    sliced = [batch for part in parts for batch in reader.batches(part)]
    single = list(reader.batches(test_split))
    for column in (0, 1):
        received = np.concatenate([batch[column] for batch in sliced])
        expected = np.concatenate([batch[column] for batch in single])
        np.testing.assert_array_equal(received, expected)
        assert len(received) == 10_000
