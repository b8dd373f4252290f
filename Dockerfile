# One image for every role: the whole of `midwatch up`, a Ray head, a Ray worker. The wheel, its locked dependencies,
# and the data folders beside it.
ARG PYTHON=3.12

FROM python:${PYTHON}-slim-bookworm AS build
ENV PIP_DISABLE_PIP_VERSION_CHECK=1 PIP_NO_CACHE_DIR=1
WORKDIR /src
RUN python -m venv /opt/midwatch/venv
COPY requirements.lock requirements-dev.lock ./
RUN /opt/midwatch/venv/bin/pip install --require-hashes -r requirements.lock
COPY pyproject.toml README.md LICENSE ./
COPY midwatch midwatch
COPY actors actors
COPY serve serve
# The build tool comes from the lock of the tools, versions and hashes included, and stays in this stage.
RUN python -m venv /build \
    && awk '/^[^ ]/ { mine = /^(hatchling|packaging|pathspec|pluggy|trove-classifiers|tomlkit)==/ } mine' \
        requirements-dev.lock > /build/requirements.txt \
    && /build/bin/pip install --require-hashes -r /build/requirements.txt \
    && /build/bin/pip wheel --no-deps --no-build-isolation --no-index --wheel-dir /dist . \
    && /opt/midwatch/venv/bin/pip install --no-deps --no-index /dist/*.whl

FROM python:${PYTHON}-slim-bookworm
# wget: KubeRay's probes call it. procps: Ray's tools look at processes. tini: somebody must bury the orphans.
RUN apt-get update \
    && apt-get install --yes --no-install-recommends procps tini wget \
    && rm -rf /var/lib/apt/lists/* \
    && useradd --uid 10001 --create-home midwatch \
    && install -d -o midwatch -g midwatch -m 0700 /var/lib/midwatch
COPY --from=build /opt/midwatch/venv /opt/midwatch/venv
COPY rules /opt/midwatch/rules
COPY playbooks /opt/midwatch/playbooks
COPY cluster_config /opt/midwatch/cluster_config
ENV PATH=/opt/midwatch/venv/bin:$PATH \
    PYTHONUNBUFFERED=1 \
    MIDWATCH_STATE_DIR=/var/lib/midwatch \
    MIDWATCH_RULES_DIR=/opt/midwatch/rules \
    MIDWATCH_PLAYBOOKS_DIR=/opt/midwatch/playbooks \
    MIDWATCH_POLICY_FILE=/opt/midwatch/cluster_config/policy.yaml \
    RAY_AUTH_MODE=token \
    RAY_USAGE_STATS_ENABLED=0 \
    RAY_USAGE_STATS_REPORT_URL=http://127.0.0.1:9/
USER midwatch
WORKDIR /opt/midwatch
VOLUME /var/lib/midwatch
EXPOSE 8420
ENTRYPOINT ["tini", "--"]
CMD ["midwatch", "up"]
