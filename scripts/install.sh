#!/bin/sh
# Make .venv and put into it exactly what requirements-dev.lock names (versions and hashes), then Midwatch itself,
# editable. Does nothing when nothing changed since the last time. POSIX sh: macOS has no newer shell.
set -eu
cd "$(dirname "$0")/.."

say() { printf '%s\n' "install: $*"; }
fail() { printf '%s\n' "install: $*" >&2; exit 1; }

# What the wheels of Ray and of the embedded stores are built for.
case "$(uname -s)-$(uname -m)" in
    Linux-x86_64 | Linux-aarch64 | Darwin-arm64) ;;
    *) fail "Midwatch runs on Linux (x86_64, aarch64) and macOS on Apple silicon; Ray has no build for $(uname -s) $(uname -m)." ;;
esac
if [ "$(uname -s)" = Linux ] && ! getconf GNU_LIBC_VERSION >/dev/null 2>&1; then
    fail "this Linux has no glibc (Alpine?); Ray is built for glibc: use a Debian, Ubuntu, Fedora or similar system."
fi

fits() { "$1" -c 'import sys, venv, ensurepip; sys.exit(not (3, 11) <= sys.version_info[:2] < (3, 14))' >/dev/null 2>&1; }

find_python() {
    for candidate in ${PYTHON:-} python3 python3.13 python3.12 python3.11 python; do
        if fits "$candidate"; then
            command -v "$candidate"
            return
        fi
    done
    fail "no Python 3.11, 3.12 or 3.13 with venv found; install one (Debian: apt install python3 python3-venv, macOS: brew install python@3.13) or name it: make install PYTHON=/path/to/python3."
}

stamp=.venv/.midwatch-installed
# The directory counts too: a moved venv points to where it was made.
wanted="$(cat requirements-dev.lock pyproject.toml scripts/install.sh | cksum) $(pwd)"
if [ -f "$stamp" ] && [ "$(cat "$stamp")" = "$wanted" ] && .venv/bin/python -c '' 2>/dev/null; then
    exit 0
fi

start=$(date +%s)
if ! { [ -x .venv/bin/python ] && fits .venv/bin/python; }; then
    python=$(find_python)
    say "making .venv with $("$python" -V) ($python)"
    "$python" -m venv --clear .venv
fi
rm -f "$stamp"

pip() { .venv/bin/python -m pip --disable-pip-version-check "$@"; }
.venv/bin/python -m pip --version >/dev/null 2>&1 || .venv/bin/python -m ensurepip >/dev/null

# uv, from the same lock and with its hash, does the rest about eight times faster; without it pip does the same.
uv_version=$(sed -n 's/^uv==\([^ ]*\).*/\1/p' requirements-dev.lock)
if [ "$(.venv/bin/uv --version 2>/dev/null | cut -d' ' -f2)" != "$uv_version" ]; then
    say "getting uv $uv_version"
    awk '/^[^ ]/ { mine = /^uv==/ } mine' requirements-dev.lock >.venv/uv.lock
    pip install --quiet --require-hashes --no-deps -r .venv/uv.lock || say "no uv here, going on with pip"
fi

# uv does not read pip's settings: hand it the index of this machine, if there is one.
index=${PIP_INDEX_URL:-$(pip config get global.index-url 2>/dev/null || true)}
if [ -n "$index" ] && [ -z "${UV_DEFAULT_INDEX:-}" ]; then
    export UV_DEFAULT_INDEX="$index"
fi
export UV_PYTHON_DOWNLOADS=never UV_NO_CONFIG=1 VIRTUAL_ENV="$PWD/.venv"

# Bytecode now, or each of some ten processes compiles the same big libraries at its first start.
say "getting $(grep -c '==' requirements-dev.lock) locked packages (about 200 MB to load the first time)"
if [ -x .venv/bin/uv ] && .venv/bin/uv pip install --compile-bytecode --require-hashes -r requirements-dev.lock; then :; else
    [ ! -x .venv/bin/uv ] || say "uv could not; trying with pip (a minute)"
    pip install --progress-bar on --require-hashes -r requirements-dev.lock ||
        fail "the packages could not be fetched; is the network (or your package index) reachable?"
fi
say "installing Midwatch, editable"
pip install --quiet --no-deps --no-build-isolation --no-index -e .
printf '%s' "$wanted" >"$stamp"
say "done in $(($(date +%s) - start)) s"
