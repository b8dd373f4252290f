"""Strict YAML: typed on reading, with file and line for every fault.

Unknown keys, wrong types, duplicate keys and values outside their range are refused. The types are ``msgspec`` structs
with ``forbid_unknown_fields=True``.
"""

import re
from collections.abc import Iterable
from pathlib import Path
from typing import Any, TypeVar

import msgspec
import yaml

from midwatch.domain.errors import Invalid

T = TypeVar("T")
_MAX_BYTES = 1_000_000
# libyaml's parser where the wheel has it: ten times as fast, and every actor reads some catalogue at its start.
_Loader: Any = getattr(yaml, "CSafeLoader", yaml.SafeLoader)
_STEP = re.compile(r"\.([^.\[\]]+)|\[(\d+|\.\.\.)\]")


class Faults(Invalid):
    """Everything that is wrong with a catalogue, one ``file:line: message`` a line."""

    def __init__(self, faults: tuple[str, ...]) -> None:
        super().__init__("\n".join(faults))
        self.faults = faults

    def __reduce__(self) -> tuple[Any, ...]:
        return type(self), (self.faults,)


class Source:
    """One YAML file: its data, and the line where each part of it stands."""

    def __init__(self, path: Path, text: str | None = None) -> None:
        """Read and parse ``path`` (or ``text`` under that name). Raises :class:`Faults` for what is not plain YAML."""
        self.path = path
        try:
            self._text = path.read_text("utf-8") if text is None else text
        except (OSError, UnicodeDecodeError) as error:
            raise Faults((f"{path}: cannot be read: {error}",)) from error
        if len(self._text) > _MAX_BYTES:
            raise Faults((f"{path}: larger than {_MAX_BYTES} bytes",))
        try:
            loader = _Loader(self._text)
            self._node: yaml.Node | None = loader.get_single_node()
            if repeated := tuple(self._repeated(self._node)):
                raise Faults(repeated)
            self.data: object = None if self._node is None else loader.construct_document(self._node)
        except yaml.YAMLError as error:
            mark = getattr(error, "problem_mark", None)
            where = f"{path}:{mark.line + 1}" if mark else str(path)
            raise Faults((f"{where}: {getattr(error, 'problem', None) or error}",)) from error

    def convert(self, kind: type[T]) -> T:
        """The file's data as ``kind``. Raises :class:`Faults` with the line of the first wrong value."""
        try:
            return msgspec.convert(self.data, kind)
        except msgspec.ValidationError as error:
            text = str(error)
            message, _, path = text.partition(" - at `")
            raise Faults((f"{self.at(path.rstrip('`'))}: {message}",)) from error

    def at(self, path: str = "") -> str:
        """``file:line`` of a path such as ``$.rules[2].match`` (the nearest part that exists)."""
        node, line = self._node, 1
        for key, index in _STEP.findall(path):
            if node is None:
                break
            line = node.start_mark.line + 1
            node = _child(node, key, index)
        if node is not None:
            line = node.start_mark.line + 1
        return f"{self.path}:{line}"

    def _repeated(self, node: yaml.Node | None) -> Iterable[str]:
        """Keys that stand twice in one mapping: YAML takes the last in silence, we do not."""
        if isinstance(node, yaml.MappingNode):
            seen: set[str] = set()
            for key, value in node.value:
                if key.value in seen:
                    yield f"{self.path}:{key.start_mark.line + 1}: key {key.value!r} stands twice"
                seen.add(key.value)
                yield from self._repeated(value)
        elif isinstance(node, yaml.SequenceNode):
            for item in node.value:
                yield from self._repeated(item)


def _child(node: yaml.Node, key: str, index: str) -> yaml.Node | None:
    if isinstance(node, yaml.MappingNode) and key:
        return next((value for name, value in node.value if name.value == key), None)
    if isinstance(node, yaml.SequenceNode) and index.isdigit() and int(index) < len(node.value):
        item: yaml.Node = node.value[int(index)]
        return item
    return None


def yaml_files(folder: Path) -> tuple[Path, ...]:
    """The YAML files directly in ``folder``, by name. Raises :class:`Faults` when there is no such folder."""
    if not folder.is_dir():
        raise Faults((f"{folder}: no such folder",))
    return tuple(sorted(path for path in folder.iterdir() if path.suffix in (".yaml", ".yml")))
