"""Users: made by an admin, known by tokens and by identities in channels, linked with a code that works once."""

import hashlib
from datetime import datetime, timedelta
from typing import Final, Protocol

import msgspec

from midwatch.domain.errors import Invalid, NotFound
from midwatch.domain.users import HOUSE, NAME, OPERATOR, Account, By, Person, Role, Token, User, UserId, person_of
from midwatch.services.runtime import Clock, Ids

TOKEN_PREFIX: Final = "mwu_"  # noqa: S105  says what kind of secret follows, so that scanners find a leaked one
CODE_LASTS: Final = timedelta(minutes=10)
_RESERVED = ("operator", "midwatch", "system", "all", "everyone")


class UserBook(Protocol):
    """Users in the store. Secrets come here as digests only.

    Each change leaves a row in the audit trail, in the transaction of the change; one that changes nothing leaves none.
    """

    async def add(self, user: User, by: By) -> None:
        """``Conflict`` when the name is taken, also by a user who was removed."""
        ...

    async def change(self, user: User, by: By) -> None:
        """Write role, title, model and ``removed_at``. With ``removed_at`` identities, tokens and codes go at once."""
        ...

    async def find(self, name: str) -> Account:
        """The account with this name, also a removed one; ``NotFound``."""
        ...

    async def all(self) -> tuple[Account, ...]:
        """Every user who was not removed, by name."""
        ...

    async def owner(self, identity: str) -> Account | None:
        """Whose identity ``channel:id`` is."""
        ...

    async def unlink(self, identity: str, by: By) -> bool:
        """Forget an identity; whether it was known."""
        ...

    async def put_token(self, token: Token, digest: bytes, by: By) -> None: ...

    async def by_token(self, digest: bytes) -> tuple[Token, Account] | None:
        """The owner of a token that was not revoked."""
        ...

    async def by_token_id(self, token_id: str) -> tuple[Token, Account] | None:
        """The owner of a token that was not revoked, by the token's id."""
        ...

    async def revoke(self, token_id: str, by: By) -> bool:
        """End a token; whether it was in force. A unique beginning of its id will not do."""
        ...

    async def put_code(self, user: UserId, digest: bytes, by: By, *, expires_at: datetime) -> None:
        """A code that links one identity. A user's earlier codes end with it."""
        ...

    async def redeem(self, digest: bytes, identity: str, *, now: datetime) -> Account | None:
        """Use up a code: the identity is its user's from now on, and nobody else's. ``None`` for a wrong or old code.

        The identity itself stands in the audit trail as who did it.

        Of racing calls with one code one succeeds.
        """
        ...


class People(Protocol):
    """Who is behind a name."""

    async def find(self, identity: str) -> Person | None:
        """By ``channel:id``, ``user:name`` or the house's own; ``None`` for whoever is not known."""
        ...


class Secrets(Protocol):
    """What nobody can guess."""

    def token(self) -> str:
        """256 bits, as text that fits in a header."""
        ...

    def code(self) -> str:
        """40 bits, as text that a person can type."""
        ...


class Users:
    """The use cases. Also :class:`People`.

    ``by`` is who wants it (``user:alice``, or the house's own user), ``why`` their words for it; both are audited.
    """

    def __init__(self, book: UserBook, clock: Clock, ids: Ids, secrets: Secrets) -> None:
        self._book, self._clock, self._ids, self._secrets = book, clock, ids, secrets

    async def find(self, identity: str) -> Person | None:
        if identity == HOUSE:
            return OPERATOR
        channel, _, name = identity.partition(":")
        if channel != "user":
            account = await self._book.owner(identity)
            return person_of(account) if account else None
        try:
            return person_of(await self._book.find(name))
        except NotFound:
            return None

    async def all(self) -> tuple[Account, ...]:
        return await self._book.all()

    async def account(self, name: str) -> Account:
        """A user who was not removed. ``NotFound``."""
        account = await self._book.find(name)
        if account.user.removed_at is not None:
            raise NotFound(f"user {name} was removed at {account.user.removed_at:%Y-%m-%d %H:%M} UTC")
        return account

    async def add(self, name: str, role: Role, title: str = "", *, by: str = HOUSE, why: str = "") -> User:
        """A new user. ``Invalid`` for a bad name, ``Conflict`` for one that is or was taken."""
        if not NAME.fullmatch(name) or name in _RESERVED:
            raise Invalid(f"{name[:80]!r} is no name for a user: write a-z, 0-9, '.', '_' or '-', as in alice.m")
        user = User(id=UserId(self._ids.new()), name=name, role=role, title=title[:200], created_at=self._clock.now())
        await self._book.add(user, self._by(by, why))
        return user

    async def set_role(self, name: str, role: Role, *, by: str = HOUSE, why: str = "") -> User:
        user = msgspec.structs.replace((await self.account(name)).user, role=role)
        return await self._changed(user, self._by(by, why))

    async def set_model(self, person: Person, model: str) -> None:
        """Keep the model a person prefers; the house's own user has none."""
        if person.user != HOUSE:
            account = await self.account(person.user.partition(":")[2])
            await self._changed(msgspec.structs.replace(account.user, model=model), self._by(person.user))

    async def remove(self, name: str, *, by: str = HOUSE, why: str = "") -> User:
        """From now on they may do nothing anywhere. Their name stays theirs in the journal."""
        account = await self.account(name)
        said = self._by(by, why)
        return await self._changed(msgspec.structs.replace(account.user, removed_at=said.at), said)

    async def new_token(self, name: str, label: str = "", *, by: str = HOUSE, why: str = "") -> tuple[Token, str]:
        """A personal token and its secret, which is kept nowhere."""
        account = await self.account(name)
        secret = TOKEN_PREFIX + self._secrets.token()
        token = Token(id=self._ids.new(), user=account.user.id, created_at=self._clock.now(), label=label[:100])
        await self._book.put_token(token, digest_of(secret), self._by(by, why))
        return token, secret

    async def revoke(self, name: str, token_id: str, *, by: str = HOUSE, why: str = "") -> None:
        """End a token of this user; ``NotFound`` when they have no such token in force."""
        account = await self.account(name)
        known = [token.id for token in account.tokens if len(token_id) >= 8 and token.id.startswith(token_id)]
        if len(known) > 1:
            raise Invalid(f"more than one token of {name} begins with {token_id}")
        if not known or not await self._book.revoke(known[0], self._by(by, why)):
            raise NotFound(f"{name} has no token {token_id[:40]}")

    async def bearer(self, secret: str) -> tuple[str, Person] | None:
        """The token's id and the person it belongs to."""
        if not secret.startswith(TOKEN_PREFIX):
            return None
        return _known(await self._book.by_token(digest_of(secret)))

    async def session(self, token_id: str) -> Person | None:
        """The person of a session that was begun with this token, while it is in force."""
        known = _known(await self._book.by_token_id(token_id))
        return known[1] if known else None

    async def new_code(self, name: str, *, by: str = HOUSE) -> str:
        """A code that links one channel identity to this user, once, within ten minutes."""
        account = await self.account(name)
        code = self._secrets.code()
        said = self._by(by)
        await self._book.put_code(account.user.id, code_digest(code), said, expires_at=said.at + CODE_LASTS)
        return code

    async def redeem(self, code: str, identity: str) -> Person | None:
        """Link the identity that sent a code; ``None`` when the code is wrong, used or too old."""
        if identity.partition(":")[0] in ("user", "console", "api", ""):
            return None
        account = await self._book.redeem(code_digest(code), identity, now=self._clock.now())
        return person_of(account) if account else None

    async def unlink(self, name: str, identity: str, *, by: str = HOUSE, why: str = "") -> None:
        known = identity in (await self.account(name)).identities
        if not known or not await self._book.unlink(identity, self._by(by, why)):
            raise NotFound(f"{identity[:80]} is no identity of {name}")

    async def _changed(self, user: User, by: By) -> User:
        await self._book.change(user, by)
        return user

    def _by(self, who: str, why: str = "") -> By:
        return By(who, self._clock.now(), why[:500])


def _known(found: tuple[Token, Account] | None) -> tuple[str, Person] | None:
    person = person_of(found[1]) if found else None
    return (found[0].id, person) if found and person else None


def digest_of(secret: str) -> bytes:
    """What is stored of a token. It carries 256 bits of chance: a slow hash would protect nothing more."""
    return hashlib.sha256(b"midwatch token\0" + secret.encode("utf-8", "replace")).digest()


def code_digest(code: str) -> bytes:
    """What is stored of a code; case, spaces and dashes do not count, people type it."""
    plain = "".join(character for character in code.upper() if character.isalnum())
    return hashlib.sha256(b"midwatch code\0" + plain.encode("utf-8", "replace")).digest()
