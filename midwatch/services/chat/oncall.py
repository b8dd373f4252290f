"""Who is on call, in words."""

from typing import Protocol

from midwatch.domain.intents import Intent
from midwatch.domain.rota import People, watch
from midwatch.domain.users import Person
from midwatch.services.runtime import Clock


class PeopleSource(Protocol):
    """Rotas, teams and routes in force."""

    def current(self) -> People: ...


class OnCall:
    """``who is on call?``"""

    def __init__(self, people: PeopleSource, clock: Clock) -> None:
        self._people, self._clock = people, clock

    async def answer(self, intent: Intent, person: Person) -> str:
        """Each rota and who has its watch now."""
        del intent, person
        lines = [
            f"{rota}: {who or 'nobody yet'}{f', until {until:%a %Y-%m-%d %H:%M} UTC' if until else ''}"
            for rota, who, until in watch(self._people.current(), self._clock.now())
        ]
        return "\n".join(lines) or "No on-call rota is written down (cluster_config/people.yaml)."
