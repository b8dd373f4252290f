"""Looking at the cluster for a person: read-only, masked, and short enough for a phone."""

from collections.abc import Mapping
from typing import Final, Protocol

import msgspec

from midwatch.domain.errors import MidwatchError, NotFound, Refused, Transient
from midwatch.domain.intents import Intent, Kind
from midwatch.domain.masking import mask

MOST_ROWS: Final = 25
MOST_CHARS: Final = 2600
"""Characters of a block in an answer: what a phone shows in a few screens, and every channel takes in one message."""
UNCLEAR: Final = "unclear"
_LINES: Final = 30


class PodLine(msgspec.Struct, frozen=True, kw_only=True):
    """One pod in short. ``bad``: it is not what it should be."""

    namespace: str
    name: str
    state: str
    ready: bool
    restarts: int
    age: str
    bad: bool


class Said(msgspec.Struct, frozen=True):
    """An answer. ``unclear``: it asks for a namespace, which the next message may give."""

    text: str
    unclear: bool = False


class Sight(Protocol):
    """The watched cluster, read-only. Every method raises ``NotFound`` for what does not exist, ``Transient`` while the
    API server is away, ``Permanent`` for what may not be read.
    """

    async def pods(self, namespace: str) -> tuple[PodLine, ...]:
        """Pods of a namespace, of all with an empty one."""
        ...

    async def table(self, kind: str, namespace: str) -> str:
        """One line an object."""
        ...

    async def describe(self, kind: str, name: str, namespace: str) -> str: ...

    async def events(self, namespace: str, name: str) -> str: ...

    async def logs(self, namespace: str, pod: str, *, previous: bool, tail: int) -> str: ...

    async def top(self, what: str, namespace: str) -> str: ...

    async def places(self, name: str, kinds: tuple[str, ...], namespace: str) -> tuple[tuple[str, str], ...]:
        """``(kind, namespace)`` of the objects with this name among some kinds."""
        ...


class Sights:
    """The sight of each watched cluster."""

    def __init__(self, by_cluster: Mapping[str, Sight]) -> None:
        self._by_cluster = dict(by_cluster)

    def of(self, cluster: str) -> Sight:
        """That of this cluster and of no other. Raises ``NotFound`` for one that is not watched."""
        mine = self._by_cluster.get(cluster)
        if mine is None:
            raise NotFound(f"The cluster {cluster} is not watched by me: I cannot look there.")
        return mine


LOOKS: Final = (Kind.LIST, Kind.LOGS, Kind.EVENTS, Kind.TOP, Kind.DESCRIBE)


class Looking:
    """Answers to the questions that need nothing but a look."""

    def __init__(self, sights: Sights) -> None:
        self._sights = sights

    async def answer(self, intent: Intent, cluster: str) -> "Said":
        """Text for a person, of one cluster; what could not be read is said, not raised. ``Transient`` becomes a
        sentence too: a person would rather know now than be answered in a while.
        """
        try:
            return Said(mask(await self._answer(intent, self._sights.of(cluster))))
        except Transient as error:
            return Said(f"The cluster does not answer now: {mask(error.message)[:300]}")
        except Refused as error:
            return Said(mask(error.message)[:600], unclear=error.reason == UNCLEAR)
        except MidwatchError as error:
            return Said(mask(error.message)[:600])

    async def _answer(self, intent: Intent, sight: Sight) -> str:
        match intent.kind:
            case Kind.LIST if intent.object_kind == "Pod":
                return _pods(await sight.pods(intent.namespace), intent)
            case Kind.LIST:
                return await self._table(intent, sight)
            case Kind.LOGS:
                return await self._logs(intent, sight)
            case Kind.EVENTS:
                said = await sight.events(intent.namespace, intent.name)
                about = f" of {intent.name}" if intent.name else ""
                return f"Events{about}{_where(intent.namespace)}, newest last:\n{block(said, keep_end=True)}"
            case Kind.TOP:
                said = await sight.top(intent.word, intent.namespace)
                return f"Use of {intent.word}{_where(intent.namespace)}:\n{block(said)}"
            case _:
                return await self._describe(intent, sight)

    async def _table(self, intent: Intent, sight: Sight) -> str:
        said = await sight.table(intent.object_kind, intent.namespace)
        return f"{intent.object_kind}s{_where(intent.namespace)}:\n{block(said)}"

    async def _describe(self, intent: Intent, sight: Sight) -> str:
        kinds = (intent.object_kind,) if intent.object_kind else ("Deployment", "StatefulSet", "DaemonSet", "Pod")
        kind, namespace = await self._one(intent, kinds, sight)
        said = await sight.describe(kind, intent.name, namespace)
        return f"{kind} {intent.name}{_where(namespace)}:\n{block(said)}"

    async def _logs(self, intent: Intent, sight: Sight) -> str:
        if not intent.name:
            return "Logs of what? Say: logs of POD in NAMESPACE."
        pod = _chosen(await sight.pods(intent.namespace), intent)
        tail = min(max(intent.number or _LINES, 1), 200)
        said = await sight.logs(pod.namespace, pod.name, previous=intent.previous, tail=tail)
        run = " before its last restart" if intent.previous else ""
        return f"Last {tail} lines of {pod.namespace}/{pod.name}{run}:\n{block(said, keep_end=True)}"

    async def _one(self, intent: Intent, kinds: tuple[str, ...], sight: Sight) -> tuple[str, str]:
        if not intent.name:
            raise NotFound("Of what? Name it: describe deployment NAME in NAMESPACE.")
        return the_place(await sight.places(intent.name, kinds, intent.namespace), intent)


def the_place(found: tuple[tuple[str, str], ...], intent: Intent) -> tuple[str, str]:
    """The one kind and namespace that a name stands for. ``NotFound`` when there is none, ``Refused`` with ``UNCLEAR``
    when there are several.
    """
    if not found:
        raise NotFound(f"I see no {intent.object_kind or 'workload'} {intent.name}{_where(intent.namespace)}.")
    if len(found) > 1:
        choices = ", ".join(f"{kind} {namespace}/{intent.name}" for kind, namespace in found[:6])
        raise Refused(UNCLEAR, f"There is more than one {intent.name}: {choices}. Say in which namespace.")
    return found[0]


def _chosen(pods: tuple[PodLine, ...], intent: Intent) -> PodLine:
    """The pod of that name, else of the workload of that name: the one in trouble first."""
    named = [pod for pod in pods if pod.name == intent.name] or [
        pod for pod in pods if pod.name.startswith(f"{intent.name}-")
    ]
    if not named:
        raise NotFound(f"I see no pod {intent.name}{_where(intent.namespace)}.")
    places = sorted({pod.namespace for pod in named})
    if len(places) > 1:
        raise Refused(UNCLEAR, f"{intent.name} runs in {', '.join(places[:8])}: say in which namespace.")
    return max(named, key=lambda pod: (pod.bad, pod.restarts, pod.name))


def _pods(pods: tuple[PodLine, ...], intent: Intent) -> str:
    where = _where(intent.namespace) or " in the cluster"
    bad = [pod for pod in pods if pod.bad]
    if intent.word == "bad" and not bad:
        return f"No pod{where} is in trouble ({len(pods)} looked at)."
    shown = sorted(bad if intent.word == "bad" else pods, key=lambda pod: (not pod.bad, pod.namespace, pod.name))
    if not shown:
        return f"There are no pods{where}."
    rows = [
        f"{'' if intent.namespace else pod.namespace + '/'}{pod.name}  {pod.state}"
        f"{'' if pod.ready else ' not ready'}{f' restarts={pod.restarts}' if pod.restarts else ''}  {pod.age}"
        for pod in shown[:MOST_ROWS]
    ]
    more = f"\nand {len(shown) - MOST_ROWS} more" if len(shown) > MOST_ROWS else ""
    head = f"{len(bad)} of {len(pods)} pods{where} in trouble" if bad else f"{len(pods)} pods{where}, all well"
    return f"{head}:\n{block(chr(10).join(rows) + more)}"


def _where(namespace: str) -> str:
    return f" in {namespace}" if namespace else ""


def block(text: str, *, keep_end: bool = False) -> str:
    """Text as a code block of bounded size; a fence inside cannot end it early."""
    plain = text.replace("```", "'''").strip("\n")
    lines = plain.split("\n")
    if len(lines) > 2 * _LINES and not keep_end:
        lines = [*lines[: 2 * _LINES], f"… {len(lines) - 2 * _LINES} lines more"]
    plain = "\n".join(lines)
    if len(plain) > MOST_CHARS:
        plain = f"…{plain[-MOST_CHARS:]}" if keep_end else f"{plain[:MOST_CHARS]}…"
    return f"```\n{plain}\n```"
