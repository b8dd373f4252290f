#!/bin/sh
# Write .env from .env.example, each empty value a random one. Does nothing when .env is there.
set -eu
cd "$(dirname "$0")/.."
[ ! -e .env ] || exit 0
umask 077
secret() { od -An -N24 -tx1 /dev/urandom | tr -d ' \n'; } # hex: safe inside a URL
while IFS= read -r line; do
    case "$line" in
        *=) printf '%s%s\n' "$line" "$(secret)" ;;
        *) printf '%s\n' "$line" ;;
    esac
done <.env.example >.env.new
mv .env.new .env
echo "wrote .env with fresh secrets (mode 0600); the console asks for MIDWATCH_API_TOKEN from it"
