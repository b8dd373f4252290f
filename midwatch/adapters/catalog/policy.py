"""The policy file, read strictly, and again when it changes."""

from pathlib import Path

from midwatch.adapters.catalog.yaml_source import Faults, Source
from midwatch.domain.policy import Policy, faults


def load_policy(path: Path) -> Policy:
    """The policy. Raises :class:`Faults` with file and line for what is unknown or contradicts itself."""
    source = Source(path)
    policy = source.convert(Policy)
    if said := [f"{source.at(where)}: {sentence}" for where, sentence in faults(policy)]:
        raise Faults(tuple(said))
    return policy


class FilePolicy:
    """The policy in force: the newest one that loads. A bad edit leaves the old one in force and sets ``fault``."""

    def __init__(self, path: Path) -> None:
        """Load at once. Raises :class:`Faults` when the first one is bad."""
        self._path = path
        self._stamp = self._stamped()
        self._policy = load_policy(path)
        self.fault = ""

    def current(self) -> Policy:
        """The newest good policy."""
        stamp = self._stamped()
        if stamp != self._stamp:
            self._stamp = stamp
            try:
                self._policy, self.fault = load_policy(self._path), ""
            except Faults as error:
                self.fault = str(error)
        return self._policy

    def _stamped(self) -> tuple[int, int]:
        try:
            stat = self._path.stat()
        except FileNotFoundError:
            return (0, 0)  # told by load_policy, with the path
        return stat.st_mtime_ns, stat.st_size
