"""The file of people, read strictly, and again when it changes. No file at all: no rota, and everybody hears all."""

from pathlib import Path

from midwatch.adapters.catalog.newest import Newest
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


class FilePeople(Newest[People]):
    """Those in force. See :class:`Newest`."""

    def __init__(self, path: Path) -> None:
        super().__init__(path, load_people)
