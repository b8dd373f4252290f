"""The edge as a Ray Serve application: ``serve.app:build``."""

import asyncio
from collections.abc import Mapping
from functools import partial

from fastapi import FastAPI
from ray import serve as ray_serve

from actors import names
from actors.roster import SUPERVISOR, engage
from midwatch.bootstrap.serving import prepare_schema
from midwatch.settings import Settings, load_settings
from serve.api import build_api
from serve.production import open_edge

_STREAMS_AND_REQUESTS = 500


class Replica:
    """One replica of the edge. All it does is in the FastAPI app that it carries."""


def create_api() -> FastAPI:
    """The app with the settings of this process's environment, for ``uvicorn --factory serve.app:create_api``."""
    settings = load_settings()
    return build_api(partial(open_edge, settings), settings.cors_origins)


def build(args: Mapping[str, object]) -> ray_serve.Application:
    """The Serve application. ``args`` is ``{"settings": Settings}``, or settings by name as a config file has them."""
    given = args.get("settings")
    if isinstance(given, Settings):
        settings = given
    else:  # deployed by itself (`serve deploy`, KubeRay): nobody else has seen to the schema and the actors
        settings = load_settings(**args)
        asyncio.run(prepare_schema(settings))
        engage(names.SUPERVISOR, SUPERVISOR, settings)

    def edge_api() -> FastAPI:  # a plain function without arguments: Ray takes anything else for an ASGI app
        return build_api(partial(open_edge, settings), settings.cors_origins)

    deployment = ray_serve.deployment(
        name="edge",
        num_replicas=settings.replicas,
        max_ongoing_requests=_STREAMS_AND_REQUESTS,
        health_check_period_s=1,
        health_check_timeout_s=5,
        graceful_shutdown_timeout_s=3,
        # Beside the proxy: on any other node the one door would close with that node.
        ray_actor_options={"num_cpus": 0, "resources": {"head": 0.01}},
    )(ray_serve.ingress(edge_api)(Replica))
    return deployment.bind()
