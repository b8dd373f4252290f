"""What tells the processes of Ray that wait unused, and whether the house has been started."""

import psutil
import ray

_TITLE = "ray::IDLE"


def is_unused(process: psutil.Process) -> bool:
    """Whether it waits for its first actor, or imports that one's class. Raises ``psutil.Error`` when it is gone."""
    return process.cmdline()[:1] == [_TITLE]


def house_is_up() -> bool:
    """Whether the edge is there: it is started last."""
    return any(actor["name"].startswith("SERVE_REPLICA") for actor in ray.util.list_named_actors(all_namespaces=True))
