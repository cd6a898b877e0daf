"""Names of the custom artifact properties that components share."""

ABSENT = "absent"
"""Set to 1 on the placeholder for an absent artifact.

On Kubeflow Pipelines, a component can't omit an output (launcher_v2.go, uploadOutputArtifacts), so
the entrypoint removes placeholders from the inputs of downstream components.
"""

ORIGIN_URI = "origin_uri"
"""Object store URI of an input artifact that was copied to a local directory."""

BEST_RELEASE = "best_release"
"""JSON of a `components.model_gate.best_release.BestRelease`, on the baseline.

A number would become a double on Kubeflow Pipelines.
"""
