"""The file of models, read strictly, and again when it changes."""

from pathlib import Path

from midwatch.adapters.catalog.newest import Newest
from midwatch.adapters.catalog.yaml_source import Faults, Source
from midwatch.domain.providers import Registry, faults


def load_models(path: Path) -> Registry:
    """The registry. Raises :class:`Faults` with file and line for what is unknown or contradicts itself."""
    source = Source(path)
    registry = source.convert(Registry)
    if said := [f"{source.at(where)}: {sentence}" for where, sentence in faults(registry)]:
        raise Faults(tuple(said))
    return registry


class FileModels(Newest[Registry]):
    """The registry in force. See :class:`Newest`."""

    def __init__(self, path: Path) -> None:
        super().__init__(path, load_models)
