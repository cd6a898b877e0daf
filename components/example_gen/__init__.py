"""ExampleGen: reads the data set from tensorflow_datasets, or the bundled sample.

The component is `components.example_gen.component.ImageExampleGen`. It isn't re-exported here, so
that the command line can import `components.example_gen.sources` without TFX and TensorFlow.
"""
