#!/bin/sh
# Start the head node of a Ray cluster for Midwatch, in the foreground (put it under systemd or the like: nothing inside
# Ray restarts it).
#
#   NODE_IP=10.0.0.1 cluster_config/ray/head.sh
#
# Then, on the same host:  MIDWATCH_RAY_ADDRESS=10.0.0.1:6379 midwatch up
#
# RCA_PLACES is how many processes of the pool may run here (2), each MIDWATCH_RCA_SLOTS investigations at once.
#
# The head may die and come back: the cluster's own state is kept in Redis when RAY_REDIS_ADDRESS (host:port) is set,
# else on this disk, in GCS_DIR. Both survive a restart on the same address and port. Empty GCS_DIR after an upgrade.
set -eu
. "$(dirname "$0")/env.sh"

if [ -z "${RAY_REDIS_ADDRESS:-}" ]; then
    export RAY_gcs_storage=rocksdb RAY_gcs_storage_path="${GCS_DIR:-/var/lib/midwatch/gcs}"
    mkdir -p "$RAY_gcs_storage_path"
fi

# The dashboard listens on loopback only: reach it through ssh..
# shellcheck disable=SC2086  # PORTS is a list
exec "$RAY" start --head --block \
    --node-ip-address="${NODE_IP:?set NODE_IP to the address the other nodes reach this one by}" --port="$GCS_PORT" \
    --dashboard-host=127.0.0.1 --dashboard-port="${DASHBOARD_PORT:-8265}" \
    --temp-dir="$TEMP_DIR" --object-store-memory="${OBJECT_STORE_BYTES:-100000000}" \
    --resources="{\"head\": 1, \"rca\": ${RCA_PLACES:-2}}" --disable-usage-stats $PORTS ${REDIS_PASSWORD:+--redis-password="$REDIS_PASSWORD"}
