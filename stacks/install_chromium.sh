#!/bin/sh
# Installs Debian's Chromium for the browser tests, if this is Debian, the user is root and there is no
# browser yet. Otherwise it prints how to install one. It never fails: without a browser, the tests
# are skipped.
set -u
says_how="run \`.venv/bin/playwright install chromium\`, or install a Chromium or Chrome"

say() { echo "browser tests: $*"; }
has() { command -v "$1" >/dev/null 2>&1; }

for name in chromium chromium-browser google-chrome google-chrome-stable; do
    has "$name" && exit 0
done
# Playwright's own browsers of this user.
for directory in "${PLAYWRIGHT_BROWSERS_PATH:-${HOME:-/}/.cache/ms-playwright}"/chromium-*; do
    [ -d "$directory" ] && exit 0
done

# Ubuntu's package of this name is a snap, and containers can't run snaps.
if [ "$(id -u)" = 0 ] && has apt-get && grep -qx 'ID=debian' "${OS_RELEASE:-/etc/os-release}"; then
    say "installing Debian's Chromium"
    export DEBIAN_FRONTEND=noninteractive
    (apt-get update && apt-get install --yes --no-install-recommends chromium) </dev/null \
        >/dev/null 2>&1 && exit 0
    say "apt-get could not install it, so they will be skipped; $says_how"
else
    say "there is no browser, so they will be skipped; $says_how"
fi
exit 0
