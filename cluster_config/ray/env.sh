# Sourced by head.sh and worker.sh. What Ray reads from its environment, the same on every node of the cluster.

# Nothing of Ray is open without the token: the same file, mode 0600, on every node. It is not encryption: keep the
# nodes on a network of their own, or set RAY_USE_TLS=1 and the RAY_TLS_* files as well.
export RAY_AUTH_MODE=token
export RAY_AUTH_TOKEN_PATH="${RAY_AUTH_TOKEN_PATH:-/etc/midwatch/ray-token}"
if [ ! -s "$RAY_AUTH_TOKEN_PATH" ]; then
    echo "no Ray token in $RAY_AUTH_TOKEN_PATH; make one on the head and copy it to every node:" >&2
    echo "  (umask 077; openssl rand -base64 32 > $RAY_AUTH_TOKEN_PATH)" >&2
    exit 1
fi

# No usage reports; switching them off is itself reported once, hence the address of nobody.
export RAY_USAGE_STATS_ENABLED=0 RAY_USAGE_STATS_REPORT_URL=http://127.0.0.1:9/

# A lost node is noticed in about 2.5 s (14 s by default), a lost Serve proxy in about 4 s (28 s).
export RAY_health_check_period_ms=1000 RAY_health_check_timeout_ms=2000
export RAY_health_check_failure_threshold=3 RAY_health_check_initial_delay_ms=1000
export RAY_SERVE_PROXY_HEALTH_CHECK_PERIOD_S=0.2 RAY_SERVE_PROXY_HEALTH_CHECK_TIMEOUT_S=5
export RAY_SERVE_PROXY_READY_CHECK_TIMEOUT_S=10

# Control actors are not background work, and a stop does not wait half a minute for actors that live for ever.
export RAY_worker_niceness=0 RAY_GRACEFUL_SHUTDOWN_DRAIN_TIMEOUT_S=2 RAY_ENABLE_UV_RUN_RUNTIME_ENV=0

# A process that is kept ready for an actor that dies imports what all of them need.
export RAY_preload_python_modules=actors.warming

RAY="${RAY:-ray}"
GCS_PORT="${GCS_PORT:-6379}"
TEMP_DIR="${TEMP_DIR:-/tmp/ray}"

# The same ports on every node, so that a firewall can name them: 6379-6385 and 20000-20999 between the nodes only.
PORTS="${PORTS:---node-manager-port=6380 --object-manager-port=6381 --runtime-env-agent-port=6382 \
    --dashboard-agent-grpc-port=6383 --dashboard-agent-listen-port=6384 --metrics-export-port=6385 \
    --min-worker-port=20000 --max-worker-port=20999}"
