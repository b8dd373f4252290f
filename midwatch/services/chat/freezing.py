"""Freezes by words: a person stops every change, in one namespace or all, and lets them go on."""

from midwatch.domain.errors import Invalid
from midwatch.domain.intents import Intent, Kind
from midwatch.domain.users import Person, Role
from midwatch.services.chat.watch import lacks
from midwatch.services.runtime import Clock
from midwatch.services.stopping import Stopping


class Freezing:
    """``freeze``, ``freeze shop for 2h because …``, ``unfreeze``, ``unfreeze shop``."""

    def __init__(self, stopping: Stopping, clock: Clock) -> None:
        self._stopping, self._clock = stopping, clock

    async def answer(self, intent: Intent, person: Person) -> str:
        """What holds from now on. Stopping needs the role operator, letting things go on the role approver."""
        if refusal := lacks(person, Role.APPROVER if intent.kind is Kind.UNFREEZE else Role.OPERATOR):
            return refusal
        namespaces = (intent.namespace,) if intent.namespace else ()
        if intent.kind is Kind.UNFREEZE:
            ended = await self._stopping.unfreeze(by=person.user, namespaces=namespaces)
            return f"{len(ended)} freeze{'s' if len(ended) != 1 else ''} ended." if ended else "Nothing was frozen."
        ends_at = self._clock.now() + intent.lasts if intent.lasts else None
        try:
            pause = await self._stopping.freeze(
                by=person.user, namespaces=namespaces or ("*",), ends_at=ends_at, reason=intent.rest
            )
        except Invalid as error:
            return f"{error.message}."
        return f"{pause.sentence} `unfreeze` lets them go on."
