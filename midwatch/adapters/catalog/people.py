"""The file of people, read strictly, and again when it changes. No file at all: no rota, and everybody hears all."""

from pathlib import Path

from midwatch.adapters.catalog.yaml_source import Faults, Source
from midwatch.domain.rota import People, faults


def load_people(path: Path) -> People:
    """Rotas, teams and routes. Raises :class:`Faults` with file and line for what is unknown or contradicts itself."""
    if not path.exists():
        return People()
    source = Source(path)
    people = source.convert(People) if source.data is not None else People()
    if said := [f"{source.at(where)}: {sentence}" for where, sentence in faults(people)]:
        raise Faults(tuple(said))
    return people


class FilePeople:
    """Those in force: the newest file that loads. A bad edit leaves the old one in force and sets ``fault``."""

    def __init__(self, path: Path) -> None:
        """Load at once. Raises :class:`Faults` when the first one is bad."""
        self._path, self.fault = path, ""
        self._stamp = self._stamped()
        self._people = load_people(path)

    def current(self) -> People:
        """The newest good one."""
        stamp = self._stamped()
        if stamp != self._stamp:
            self._stamp = stamp
            try:
                self._people, self.fault = load_people(self._path), ""
            except Faults as error:
                self.fault = str(error)
        return self._people

    def _stamped(self) -> tuple[int, int]:
        try:
            stat = self._path.stat()
        except FileNotFoundError:
            return (0, 0)
        return stat.st_mtime_ns, stat.st_size
