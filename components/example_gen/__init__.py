"""ExampleGen: ingests the data set from tensorflow_datasets (TFDS) or from the bundled sample.

Import the component from `components.example_gen.component`. It isn't re-exported here because the
command line imports `components.example_gen.sources` without loading TFX and TensorFlow.
"""
