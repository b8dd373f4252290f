"""The seam between channels and those who answer: what comes in from a chat, what goes out, and who is speaking.

A channel turns its own wire format into an :class:`IncomingMessage` or an :class:`IncomingClick` and shows what comes
back; it knows nothing of what is answered. Whoever answers implements :class:`Incoming` and knows no channel.
"""

from collections.abc import Awaitable, Callable
from datetime import datetime
from typing import Final, Protocol, TypeAlias

import msgspec

from midwatch.domain.approvals import Choice
from midwatch.domain.cards import Card
from midwatch.domain.ids import ApprovalId, IncidentId
from midwatch.domain.users import Role
from midwatch.services.users import People

APPROVER: Final = Role.APPROVER.value
"""The role without which no answer to an approval counts."""

LONGEST_TEXT: Final = 8_000
"""Characters of an incoming message that are kept; the rest is cut at the door."""


class Place(msgspec.Struct, frozen=True, omit_defaults=True):
    """Where in a channel something is said. All three are the channel's own ids; ``thread`` is empty at top level."""

    channel: str
    conversation: str
    thread: str = ""


class IncomingMessage(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """What a person wrote, whatever the channel. ``id`` is the same for every redelivery of it.

    ``incident`` is set where the message stands in an incident's thread or answers its card. ``direct``: said to
    Midwatch alone, not in a group. Not ``addressed``: it concerns us only within an incident's thread. ``metadata``
    holds what a channel knows beyond this, for logs.
    """

    id: str
    user_id: str
    channel_type: str
    text: str
    at: datetime
    user_name: str = ""
    conversation: str = ""
    thread: str = ""
    incident: IncidentId | None = None
    direct: bool = False
    addressed: bool = True
    metadata: tuple[tuple[str, str], ...] = ()

    @property
    def place(self) -> Place:
        """Where the answer belongs."""
        return Place(self.channel_type, self.conversation, self.thread)


class IncomingClick(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """A button that a person pressed, or ``approve <id>`` that they wrote. ``id`` is the same for every redelivery.

    ``message`` is the channel's id of the card it was pressed on.
    """

    id: str
    user_id: str
    channel_type: str
    approval: ApprovalId
    choice: Choice
    at: datetime
    digest: str = ""
    comment: str = ""
    user_name: str = ""
    conversation: str = ""
    message: str = ""

    @property
    def place(self) -> Place:
        """Where it was pressed."""
        return Place(self.channel_type, self.conversation, self.message)


class OutgoingReply(msgspec.Struct, frozen=True, omit_defaults=True):
    """An answer in plain text; ``` fences are shown as code, everything else is shown as it stands.

    ``private``: to be seen by the one who asked, where the channel can do that.
    """

    text: str
    private: bool = False


class ClickReply(msgspec.Struct, frozen=True, omit_defaults=True):
    """What became of a click: a :class:`~midwatch.domain.approvals.DecisionKind`, ``unknown-user`` or ``pending``."""

    outcome: str
    sentence: str


class User(msgspec.Struct, frozen=True, omit_defaults=True):
    """Who is speaking. ``id`` is the one name they are counted under, over all channels; ``roles`` are all they hold:
    an approver's are viewer, operator and approver.
    """

    id: str
    roles: tuple[str, ...] = ()

    def may(self, role: str) -> bool:
        """Whether they hold the role."""
        return role in self.roles


class Identities(Protocol):
    """Which person stands behind a channel's user."""

    async def resolve(self, channel: str, channel_user: str, name: str) -> User | None:
        """``None`` for somebody unknown, who then may approve nothing. ``name`` is what the channel calls them: it
        proves nothing. Raises ``Transient`` while that cannot be looked up.
        """
        ...


Stream: TypeAlias = Callable[[str], Awaitable[None]]
"""Shows the answer as far as it is there: the whole text each time. Edits are coalesced by the channel."""


class Incoming(Protocol):
    """Answers what comes in from any channel."""

    async def message(self, message: IncomingMessage, stream: Stream) -> OutgoingReply | None:
        """The answer, ``None`` for none. Called again for the same ``id`` after a crash: must bear that.

        Raises ``Transient`` to be asked again.
        """
        ...

    async def click(self, click: IncomingClick) -> ClickReply:
        """Store an answer to an approval and tell what became of it, if that is known in time.

        Raises ``Transient`` when it could not be stored: the channel then has the person press again.
        """
        ...


class Channel(Protocol):
    """One place where people read and write. ``name`` keys its rows in the outbox.

    Every method raises ``Transient`` to be asked again (``retry_in`` respected) and ``Permanent`` when the channel
    refuses.
    """

    name: str

    async def show(self, card: Card, ref: str) -> str:
        """Post the card, or edit the message ``ref`` in place; returns the message's id."""
        ...

    async def say(self, place: Place, text: str, ref: str = "") -> str:
        """Post a text (into ``place.thread`` where set), or edit the text ``ref`` in place; returns its id."""
        ...

    async def whisper(self, place: Place, channel_user: str, text: str) -> None:
        """Tell one person, unseen by the others where the channel can do that."""
        ...


class KnownPeople:
    """Identities by the accounts of users: whoever is linked to none is unknown, whatever they call themselves."""

    def __init__(self, people: People) -> None:
        self._people = people

    async def resolve(self, channel: str, channel_user: str, name: str) -> User | None:
        del name  # proves nothing
        person = await self._people.find(f"{channel}:{channel_user}")
        if person is None:
            return None
        return User(person.user, tuple(role.value for role in Role if person.may(role)))
