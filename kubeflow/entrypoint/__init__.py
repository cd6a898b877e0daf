"""Container entrypoint that runs TFX executors under the launchers of KFP v2 and Vertex AI.

- `contract.py` converts the launcher's executor input to the form that TFX expects, and TFX's
  executor output to the form that the launcher expects. It cites a source for each rule.
- `execution.py` runs the executor.
- `__main__.py` parses the arguments, calls both modules and reports failures.

Docstrings cite sources by file and function. `launcher_v2.go`, `driver.go`, `container.go`,
`converter.go` and `client.go` are in `backend/src/v2/{component,driver,metadata}` of
kubeflow/pipelines at 7b70c7b (after 2.17.0). `kubeflow_v2_run_executor.py` and
`kubeflow_v2_entrypoint_utils.py` are in `tfx/orchestration/kubeflow/v2/container` of tensorflow/tfx
1.16 to 1.21.
"""
