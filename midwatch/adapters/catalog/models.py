"""The file of models, read strictly, and again when it changes."""

from pathlib import Path

from midwatch.adapters.catalog.yaml_source import Faults, Source
from midwatch.domain.providers import Registry, faults


def load_models(path: Path) -> Registry:
    """The registry. Raises :class:`Faults` with file and line for what is unknown or contradicts itself."""
    source = Source(path)
    registry = source.convert(Registry)
    if said := [f"{source.at(where)}: {sentence}" for where, sentence in faults(registry)]:
        raise Faults(tuple(said))
    return registry


class FileModels:
    """The registry in force: the newest one that loads. A bad edit leaves the old one in force and sets ``fault``."""

    def __init__(self, path: Path) -> None:
        """Load at once. Raises :class:`Faults` when the first one is bad."""
        self._path = path
        self._stamp = self._stamped()
        self._registry = load_models(path)
        self.fault = ""

    def current(self) -> Registry:
        """The newest good registry; the same object until it changes."""
        stamp = self._stamped()
        if stamp != self._stamp:
            self._stamp = stamp
            try:
                self._registry, self.fault = load_models(self._path), ""
            except Faults as error:
                self.fault = str(error)
        return self._registry

    def _stamped(self) -> tuple[int, int]:
        try:
            stat = self._path.stat()
        except OSError:
            return (0, 0)  # told by load_models, with the path
        return stat.st_mtime_ns, stat.st_size
