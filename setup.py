"""Names the packages and what they need; the exact versions are locked in `stacks/`."""

from setuptools import find_packages, setup

RUNTIME = [
    "apache-beam",
    "click",
    "filelock",
    "mlxtend",
    "pydantic>=2",
    "pyyaml",
    "rich",
    "tensorflow",
    "tensorflow-data-validation",
    "tensorflow-datasets",
    "tensorflow-model-analysis",
    "tensorflow-transform",
    "tfx",
    "tomli; python_version < '3.11'",
]
DEV = ["import-linter", "mypy", "pytest", "ruff", "types-PyYAML", "uv"]

PACKAGES = find_packages(include=["pipeline*", "components*", "models*"])
# On disk the folder is `kubeflow`; that import name belongs to a project on PyPI.
KUBEFLOW = ["mnist_kubeflow", *(f"mnist_kubeflow.{name}" for name in find_packages("kubeflow"))]

setup(
    name="mnist-pipeline",
    version="0.1.0",
    description="A TFX pipeline that trains, validates, gates and pushes an MNIST model",
    python_requires=">=3.10,<3.14",
    packages=[*PACKAGES, *KUBEFLOW],
    package_dir={"mnist_kubeflow": "kubeflow"},
    package_data={"pipeline": ["schema.pbtxt"]},
    install_requires=RUNTIME,
    extras_require={"dev": DEV, "kubeflow": ["kfp", "kubernetes"]},
    entry_points={
        "console_scripts": ["mnist-pipeline=pipeline.cli:main"],
        "mnist_pipeline.commands": [
            "compile=mnist_kubeflow.cli:compile_command",
            "submit=mnist_kubeflow.submit_command:submit",
        ],
    },
)
