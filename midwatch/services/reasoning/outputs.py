"""What tools answered: kept at full length in the journal, shown in part, read back by line range."""

from collections.abc import Iterator

import msgspec

from midwatch.services.reasoning.fencing import Fence, lines_of, numbered

READ_OUTPUT = "read_output"
_MOST_LINES = 400


class Output(msgspec.Struct, frozen=True, kw_only=True):
    """One answer. ``of`` is the call that this one repeats or reads from; ``summary`` is a small model's."""

    call_id: str
    tool: str
    input: str
    text: str
    ok: bool = True
    of: str = ""
    summary: str = ""


def kept(text: str, limit: int) -> str:
    """``text`` cut to ``limit`` characters from its end and beginning, which is what the journal holds."""
    if len(text) <= limit:
        return text
    half = limit // 2
    return f"{text[:half]}\n… {len(text) - 2 * half} characters left out …\n{text[-half:]}"


def shown(output: Output, fence: Fence, limit: int) -> str:
    """An answer as a model reads it: whole where it is short, else its beginning, its end, and how to read the rest."""
    head = f"[{output.call_id}]" + ("" if output.ok else " failed:")
    if output.tool == READ_OUTPUT:
        return f"{head}\n{fence(f'lines of {output.of}', output.text)}"
    lines = lines_of(output.text)
    source = f"{output.call_id} {output.tool}({output.input})"
    if len(output.text) <= limit and len(whole := numbered(lines)) <= limit:
        return f"{head}\n{fence(source, whole)}"
    first, last = _ends(lines, limit)
    between = f"… lines {first + 1} to {last - 1} of {len(lines)} are not shown …"
    text = f"{numbered(lines[:first])}\n{between}\n{numbered(lines[last - 1 :], last)}"
    summary = f"\n{fence('a small model on the whole answer', output.summary)}" if output.summary else ""
    more = f'{READ_OUTPUT}(call_id="{output.call_id}", from_line=…, to_line=…) shows other lines.'
    return f"{head} {len(lines)} lines; {more}\n{fence(source, text)}{summary}"


def excerpt(output: Output, first: int, last: int, limit: int) -> str:
    """Lines ``first`` to ``last`` (from 1, both included) with their numbers, as many as ``limit`` characters hold."""
    lines = lines_of(output.text)
    first = max(1, first)
    last = min(last, len(lines), first + _MOST_LINES - 1)
    if first > len(lines) or last < first:
        return f"there are no such lines; the answer of {output.call_id} has lines 1 to {len(lines)}"
    text = numbered(lines[first - 1 : last], first)
    return text if len(text) <= limit else f"{text[:limit]}\n… cut: ask for fewer lines"


def found_at(output: Output, quote: str, line: int | None) -> int | None:
    """The line (from 1) in which ``quote`` stands, the one that was named before any other; ``None``: nowhere.

    A quote over several lines, or over the seam of a line that was cut, counts for the line it begins in.
    """
    wanted = _plain(quote)
    if not wanted:
        return None
    lines = [_plain(text) for text in lines_of(output.text)]
    for number in _around(line, len(lines)):
        if wanted in lines[number - 1]:
            return number
    joined, starts = "", []
    for text in lines:
        starts.append(len(joined))
        joined += text
    at = joined.find(wanted)
    return None if at < 0 else sum(start <= at for start in starts)


def _around(line: int | None, count: int) -> Iterator[int]:
    if line is not None and 1 <= line <= count:
        yield line
    yield from range(1, count + 1)


def _plain(text: str) -> str:
    """Without spaces: what a model quotes differs from what it saw in them first."""
    return "".join(text.split())


def _ends(lines: tuple[str, ...], limit: int) -> tuple[int, int]:
    """How many lines fit at the beginning, and which line the end starts with: a third of the space, and the rest."""
    space, first = limit // 3, 0
    while first < len(lines) and space > len(lines[first]) + 8:
        space -= len(lines[first]) + 8
        first += 1
    space, last = limit - limit // 3, len(lines) + 1
    while last - 1 > first + 1 and space > len(lines[last - 2]) + 8:
        space -= len(lines[last - 2]) + 8
        last -= 1
    return first, last
