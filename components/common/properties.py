"""Names of the custom properties by which components tell each other about artifacts."""

ABSENT = "absent"
"""1 marks a placeholder for an absent artifact.

On Kubeflow Pipelines a component can't leave out an output (launcher_v2.go, uploadOutputArtifacts),
so the entrypoint drops marked artifacts from the inputs of the next component.
"""

ORIGIN_URI = "origin_uri"
"""URI in the object store of an input artifact that is a local copy."""
