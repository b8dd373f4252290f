"""Linking an account of a channel to a user by a code, which nobody has enough guesses to find."""

import logging
from typing import Final

from midwatch.services.limiting import Limiter
from midwatch.services.runtime import Clock
from midwatch.services.users import Users

log = logging.getLogger(__name__)

OWN_PER_MINUTE: Final = 5
ALL_PER_MINUTE: Final = 60
"""Over all accounts. A code has 40 bits and lasts ten minutes: 600 guesses at it are one in two thousand millions."""
_WRONG: Final = "That code is wrong, used or too old. Codes last ten minutes and work once."
_ENOUGH: Final = "Too many codes were tried. Wait a minute, then try again."


class Linking:
    """Redeems codes, and no faster than a person types them."""

    def __init__(self, users: Users, limiter: Limiter, clock: Clock) -> None:
        self._users, self._limiter, self._clock = users, limiter, clock

    async def redeem(self, code: str, identity: str) -> str:
        """What became of it, in words for the person who sent it."""
        now = self._clock.now()
        # One's own share first: whoever has used it up takes nothing of what is left for the others.
        mine = await self._limiter.allow(f"link:{identity}", OWN_PER_MINUTE, now)
        if not mine or not await self._limiter.allow("link", ALL_PER_MINUTE, now):
            log.warning("link codes refused", extra={"identity": identity, "reason": "too-many-guesses"})
            return _ENOUGH
        person = await self._users.redeem(code, identity)
        if person is None:
            log.warning("link code refused", extra={"identity": identity, "reason": "wrong-code"})
            return _WRONG
        return f"You are {person.user} here now, with the role {person.role}."
