"""The container entrypoint: lets TFX executors run under the launchers of KFP v2 and Vertex AI.

`contract.py` says what differs between what a launcher hands over and what TFX expects, each rule
with its source; `execution.py` runs the executor; `__main__.py` is the process around both.

Sources are named by repository and function: `launcher_v2.go`, `driver.go`, `container.go`,
`converter.go` and `client.go` are below `backend/src/v2/{component,driver,metadata}` of
kubeflow/pipelines (at 7b70c7b, after 2.17.0), `kubeflow_v2_run_executor.py` and
`kubeflow_v2_entrypoint_utils.py` below `tfx/orchestration/kubeflow/v2/container` of tensorflow/tfx
(1.16 to 1.21).
"""
