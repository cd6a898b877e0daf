"""Package metadata and direct dependencies; `stacks/` locks the exact versions."""

from setuptools import find_packages, setup

RUNTIME = [
    "apache-beam",
    "click",
    "filelock",
    "grpcio",
    "jinja2",
    "keras>=3",
    "ml-metadata",
    "mlxtend",
    "numpy",
    "pillow",
    "prometheus-client",
    "protobuf",
    "pydantic>=2",
    "pyyaml",
    "requests",
    "rich",
    "scipy",
    "starlette",
    "tensorboard",  # TensorFlow 2.21 no longer installs it, but its summaries need it
    "tensorflow",
    "tensorflow-datasets",
    "tensorflow-metadata",
    "tensorflow-model-analysis",
    "tensorflow-serving-api",
    "tensorflow-transform",
    "tfx",
    "tomli; python_version < '3.11'",
    "typing-extensions",
    "uvicorn",
    "uvloop",
]
KUBEFLOW_SDK = ["kfp"]
DEV = [
    "axe-playwright-python",
    "boto3",
    "flask",  # moto's server needs it, and flask-cors
    "flask-cors",
    "import-linter",
    "moto[s3]",
    "mypy",
    "pandas",
    "playwright",
    "pytest",
    "ruff",
    "scikit-learn",
    "tensorflow-data-validation",
    "types-PyYAML",
    "uv",
]
COMMANDS = [
    "compile=mnist_kubeflow.compiler.command:compile_command",
    "run=pipeline.cli.run:run",
    "predict=pipeline.cli.predict:predict",
    "releases=pipeline.cli.releases:releases",
    "report=pipeline.cli.report:report",
    "schema=pipeline.cli.schema:schema",
    "serve=pipeline.cli.serve:serve",
    "submit=mnist_kubeflow.client.command:submit",
]

PACKAGES = find_packages(include=["pipeline*", "components*", "models*"])
# The folder is `kubeflow`, but that import name belongs to a project on PyPI.
KUBEFLOW = ["mnist_kubeflow", *(f"mnist_kubeflow.{name}" for name in find_packages("kubeflow"))]

setup(
    name="mnist-pipeline",
    version="0.1.0",
    description="A TFX pipeline that trains, validates, gates and pushes an MNIST model",
    license="Apache-2.0",
    python_requires=">=3.10,<3.14",
    packages=[*PACKAGES, *KUBEFLOW],
    package_dir={"mnist_kubeflow": "kubeflow"},
    package_data={
        "components.report": ["*.html.j2", "*.css"],
        "pipeline": ["schema.pbtxt", "serving/page/*"],
    },
    install_requires=RUNTIME,
    extras_require={"dev": DEV, "kubeflow": KUBEFLOW_SDK},
    entry_points={
        "console_scripts": ["mnist-pipeline=pipeline.cli.main:main"],
        "mnist_pipeline.commands": COMMANDS,
    },
)
