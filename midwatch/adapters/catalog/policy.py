"""The policy file, read strictly, and again when it changes."""

from pathlib import Path

from midwatch.adapters.catalog.newest import Newest
from midwatch.adapters.catalog.yaml_source import Faults, Source
from midwatch.domain.policy import Policy, faults


def load_policy(path: Path) -> Policy:
    """The policy. Raises :class:`Faults` with file and line for what is unknown or contradicts itself."""
    source = Source(path)
    policy = source.convert(Policy)
    if said := [f"{source.at(where)}: {sentence}" for where, sentence in faults(policy)]:
        raise Faults(tuple(said))
    return policy


class FilePolicy(Newest[Policy]):
    """The policy in force. See :class:`Newest`."""

    def __init__(self, path: Path) -> None:
        super().__init__(path, load_policy)
