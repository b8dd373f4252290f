"""Whether the edge calls a house well that is."""

from midwatch.domain.errors import Transient
from serve.probes import Part, Probe

WELL: dict[str, object] = {"ok": True, "error": None}


class Actors:
    """Actors that take so long to answer; ``None``: they never do."""

    def __init__(self, takes_s: float | None) -> None:
        self.takes_s = takes_s
        self.asked = 0

    async def ask(self, _name: str, patience_s: float) -> dict[str, object] | None:
        self.asked += 1
        return WELL if self.takes_s is not None and self.takes_s <= patience_s else None


class Store:
    def __init__(self, *, away: bool = False) -> None:
        self._away = away
        self.looks = 0

    async def health(self) -> None:
        self.looks += 1
        if self._away:
            raise Transient("no database")


async def test_the_first_call_to_an_actor_may_take_longer() -> None:
    actors = Actors(takes_s=6)
    (seen,) = await Probe((), ("watcher",), actors.ask).health()
    assert seen.ok


async def test_who_never_answers_is_away() -> None:
    (seen,) = await Probe((), ("watcher",), Actors(takes_s=None).ask).health()
    assert (seen.ok, seen.detail) == (False, "does not answer")


async def test_many_who_look_at_once_ask_once() -> None:
    actors = Actors(takes_s=0)
    probe = Probe((), ("watcher",), actors.ask)
    assert await probe.health() == await probe.health()
    assert actors.asked == 1


async def test_what_is_needed_is_known_without_any_actor() -> None:
    actors = Actors(takes_s=None)
    parts = (Part("store", Store(), required=True), Part("redis", Store(away=True)))
    (seen,) = await Probe(parts, ("watcher",), actors.ask).needed()
    assert (seen.name, seen.ok, actors.asked) == ("store", True, 0)


async def test_a_part_that_fails_is_named_with_its_error() -> None:
    (seen,) = await Probe((Part("store", Store(away=True), required=True),), (), Actors(takes_s=0).ask).health()
    assert (seen.name, seen.ok, seen.required) == ("store", False, True)
    assert "no database" in seen.detail


async def test_many_who_ask_what_is_needed_look_once() -> None:
    store = Store()
    probe = Probe((Part("store", store, required=True),), (), Actors(takes_s=0).ask)
    assert await probe.needed() == await probe.needed()
    assert store.looks == 1
