"""Names under which the actors are found, in one Ray namespace."""

from midwatch.settings import Settings

NAMESPACE = "midwatch"
SUPERVISOR = "supervisor"
RULE_ENGINE = "rule-engine"
RCA_POOL = "rca-pool"
PLAYBOOK_EXECUTOR = "playbook-executor"
APPROVAL_BROKER = "approval-broker"
TICKET_DESK = "ticket-desk"
_RCA_WORKER = "rca-worker-"


def watcher(cluster: str) -> str:
    """The watcher of one cluster."""
    return f"watcher:{cluster}"


def channel_gateway(channel: str) -> str:
    """The gateway of one channel."""
    return f"channel-gateway:{channel}"


def rca_worker(number: int) -> str:
    """One worker of the pool, counted from 1."""
    return f"{_RCA_WORKER}{number}"


def is_rca_worker(name: str) -> bool:
    """Whether an actor of this name is one of the pool's workers."""
    return name.startswith(_RCA_WORKER)


def house(settings: Settings) -> tuple[str, ...]:
    """Every actor that a house with these settings needs at all times."""
    watchers = (watcher(cluster) for cluster in settings.clusters)
    tickets = (TICKET_DESK,) if settings.keeps_tickets else ()
    return (
        SUPERVISOR,
        *watchers,
        RULE_ENGINE,
        RCA_POOL,
        rca_worker(1),
        PLAYBOOK_EXECUTOR,
        APPROVAL_BROKER,
        *(channel_gateway(channel) for channel in settings.active_channels),
        *tickets,
    )
