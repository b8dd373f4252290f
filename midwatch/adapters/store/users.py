"""Users in PostgreSQL."""

from datetime import datetime

import msgspec
from sqlalchemy import ColumnElement, delete, select, update
from sqlalchemy.dialects.postgresql import insert
from sqlalchemy.ext.asyncio import AsyncConnection

from midwatch.adapters.store import tables as t
from midwatch.adapters.store.audit import record
from midwatch.adapters.store.database import Database
from midwatch.adapters.store.projection import user_record
from midwatch.domain.errors import Conflict, NotFound
from midwatch.domain.users import Account, By, Role, Token, User, UserChange, UserId, changed

_u, _i, _k, _c = t.users.c, t.identities.c, t.tokens.c, t.link_codes.c


class PostgresUsers:
    """See :class:`midwatch.services.users.UserBook`."""

    def __init__(self, database: Database) -> None:
        self._database = database

    async def add(self, user: User, by: By) -> None:
        adding = insert(t.users).values(_row(user)).on_conflict_do_nothing(index_elements=["name"]).returning(_u.id)
        async with self._database.begin() as connection:
            if (await connection.execute(adding)).first() is None:
                raise Conflict(f"user {user.name} exists, or did: a name is given once")
            await _audit(connection, UserChange(what="user-made", user=user), by)

    async def change(self, user: User, by: By) -> None:
        row = _row(user)
        changing = update(t.users).where(_u.id == user.id)
        async with self._database.begin() as connection:
            before = await _user(connection, user.id)
            await connection.execute(
                changing.values(role=row["role"], title=row["title"], model=row["model"], removed_at=user.removed_at)
            )
            if user.removed_at is not None:
                await connection.execute(delete(t.identities).where(_i.user_id == user.id))
                await connection.execute(delete(t.link_codes).where(_c.user_id == user.id))
                ending = update(t.tokens).where(_k.user_id == user.id, _k.revoked_at.is_(None))
                await connection.execute(ending.values(revoked_at=user.removed_at))
            if before is not None and before != _stored(user):
                await _audit(connection, changed(before, user), by)

    async def find(self, name: str) -> Account:
        async with self._database.begin() as connection:
            found = await _accounts(connection, _u.name == t.plain(name))
        if not found:
            raise NotFound(f"there is no user {name[:80]}")
        return found[0]

    async def all(self) -> tuple[Account, ...]:
        async with self._database.begin() as connection:
            return await _accounts(connection, _u.removed_at.is_(None))

    async def owner(self, identity: str) -> Account | None:
        mine = select(_i.user_id).where(_i.identity == t.plain(identity)).scalar_subquery()
        async with self._database.begin() as connection:
            found = await _accounts(connection, _u.id == mine)
        return found[0] if found else None

    async def unlink(self, identity: str, by: By) -> bool:
        forgetting = delete(t.identities).where(_i.identity == t.plain(identity)).returning(_i.user_id)
        async with self._database.begin() as connection:
            owner = (await connection.execute(forgetting)).scalar()
            user = await _user(connection, UserId(owner)) if owner else None
            if user is not None:
                await _audit(connection, UserChange(what="identity-unlinked", user=user, identity=identity), by)
            return user is not None

    async def put_token(self, token: Token, digest: bytes, by: By) -> None:
        row = {
            "id": token.id,
            "user_id": token.user,
            "digest": digest,
            "label": t.plain(token.label),
            "created_at": token.created_at,
            "revoked_at": token.revoked_at,
        }
        async with self._database.begin() as connection:
            await connection.execute(insert(t.tokens).values(row))
            if (user := await _user(connection, token.user)) is not None:
                told = UserChange(what="token-made", user=user, token=token.id, label=token.label)
                await _audit(connection, told, by)

    async def by_token(self, digest: bytes) -> tuple[Token, Account] | None:
        return await self._token(_k.digest == digest)

    async def by_token_id(self, token_id: str) -> tuple[Token, Account] | None:
        return await self._token(_k.id == t.plain(token_id))

    async def _token(self, which: ColumnElement[bool]) -> tuple[Token, Account] | None:
        query = select(t.tokens).where(which, _k.revoked_at.is_(None))
        async with self._database.begin() as connection:
            row = (await connection.execute(query)).first()
            if row is None:
                return None
            (account,) = await _accounts(connection, _u.id == row.user_id)
        return Token(id=row.id, user=UserId(row.user_id), created_at=row.created_at, label=row.label), account

    async def revoke(self, token_id: str, by: By) -> bool:
        ending = update(t.tokens).where(_k.id == token_id, _k.revoked_at.is_(None)).values(revoked_at=by.at)
        async with self._database.begin() as connection:
            ended = (await connection.execute(ending.returning(_k.user_id, _k.label))).first()
            if ended is None:
                return False
            if (user := await _user(connection, UserId(ended.user_id))) is not None:
                told = UserChange(what="token-revoked", user=user, token=token_id, label=ended.label)
                await _audit(connection, told, by)
            return True

    async def put_code(self, user: UserId, digest: bytes, by: By, *, expires_at: datetime) -> None:
        row = {"digest": digest, "expires_at": expires_at}
        writing = insert(t.link_codes).values(user_id=user, **row)
        async with self._database.begin() as connection:
            await connection.execute(writing.on_conflict_do_update(index_elements=["user_id"], set_=row))
            if (found := await _user(connection, user)) is not None:
                await _audit(connection, UserChange(what="link-code-made", user=found), by)

    async def redeem(self, digest: bytes, identity: str, *, now: datetime) -> Account | None:
        using = delete(t.link_codes).where(_c.digest == digest, _c.expires_at > now).returning(_c.user_id)
        async with self._database.begin() as connection:
            user = (await connection.execute(using)).scalar()
            if user is None:
                return None
            known = select(_i.user_id).where(_i.identity == t.plain(identity))
            was = (await connection.execute(known)).scalar() or ""
            row = {"user_id": user, "linked_at": now}
            linking = insert(t.identities).values(identity=t.plain(identity), **row)
            await connection.execute(linking.on_conflict_do_update(index_elements=["identity"], set_=row))
            (account,) = await _accounts(connection, _u.id == user)
            told = UserChange(what="identity-linked", user=account.user, identity=identity, was=was)
            await _audit(connection, told, By(identity, now, "link code"))
        return account


async def _audit(connection: AsyncConnection, change: UserChange, by: By) -> None:
    await record(connection, [user_record(change, by)])


async def _user(connection: AsyncConnection, user: UserId) -> User | None:
    found = await _accounts(connection, _u.id == user)
    return found[0].user if found else None


def _stored(user: User) -> User:
    """The user as the database gives them back."""
    return msgspec.structs.replace(user, title=t.plain(user.title), model=t.plain(user.model))


def _row(user: User) -> dict[str, object]:
    return {
        "id": user.id,
        "name": user.name,
        "role": str(user.role),
        "title": t.plain(user.title),
        "model": t.plain(user.model),
        "created_at": user.created_at,
        "removed_at": user.removed_at,
    }


async def _accounts(connection: AsyncConnection, which: ColumnElement[bool]) -> tuple[Account, ...]:
    users = (await connection.execute(select(t.users).where(which).order_by(_u.name))).all()
    ids = [row.id for row in users]
    if not ids:
        return ()
    mine = select(_i.user_id, _i.identity).where(_i.user_id.in_(ids)).order_by(_i.identity)
    identities = (await connection.execute(mine)).all()
    valid = select(t.tokens).where(_k.user_id.in_(ids), _k.revoked_at.is_(None)).order_by(_k.id)
    tokens = (await connection.execute(valid)).all()
    return tuple(
        Account(
            user=User(
                id=UserId(row.id),
                name=row.name,
                role=Role(row.role),
                title=row.title,
                model=row.model,
                created_at=row.created_at,
                removed_at=row.removed_at,
            ),
            identities=tuple(each.identity for each in identities if each.user_id == row.id),
            tokens=tuple(
                Token(id=each.id, user=UserId(each.user_id), created_at=each.created_at, label=each.label)
                for each in tokens
                if each.user_id == row.id
            ),
        )
        for row in users
    )
