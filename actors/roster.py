"""Who belongs to the house, and how each is brought in. Classes are named, not imported: whoever only looks after
actors need not carry what they carry.
"""

from importlib import import_module
from typing import Any, NamedTuple, cast

import ray

from actors import names
from actors.clients import Handle, make
from midwatch.settings import Settings

# Pinned to the head: Ray would else put them on any node, and they would die with it.
_ON_THE_HEAD = {"head": 0.01}


class Post(NamedTuple):
    """An actor's class as ``module:Class``, and its arguments after settings and name."""

    kind: str
    arguments: tuple[object, ...] = ()


SUPERVISOR = Post("actors.supervisor:Supervisor")


def roster(settings: Settings) -> dict[str, Post]:
    """Every actor the house needs beside the supervisor, by name; what must be there first stands first."""
    channels = {
        names.channel_gateway(channel): Post("actors.channel_gateway:ChannelGateway", (channel,))
        for channel in settings.active_channels
    }
    watchers = {names.watcher(cluster): Post("actors.watcher:Watcher", (cluster,)) for cluster in settings.clusters}
    tickets = {names.TICKET_DESK: Post("actors.ticket_desk:TicketDesk")} if settings.keeps_tickets else {}
    return {
        **watchers,
        names.RULE_ENGINE: Post("actors.rule_engine:RuleEngine"),
        names.RCA_POOL: Post("actors.rca_pool:RcaPool"),
        names.PLAYBOOK_EXECUTOR: Post("actors.playbook_executor:PlaybookExecutor"),
        names.APPROVAL_BROKER: Post("actors.approval_broker:ApprovalBroker"),
        **channels,
        **tickets,
    }


def engage(name: str, post: Post, settings: Settings) -> Handle:
    """The actor that bears the name, made if there is none. Blocks until Ray has registered it."""
    try:
        found: Any = ray.get_actor(name, namespace=names.NAMESPACE)
        return cast("Handle", found)
    except ValueError:
        module, _, kind = post.kind.partition(":")
        options = {"name": name, "resources": _ON_THE_HEAD}
        return make(getattr(import_module(module), kind), options, settings, name, *post.arguments)
