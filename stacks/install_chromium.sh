#!/bin/sh
# Installs Debian's Chromium for the browser tests, if this is Debian, the user is root and no browser
# is installed. Otherwise prints how to install one. Never fails, because the tests are skipped
# without a browser.
set -u
hint="run \`.venv/bin/playwright install chromium\`, or install Chromium or Chrome"

say() { echo "browser tests: $*"; }
has() { command -v "$1" >/dev/null 2>&1; }

for name in chromium chromium-browser google-chrome google-chrome-stable; do
    has "$name" && exit 0
done
# Browsers that this user installed with Playwright.
for directory in "${PLAYWRIGHT_BROWSERS_PATH:-${HOME:-/}/.cache/ms-playwright}"/chromium-*; do
    [ -d "$directory" ] && exit 0
done

# Debian only: Ubuntu's package chromium is a snap, and containers can't run snaps.
if [ "$(id -u)" = 0 ] && has apt-get && grep -qx 'ID=debian' "${OS_RELEASE:-/etc/os-release}"; then
    say "installing Debian's Chromium"
    export DEBIAN_FRONTEND=noninteractive
    (apt-get update && apt-get install --yes --no-install-recommends chromium) </dev/null \
        >/dev/null 2>&1 && exit 0
    say "skipped, because apt-get could not install Chromium; $hint"
else
    say "skipped, because no browser was found; $hint"
fi
exit 0
