"""Runbooks from a folder of Markdown files, each with a front matter that says what it is for."""

import logging
import re
from pathlib import Path

import msgspec

from midwatch.adapters.catalog.newest import Stamp, stamp
from midwatch.adapters.catalog.yaml_source import Faults, Source
from midwatch.domain.conditions import CATALOGUE
from midwatch.domain.runbooks import LABELS, RunbookPage, unfit

log = logging.getLogger(__name__)

_FRONT = re.compile(r"---[ \t]*\n(?P<yaml>.*?)\n---[ \t]*(?:\n|\Z)", re.DOTALL)
_MOST = 500
_LONGEST_PATTERN = 200


class _Front(msgspec.Struct, forbid_unknown_fields=True, frozen=True, kw_only=True):
    title: str
    conditions: tuple[str, ...] = ()
    labels: dict[str, str] = {}
    patterns: tuple[str, ...] = ()


def load_runbooks(folder: Path) -> tuple[RunbookPage, ...]:
    """Every ``*.md`` of the folder. Raises :class:`Faults` with all that is wrong, as ``file:line: message``."""
    if not folder.is_dir():
        raise Faults((f"{folder}: no such folder",))
    pages: list[RunbookPage] = []
    faults: list[str] = []
    for path in sorted(folder.glob("*.md"))[:_MOST]:
        try:
            pages.append(_page(path))
        except Faults as error:
            faults += error.faults
    if faults:
        raise Faults(tuple(faults))
    return tuple(pages)


def _page(path: Path) -> RunbookPage:
    try:
        data = path.read_bytes()
    except OSError as error:
        raise Faults((f"{path}: cannot be read: {error}",)) from error
    if why := unfit(data):
        raise Faults((f"{path}: {why}",))
    text = data.decode("utf-8").replace("\r\n", "\n")
    found = _FRONT.match(text)
    if found is None:
        raise Faults((f"{path}:1: begins with a front matter between two lines of ---",))
    # An empty line stands for the opening dashes, so that lines count as in the file.
    source = Source(path, "\n" + found["yaml"])
    front = source.convert(_Front)
    body = text[found.end() :].strip()
    faults = [] if body else [f"{path}: says nothing behind its front matter"]
    if not (front.conditions or front.labels or front.patterns):
        faults.append(f"{source.at()}: needs conditions, labels or patterns, else it is never found")
    for index, name in enumerate(front.conditions):
        if name not in CATALOGUE:
            faults.append(f"{source.at(f'$.conditions[{index}]')}: unknown condition {name!r}")
    known = ", ".join(sorted(LABELS))
    strange = sorted(front.labels.keys() - LABELS)
    faults += [f"{source.at(f'$.labels.{name}')}: unknown label; there are {known}" for name in strange]
    for index, pattern in enumerate(front.patterns):
        where = source.at(f"$.patterns[{index}]")
        try:
            re.compile(pattern)
        except re.error as error:
            faults.append(f"{where}: not a pattern: {error}")
        if len(pattern) > _LONGEST_PATTERN:
            faults.append(f"{where}: longer than {_LONGEST_PATTERN} characters")
    if faults:
        raise Faults(tuple(faults))
    return RunbookPage(
        id=path.stem,
        title=front.title,
        text=body,
        source=path.name,
        conditions=front.conditions,
        labels=front.labels,
        patterns=front.patterns,
    )


class FolderRunbooks:
    """The folder as it stands now: read again when a file changes; faulty files leave what was read before."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self._stamp: Stamp | None = None
        self._pages: tuple[RunbookPage, ...] = ()

    def pages(self) -> tuple[RunbookPage, ...]:
        """All runbooks; none where the folder cannot be read."""
        if (now := stamp(self._folder, "*.md")) != self._stamp:
            self._stamp = now
            try:
                self._pages = load_runbooks(self._folder)
            except Faults as error:
                log.error("the runbooks are not in force: %s", error)
        return self._pages
