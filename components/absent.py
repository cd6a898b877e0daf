"""The mark on an artifact that had to be put out though there is none."""

ABSENT = "absent"
"""Custom property of such an artifact, 1; what runs the pipeline leaves it out for its readers.

On Kubeflow Pipelines every output that the spec names is recorded (launcher_v2.go,
uploadOutputArtifacts), so that a component can't leave one out.
"""
