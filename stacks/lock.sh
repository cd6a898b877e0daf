#!/bin/sh
# Updates the lock files from setup.py and stacks/*.in, but keeps locked versions that still match.
# Options are passed to `uv pip compile`: --upgrade, or --upgrade-package NAME.
set -eu
cd "$(dirname "$0")/.."
uv=$(command -v .venv/bin/uv || command -v uv) || {
    echo "lock: uv is missing: run \`make setup\`, which installs it, and try again" >&2
    exit 1
}

compile() {
    "$uv" pip compile --quiet --generate-hashes --no-annotate --no-emit-index-url \
        --no-emit-find-links --custom-compile-command "make lock" --python-version 3.10 "$@"
}

compile stacks/build.in --universal --output-file stacks/build.txt
compile setup.py stacks/compat.in --extra dev --extra kubeflow \
    --python-platform x86_64-manylinux2014 --output-file stacks/compat.txt "$@"
compile setup.py stacks/current.in --extra dev --extra kubeflow \
    --universal --output-file stacks/current.txt "$@"
# The image's packages: the same versions without the development tools, and without libclang, which
# TensorFlow requires but uses only in its own build.
compile setup.py stacks/current.in --extra kubeflow --constraints stacks/current.txt \
    --no-emit-package libclang --universal --output-file stacks/current-runtime.txt
