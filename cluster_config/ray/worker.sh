#!/bin/sh
# Join a node to the cluster that head.sh started, in the foreground. Investigations spread over such nodes.
#
#   HEAD_IP=10.0.0.1 NODE_IP=10.0.0.2 cluster_config/ray/worker.sh
#
# RCA_PLACES is how many processes of the pool may run here (4), each MIDWATCH_RCA_SLOTS investigations at once.
#
# The same Python, Ray and Midwatch as on the head must be installed here: the same image or the same lock.
set -eu
. "$(dirname "$0")/env.sh"

# shellcheck disable=SC2086  # PORTS is a list
exec "$RAY" start --block \
    --address="${HEAD_IP:?set HEAD_IP to the address of the head}:$GCS_PORT" \
    --node-ip-address="${NODE_IP:?set NODE_IP to the address the other nodes reach this one by}" \
    --temp-dir="$TEMP_DIR" --object-store-memory="${OBJECT_STORE_BYTES:-100000000}" \
    --resources="{\"rca\": ${RCA_PLACES:-4}}" --disable-usage-stats $PORTS
