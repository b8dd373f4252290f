"""What one file, or the files of a folder, say now: the newest content that loads is in force."""

from collections.abc import Callable
from pathlib import Path
from typing import Generic, TypeVar

from midwatch.adapters.catalog.yaml_source import Faults

T = TypeVar("T")

Stamp = tuple[tuple[str, int, int], ...]
"""Names, times of change in ns and sizes in bytes."""


def stamp(path: Path, pattern: str = "*") -> Stamp:
    """What changes with the file, or with the folder's files of ``pattern``; empty for what cannot be read."""
    try:
        paths = sorted(path.glob(pattern)) if path.is_dir() else [path]
        stats = [(each.name, each.stat()) for each in paths]
    except OSError:
        return ()
    return tuple((name, stat.st_mtime_ns, stat.st_size) for name, stat in stats)


class Newest(Generic[T]):
    """Content read again when it changes on disk. A bad edit leaves the old one in force and sets ``fault``."""

    def __init__(self, path: Path, load: Callable[[Path], T]) -> None:
        """Load at once. Raises :class:`Faults` when the first content is bad."""
        self._path, self._load = path, load
        self._stamp = stamp(path)
        self._content = load(path)
        self.fault = ""

    def current(self) -> T:
        """The newest good content; the same object until it changes."""
        if (now := stamp(self._path)) != self._stamp:
            self._stamp = now
            try:
                self._content, self.fault = self._load(self._path), ""
            except Faults as error:
                self.fault = str(error)
        return self._content
