"""A cluster to be looked at by the chat."""

from midwatch.domain.errors import NotFound, Transient
from midwatch.services.chat.sight import PodLine


def pod(namespace: str, name: str, state: str = "Running", *, restarts: int = 0) -> PodLine:
    bad = state not in ("Running", "Succeeded")
    return PodLine(namespace=namespace, name=name, state=state, ready=not bad, restarts=restarts, age="5m", bad=bad)


class FakeSight:
    """See :class:`midwatch.services.chat.sight.Sight`."""

    def __init__(self) -> None:
        self.all = [
            pod("production", "web-6d5f-x2x9k", "CrashLoopBackOff", restarts=7),
            pod("production", "web-6d5f-abcde"),
            pod("production", "db-0"),
            pod("shop", "cart-1"),
        ]
        self.workloads = {
            ("Deployment", "production", "web"),
            ("Deployment", "shop", "cart"),
            ("Deployment", "b", "cart"),
        }
        self.log = "starting\npassword=hunter2hunter2\nFATAL no database"
        self.away = False
        self.asked: list[tuple[object, ...]] = []

    async def pods(self, namespace: str) -> tuple[PodLine, ...]:
        self._note("pods", namespace)
        return tuple(line for line in self.all if namespace in ("", line.namespace))

    async def table(self, kind: str, namespace: str) -> str:
        self._note("table", kind, namespace)
        return f"{namespace}/one  1/1 ready  3h"

    async def describe(self, kind: str, name: str, namespace: str) -> str:
        self._note("describe", kind, name, namespace)
        return f"{kind} {namespace}/{name}\nreplicas: 2"

    async def events(self, namespace: str, name: str) -> str:
        self._note("events", namespace, name)
        return "12:00 Warning BackOff x7"

    async def logs(self, namespace: str, pod: str, *, previous: bool, tail: int) -> str:
        self._note("logs", namespace, pod, previous, tail)
        return self.log

    async def top(self, what: str, namespace: str) -> str:
        self._note("top", what, namespace)
        raise NotFound("this cluster has no metrics API")

    async def places(self, name: str, kinds: tuple[str, ...], namespace: str) -> tuple[tuple[str, str], ...]:
        self._note("places", name, kinds, namespace)
        return tuple(
            (kind, where)
            for kind, where, known in sorted(self.workloads)
            if known == name and kind in kinds and namespace in ("", where)
        )

    def _note(self, *what: object) -> None:
        self.asked.append(what)
        if self.away:
            raise Transient("the API server is away: token=abcdefgh12345678")
