#!/bin/sh
# Installs one locked stack and this project (editable) in .venv, unless they are already there.
# The version of glibc decides the stack; STACK=compat or STACK=current overrides that choice.
set -eu
cd "$(dirname "$0")/.."
venv=$PWD/.venv
unset PYTHONHOME PYTHONPATH

say() { echo "set-up: $*"; }
die() {
    say "$*" >&2
    exit 1
}
at_least() { printf '%s\n' "$2" "$1" | sort -C -V; }

# Runs before anything that other systems lack, such as flock. docs/platforms.md has the same
# commands, and a test compares them.
check_platform() {
    kernel=$(uname -s)
    machine=$(uname -m)
    case "$kernel $machine" in "Linux x86_64") return ;; esac
    say "expected Linux on x86-64, the only platform with TFX wheels, received $kernel $machine." >&2
    case $kernel in
        MINGW* | MSYS* | CYGWIN* | Windows*) cat >&2 <<'END' ;;
Use WSL 2. Run this in PowerShell, then clone the repository and use `make` inside Ubuntu:

    wsl --install --distribution Ubuntu-24.04
END
        *) cat >&2 <<'END' ;;
Use the container image instead:

    docker build --platform linux/amd64 --file kubeflow/Dockerfile --tag mnist-pipeline .
    mkdir -p output
    docker run --rm --init --platform linux/amd64 --user "$(id -u):$(id -g)" \
        -v "$PWD/output:/home/pipeline/output" mnist-pipeline mnist-pipeline run
END
    esac
    printf '\nSee docs/platforms.md for serving, predictions and tests.\n' >&2
    exit 1
}

# Sets $stack, $why and $pythons: the Python versions that the stack supports, best first.
choose_stack() {
    glibc=$(getconf GNU_LIBC_VERSION 2>/dev/null) || glibc=none
    glibc=${glibc#glibc }
    at_least "$glibc" 2.17 && [ "$glibc" != none ] ||
        die "TFX needs glibc 2.17 or newer, found $glibc: use a system that has it"
    why="glibc is $glibc, and current needs 2.39"
    if at_least "$glibc" 2.39; then stack=current; else stack=compat; fi
    case ${STACK:-} in
        "" | "$stack") ;;
        compat) stack=compat why="STACK=compat" ;;
        current) die "stack current needs glibc 2.39, found $glibc: leave STACK unset for compat," \
            "or try \`make test-current\`, which brings its own Debian 13" ;;
        *) die "STACK must be compat or current, received '$STACK'" ;;
    esac
    case $stack in
        compat) pythons=3.10 ;;
        current) pythons="3.13 3.12 3.11 3.10" ;;
    esac
}

# Sets $uv to a working uv outside the environment to be replaced, or to nothing.
find_uv() {
    uv=$(command -v uv) && "$uv" --version >/dev/null 2>&1 || uv=
    case $uv in "$venv"/*) uv= ;; esac
}

# Prints the real path of interpreter $1 if it is Python $2, starts (a pyenv shim may refuse), and
# has the modules that TFX and venv import.
real_python() {
    "$1" -c 'import bz2, ctypes, lzma, os, sqlite3, ssl, sys, venv
if "%d.%d" % sys.version_info[:2] != sys.argv[1]: sys.exit(1)
if not sys.argv[2]: import ensurepip
print(os.path.realpath(sys.executable))' "$2" "$uv" 2>/dev/null
}

managed_python() { [ -n "$uv" ] && "$uv" python find --managed-python "$version" 2>/dev/null; }

# Sets $version and $python, from PATH, pyenv or uv, which may download it.
find_python() {
    for version in $pythons; do
        for candidate in "python$version" python3 \
            "${PYENV_ROOT:-$HOME/.pyenv}/versions/$version".*/bin/python"$version"; do
            python=$(real_python "$candidate" "$version") && return
        done
        python=$(managed_python) && return
    done
    version=${pythons%% *}
    missing="no usable Python $version on PATH or in pyenv, and"
    wanted="Python $version with its venv module"
    [ -n "$uv" ] ||
        die "$missing uv is absent: install uv (\`pip install uv\`), or $wanted, and try again"
    say "downloading Python $version with uv"
    UV_PYTHON_INSTALL_BIN=0 "$uv" python install --quiet "$version" && python=$(managed_python) ||
        die "$missing uv could not download one: install $wanted, and try again"
}

# pyfarmhash, which TFDV imports, has no wheel for Python 3.10.
check_compiler() {
    [ "$version" != 3.10 ] || {
        command -v c++ && "$python" -c \
            'import os, sysconfig; os.stat(sysconfig.get_path("include") + "/Python.h")'
    } >/dev/null 2>&1 ||
        die "Python 3.10 builds a package from source: install a C++ compiler (g++) and" \
            "Python's headers (python3.10-dev), and try again"
}

with_uv() {
    "$uv" pip install --quiet --python "$venv/bin/python" --no-deps --no-build-isolation "$@"
}
with_pip() {
    "$venv/bin/python" -m pip install -qq --no-deps --no-build-isolation --no-compile "$@"
}
install_locked() {
    "$1" --require-hashes -r stacks/build.txt &&
        "$1" --require-hashes -r "stacks/$stack.txt" &&
        "$1" --editable .
}

# Without bytecode, TFX takes twice as long to start. Some packages ship templates that are not
# valid Python, so compileall's errors are ignored.
compile_bytecode() {
    PYTHONWARNINGS=ignore "$venv/bin/python" -m compileall -qq -j 0 "$venv/lib" || true
}

install() {
    rm -rf "$venv"
    if [ -n "$uv" ] && "$uv" venv --quiet --python "$python" "$venv" && install_locked with_uv; then
        return
    fi
    [ -z "$uv" ] || say "uv could not install it, trying pip"
    "$python" -m venv --clear "$venv" && install_locked with_pip ||
        die "the installation failed; the lines above say why"
}

# Content of the file .ready, which is written last, for a complete environment.
state() {
    "$venv/bin/python" --version 2>/dev/null &&
        cat "stacks/$stack.txt" stacks/build.txt stacks/install.sh setup.py | sha256sum &&
        echo "$stack $PWD"
}

check_platform
choose_stack
say "stack $stack ($why)"
# Of two concurrent set-ups, the second waits for the first.
exec 9<stacks/install.sh
flock 9
if expected=$(state) && [ "$(cat "$venv/.ready" 2>/dev/null)" = "$expected" ]; then exit; fi
find_uv
find_python
check_compiler
say "installing it for $python with ${uv:-pip}; this takes a few minutes"
install
compile_bytecode
state >"$venv/.ready"
say "ready"
