"""Users in memory, and people for tests that are not about who they are."""

import asyncio
from collections.abc import Callable, Sequence
from datetime import datetime

import msgspec

from midwatch.adapters.store.projection import user_record
from midwatch.domain.audit import AuditRecord
from midwatch.domain.errors import Conflict, NotFound
from midwatch.domain.users import (
    HOUSE,
    OPERATOR,
    Account,
    By,
    Person,
    Role,
    Token,
    User,
    UserChange,
    UserId,
    changed,
)


class MemoryUsers:
    """See :class:`midwatch.services.users.UserBook`."""

    def __init__(self, record: Callable[[Sequence[AuditRecord]], None] = lambda _: None) -> None:
        """``record`` adds to the audit trail."""
        self._record = record
        self._users: dict[UserId, User] = {}
        self._identities: dict[str, UserId] = {}
        self._tokens: dict[str, tuple[Token, bytes]] = {}
        self._codes: dict[UserId, tuple[bytes, datetime]] = {}

    async def add(self, user: User, by: By) -> None:
        await asyncio.sleep(0)
        if any(other.name == user.name for other in self._users.values()):
            raise Conflict(f"user {user.name} exists, or did: a name is given once")
        self._users[user.id] = user
        self._audit(UserChange(what="user-made", user=user), by)

    async def change(self, user: User, by: By) -> None:
        await asyncio.sleep(0)
        before, self._users[user.id] = self._users[user.id], user
        if user != before:
            self._audit(changed(before, user), by)
        if user.removed_at is not None:
            self._codes.pop(user.id, None)
            self._identities = {name: owner for name, owner in self._identities.items() if owner != user.id}
            for token, digest in [item for item in self._tokens.values() if item[0].user == user.id]:
                self._tokens[token.id] = (msgspec.structs.replace(token, revoked_at=user.removed_at), digest)

    async def find(self, name: str) -> Account:
        await asyncio.sleep(0)
        for user in self._users.values():
            if user.name == name:
                return self._account(user)
        raise NotFound(f"there is no user {name}")

    async def all(self) -> tuple[Account, ...]:
        await asyncio.sleep(0)
        present = [user for user in self._users.values() if user.removed_at is None]
        return tuple(map(self._account, sorted(present, key=lambda user: user.name)))

    async def owner(self, identity: str) -> Account | None:
        await asyncio.sleep(0)
        owner = self._identities.get(identity)
        return self._account(self._users[owner]) if owner else None

    async def unlink(self, identity: str, by: By) -> bool:
        await asyncio.sleep(0)
        owner = self._identities.pop(identity, None)
        if owner is not None:
            self._audit(UserChange(what="identity-unlinked", user=self._users[owner], identity=identity), by)
        return owner is not None

    async def put_token(self, token: Token, digest: bytes, by: By) -> None:
        await asyncio.sleep(0)
        self._tokens[token.id] = (token, digest)
        told = UserChange(what="token-made", user=self._users[token.user], token=token.id, label=token.label)
        self._audit(told, by)

    async def by_token(self, digest: bytes) -> tuple[Token, Account] | None:
        await asyncio.sleep(0)
        for token, known in self._tokens.values():
            if known == digest and token.revoked_at is None:
                return token, self._account(self._users[token.user])
        return None

    async def by_token_id(self, token_id: str) -> tuple[Token, Account] | None:
        found = self._tokens.get(token_id)
        return await self.by_token(found[1]) if found else None

    async def revoke(self, token_id: str, by: By) -> bool:
        await asyncio.sleep(0)
        found = self._tokens.get(token_id)
        if found is None or found[0].revoked_at is not None:
            return False
        token = msgspec.structs.replace(found[0], revoked_at=by.at)
        self._tokens[token_id] = (token, found[1])
        told = UserChange(what="token-revoked", user=self._users[token.user], token=token_id, label=token.label)
        self._audit(told, by)
        return True

    async def put_code(self, user: UserId, digest: bytes, by: By, *, expires_at: datetime) -> None:
        await asyncio.sleep(0)
        self._codes[user] = (digest, expires_at)
        self._audit(UserChange(what="link-code-made", user=self._users[user]), by)

    async def redeem(self, digest: bytes, identity: str, *, now: datetime) -> Account | None:
        await asyncio.sleep(0)
        for user, (known, expires_at) in self._codes.items():
            if known == digest and now < expires_at:
                del self._codes[user]
                was = self._identities.get(identity, "")
                self._identities[identity] = user
                told = UserChange(what="identity-linked", user=self._users[user], identity=identity, was=was)
                self._audit(told, By(identity, now, "link code"))
                return self._account(self._users[user])
        return None

    def _audit(self, change: UserChange, by: By) -> None:
        self._record([user_record(change, by)])

    def _account(self, user: User) -> Account:
        return Account(
            user=user,
            identities=tuple(sorted(name for name, owner in self._identities.items() if owner == user.id)),
            tokens=tuple(
                token
                for _, (token, _) in sorted(self._tokens.items())
                if token.user == user.id and token.revoked_at is None
            ),
        )


class Everybody:
    """Each identity is an approver of its own: for tests that are not about who people are."""

    async def find(self, identity: str) -> Person | None:
        return OPERATOR if identity == HOUSE else Person(user=identity, role=Role.APPROVER, names=(identity,))


class CountingSecrets:
    """Secrets one can foresee."""

    def __init__(self) -> None:
        self._made = 0

    def token(self) -> str:
        self._made += 1
        return f"secret-{self._made:036d}"

    def code(self) -> str:
        self._made += 1
        return f"CODE{self._made:04d}"
