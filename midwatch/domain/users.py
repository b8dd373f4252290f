"""Users: who a person is over all channels, and what their role lets them do. Pure."""

import re
from datetime import datetime
from enum import StrEnum
from typing import Final, NewType

import msgspec

UserId = NewType("UserId", str)

HOUSE: Final = "console:operator"
"""The one user that the house's own token stands for. Whoever holds it is the same person to a quorum."""

NAME: Final = re.compile(r"[a-z0-9][a-z0-9._-]{0,62}")
"""What a user may be called: it stands in policy files and on command lines."""


class Role(StrEnum):
    """What a user may do, in rising order; each role has the rights of those before it.

    A viewer looks; an operator also silences, freezes and asks for changes; an approver decides what is asked; an admin
    also manages users.
    """

    VIEWER = "viewer"
    OPERATOR = "operator"
    APPROVER = "approver"
    ADMIN = "admin"

    def may(self, needed: "Role") -> bool:
        """Whether this role has the rights of ``needed``."""
        order = tuple(Role)
        return order.index(self) >= order.index(needed)


class User(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """One person. ``name`` stays theirs for ever, also after ``removed_at``: the journal names people by it.

    ``model`` is the model they prefer in chats, empty for the house's choice.
    """

    id: UserId
    name: str
    role: Role
    created_at: datetime
    title: str = ""
    model: str = ""
    removed_at: datetime | None = None

    @property
    def handle(self) -> str:
        """``user:alice``, as in policy files, votes and the journal."""
        return f"user:{self.name}"


class Token(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """A personal API token, without its secret: that was shown once."""

    id: str
    user: UserId
    created_at: datetime
    label: str = ""
    revoked_at: datetime | None = None


class By(msgspec.Struct, frozen=True):
    """Who changes something about a user, when, and why: for the audit trail."""

    who: str
    at: datetime
    why: str = ""


class UserChange(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """What the audit trail keeps of one change: the user as they are after it, and what it was about. No secrets.

    ``was`` is the role before, or the id of the user that an identity belonged to before.
    """

    what: str
    user: User
    token: str = ""
    label: str = ""
    identity: str = ""
    was: str = ""


def changed(before: User, after: User) -> UserChange:
    """What became of a user."""
    if after.removed_at is not None:
        return UserChange(what="user-removed", user=after, was=before.role)
    if after.role is not before.role:
        return UserChange(what="role-changed", user=after, was=before.role)
    return UserChange(what="user-changed", user=after)


class Account(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """A user with their identities in channels (``slack:U0123``) and their tokens."""

    user: User
    identities: tuple[str, ...] = ()
    tokens: tuple[Token, ...] = ()


class Person(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """Who is speaking, however they came. ``user`` is the one name they are counted under.

    ``names`` are all names that a policy may know them by; ``user`` is among them.
    """

    user: str
    role: Role
    names: tuple[str, ...]
    model: str = ""

    def may(self, needed: Role) -> bool:
        """Whether their role has the rights of ``needed``."""
        return self.role.may(needed)


OPERATOR: Final = Person(user=HOUSE, role=Role.ADMIN, names=(HOUSE,))
"""Whoever holds the house's own token."""


def person_of(account: Account) -> Person | None:
    """The person behind an account; ``None`` once the user was removed."""
    user = account.user
    if user.removed_at is not None:
        return None
    return Person(
        user=user.handle, role=user.role, names=tuple(sorted({user.handle, *account.identities})), model=user.model
    )
