#!/bin/sh
# Runs a command in Debian 13, which has the glibc that stack current needs, on a copy of this
# checkout. The first call creates the root folder with debootstrap; later calls reuse it. Needs
# root. Environment:
#   TRIXIE_ROOT     root folder (default: ~/.cache/mnist-pipeline/trixie)
#   DEBIAN_MIRROR   mirror (default: the one in this machine's apt sources)
#   TFDS_DATA_DIR   if set, mounted inside at the same path
set -eu
# A relative path is relative to the caller's directory.
[ -z "${TFDS_DATA_DIR:-}" ] || TFDS_DATA_DIR=$(realpath -ms -- "$TFDS_DATA_DIR")
cd "$(dirname "$0")/.."
root=${TRIXIE_ROOT:-${XDG_CACHE_HOME:-$HOME/.cache}/mnist-pipeline/trixie}
export root

say() { echo "test-current: $*"; }
die() {
    say "$*" >&2
    exit 1
}

make_root() {
    command -v debootstrap >/dev/null || die "install debootstrap and try again"
    mirror=${DEBIAN_MIRROR:-$(apt-get indextargets --format '$(REPO_URI)' \
        'Created-By: Packages' 'Label: Debian' | head -n 1)}
    [ -n "$mirror" ] || die "no Debian mirror found in this machine's apt sources: set DEBIAN_MIRROR"
    say "installing Debian 13 in $root"
    rm -rf "$root.partial"
    mkdir -p "$root.partial"
    debootstrap --variant=minbase --include=ca-certificates,git,make,python3,python3-venv \
        trixie "$root.partial" "$mirror" >"$root.log" 2>&1 || die "debootstrap failed, see $root.log"
    mv "$root.partial" "$root"
}

# Replaces everything except the virtual environment, which `make setup` keeps up to date.
copy_checkout() {
    mkdir -p "$root/checkout"
    find "$root/checkout" -mindepth 1 -maxdepth 1 ! -name .venv -exec rm -rf {} +
    git ls-files -z --cached --others --exclude-standard --deduplicate |
        tar --create --null --files-from - --ignore-failed-read 2>/dev/null |
        tar --extract --directory "$root/checkout" --no-same-owner
}

# The mounts have their own namespace, so they disappear when the command ends.
run_inside() {
    unshare --mount --propagation private --pid --fork --kill-child sh -euc '
        mount -t proc proc "$root/proc"
        mount --rbind /dev "$root/dev"
        # Uses the network and pip configuration, certificates and data of this machine.
        for path in /etc/hosts /etc/resolv.conf /etc/ssl/certs /etc/pip.conf \
            "$HOME/.config/pip" "$HOME/.pip" "${TFDS_DATA_DIR:-}"; do
            [ -e "$path" ] || continue
            if [ -d "$path" ]; then mkdir -p "$root$path"; else : >>"$root$path"; fi
            mount --bind "$path" "$root$path"
        done
        exec env --unset=VIRTUAL_ENV --unset=PYENV_ROOT STACK=current LC_ALL=C.UTF-8 \
            PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin \
            chroot "$root" sh -euc "cd /checkout && exec \"\$@\"" sh "$@"' sh "$@"
}

[ "$(id -u)" = 0 ] || die "needs root: run \`sudo make test-current\`"
mkdir -p "$(dirname "$root")"
# Only one run at a time, because each run replaces the copy of the checkout.
exec 9>"$root.lock"
flock --nonblock 9 || {
    say "waiting for another run in $root"
    flock 9
}
[ -d "$root" ] || make_root
copy_checkout
say "Debian 13 in $root: $*"
run_inside "$@"
