"""Strict YAML: typed on reading, with file and line for every fault.

Unknown keys, wrong types, duplicate keys and values outside their range are refused. The types are ``msgspec`` structs
with ``forbid_unknown_fields=True``.
"""

import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any, TypeVar

import msgspec
import yaml

from midwatch.domain.errors import Invalid

T = TypeVar("T")
_MAX_BYTES = 1_000_000
# libyaml's parser where the wheel has it: ten times as fast, and every actor reads some catalogue at its start.
_Loader: Any = getattr(yaml, "CSafeLoader", yaml.SafeLoader)
_MAX_NODES = 200_000
"""With every alias written out: a few lines of aliases can stand for more than any memory holds."""
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
            self._left = _MAX_NODES
            if wrong := tuple(self._wrong(self._node, frozenset())):
                raise Faults(wrong)
            self.data: object = None if self._node is None else loader.construct_document(self._node)
        except RecursionError as error:
            raise Faults((f"{path}: nested too deeply",)) from error
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

    def _wrong(self, node: yaml.Node | None, above: frozenset[int]) -> Iterator[str]:
        """What YAML allows and we do not: keys that stand twice (it takes the last in silence), and cycles of aliases.

        ``above`` are the ids of the nodes that this one stands in.
        """
        if node is None or isinstance(node, yaml.ScalarNode):
            return
        self._left -= 1
        if id(node) in above:
            yield f"{self._line(node)}: this part contains itself (an alias to what it stands in)"
        elif self._left < 0:
            yield f"{self.path}: its aliases stand for more than {_MAX_NODES} parts"
        elif isinstance(node, yaml.MappingNode):
            yield from self._wrong_keys(node)
            for _, value in node.value:
                yield from self._wrong(value, above | {id(node)})
        else:
            for item in node.value:
                yield from self._wrong(item, above | {id(node)})

    def _wrong_keys(self, node: yaml.MappingNode) -> Iterator[str]:
        seen: set[str] = set()
        for key, _ in node.value:
            if not isinstance(key, yaml.ScalarNode):
                yield f"{self._line(key)}: a key is one plain word"
            elif key.value in seen:
                yield f"{self._line(key)}: key {key.value!r} stands twice"
            else:
                seen.add(key.value)

    def _line(self, node: yaml.Node) -> str:
        return f"{self.path}:{node.start_mark.line + 1}"


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
