"""Users, identities, tokens and codes: each is one person's, and ends when it should."""

import asyncio
from datetime import timedelta

import msgspec
import pytest

from midwatch.domain.audit import verify
from midwatch.domain.errors import Conflict, NotFound
from midwatch.domain.users import By, Role, Token, User, UserChange, UserId
from tests.contract.conftest import AnyStore
from tests.fakes.runtime import NOON, CountingIds

MINUTE = timedelta(minutes=1)
BY = By("user:root", NOON, "new here")


async def a_user(store: AnyStore, ids: CountingIds, name: str, role: Role = Role.OPERATOR) -> User:
    user = User(id=UserId(ids.new()), name=name, role=role, created_at=NOON, title="Ann\u202e \x00")
    await store.users.add(user, BY)
    return user


async def linked(store: AnyStore, user: User, identity: str) -> None:
    await store.users.put_code(user.id, identity.encode(), BY, expires_at=NOON + MINUTE)
    assert await store.users.redeem(identity.encode(), identity, now=NOON)


async def test_a_name_is_given_once_even_after_its_user_is_gone(store: AnyStore, ids: CountingIds) -> None:
    alice = await a_user(store, ids, "alice")
    with pytest.raises(Conflict):
        await a_user(store, ids, "alice")
    await store.users.change(msgspec.structs.replace(alice, removed_at=NOON), BY)
    with pytest.raises(Conflict):
        await a_user(store, ids, "alice")
    assert await store.users.all() == ()
    assert (await store.users.find("alice")).user.removed_at == NOON
    with pytest.raises(NotFound):
        await store.users.find("bob")


async def test_users_are_listed_by_name_with_what_they_are_known_by(store: AnyStore, ids: CountingIds) -> None:
    bob, alice = await a_user(store, ids, "bob"), await a_user(store, ids, "alice")
    await linked(store, bob, "telegram:7")
    await linked(store, bob, "slack:U1")
    await store.users.put_token(Token(id=ids.new(), user=alice.id, created_at=NOON, label="laptop"), b"d" * 32, BY)
    first, second = await store.users.all()
    assert (first.user.name, first.identities, [token.label for token in first.tokens]) == ("alice", (), ["laptop"])
    assert (second.user.name, second.identities) == ("bob", ("slack:U1", "telegram:7"))


async def test_a_role_is_changed_in_place(store: AnyStore, ids: CountingIds) -> None:
    alice = await a_user(store, ids, "alice")
    await store.users.change(msgspec.structs.replace(alice, role=Role.ADMIN, model="large"), BY)
    found = (await store.users.find("alice")).user
    assert (found.role, found.model, found.created_at) == (Role.ADMIN, "large", NOON)


async def test_a_code_works_once_in_its_time(store: AnyStore, ids: CountingIds) -> None:
    alice = await a_user(store, ids, "alice")
    await store.users.put_code(alice.id, b"old", BY, expires_at=NOON + MINUTE)
    await store.users.put_code(alice.id, b"new", BY, expires_at=NOON + MINUTE)
    assert await store.users.redeem(b"old", "slack:U1", now=NOON) is None, "a newer one ended it"
    assert await store.users.redeem(b"new", "slack:U1", now=NOON + MINUTE) is None
    answers = await asyncio.gather(*(store.users.redeem(b"new", f"slack:U{n}", now=NOON) for n in range(8)))
    assert sum(answer is not None for answer in answers) == 1
    assert len((await store.users.find("alice")).identities) == 1


async def test_an_identity_is_one_persons(store: AnyStore, ids: CountingIds) -> None:
    alice, bob = await a_user(store, ids, "alice"), await a_user(store, ids, "bob")
    await linked(store, alice, "slack:U1")
    await linked(store, bob, "slack:U1")
    owner = await store.users.owner("slack:U1")
    assert owner is not None
    assert owner.user.id == bob.id
    assert (await store.users.find("alice")).identities == ()
    assert await store.users.unlink("slack:U1", BY)
    assert not await store.users.unlink("slack:U1", BY)
    assert await store.users.owner("slack:U1") is None
    assert await store.users.owner("slack:\x00") is None


async def test_a_token_is_known_until_it_is_revoked(store: AnyStore, ids: CountingIds) -> None:
    alice = await a_user(store, ids, "alice")
    token = Token(id=ids.new(), user=alice.id, created_at=NOON)
    await store.users.put_token(token, b"d" * 32, BY)
    for found in (await store.users.by_token(b"d" * 32), await store.users.by_token_id(token.id)):
        assert found is not None
        assert (found[0], found[1].user.name) == (token, "alice")
    assert await store.users.by_token(b"e" * 32) is None
    assert await store.users.revoke(token.id, BY)
    assert not await store.users.revoke(token.id, BY)
    assert await store.users.by_token(b"d" * 32) is None
    assert await store.users.by_token_id(token.id) is None


async def test_removing_a_user_ends_all_they_are_known_by(store: AnyStore, ids: CountingIds) -> None:
    alice = await a_user(store, ids, "alice")
    await linked(store, alice, "slack:U1")
    await store.users.put_token(Token(id=ids.new(), user=alice.id, created_at=NOON), b"d" * 32, BY)
    await store.users.put_code(alice.id, b"code", BY, expires_at=NOON + MINUTE)
    await store.users.change(msgspec.structs.replace(alice, removed_at=NOON), BY)
    assert await store.users.owner("slack:U1") is None
    assert await store.users.by_token(b"d" * 32) is None
    assert await store.users.redeem(b"code", "slack:U2", now=NOON) is None


async def test_every_change_is_audited_with_who_when_and_why(store: AnyStore, ids: CountingIds) -> None:
    alice = await a_user(store, ids, "alice")
    bob = await a_user(store, ids, "bob")
    promoted = msgspec.structs.replace(alice, role=Role.ADMIN)
    for _ in range(2):
        await store.users.change(promoted, BY)  # the second changes nothing
    token = Token(id=ids.new(), user=alice.id, created_at=NOON, label="laptop")
    await store.users.put_token(token, b"digest-of-a-secret" * 2, BY)
    for _ in range(2):
        await store.users.revoke(token.id, BY)
    await linked(store, alice, "slack:U1")
    await linked(store, bob, "slack:U1")
    for _ in range(2):
        await store.users.unlink("slack:U1", BY)
    await store.users.change(msgspec.structs.replace(promoted, removed_at=NOON), BY)

    rows = await store.audit.rows()
    told = [(row.record.what, row.record.who, row.record.about) for row in rows]
    assert told == [
        ("user-made", "user:root", alice.id),
        ("user-made", "user:root", bob.id),
        ("role-changed", "user:root", alice.id),
        ("token-made", "user:root", alice.id),
        ("token-revoked", "user:root", alice.id),
        ("link-code-made", "user:root", alice.id),
        ("identity-linked", "slack:U1", alice.id),
        ("link-code-made", "user:root", bob.id),
        ("identity-linked", "slack:U1", bob.id),
        ("identity-unlinked", "user:root", bob.id),
        ("user-removed", "user:root", alice.id),
    ]
    assert {row.record.why for row in rows if row.record.who == "user:root"} == {"new here"}
    assert {row.record.at for row in rows} == {NOON}
    changes = [msgspec.json.decode(row.record.data, type=UserChange) for row in rows]
    assert (changes[2].was, changes[2].user.role) == ("operator", Role.ADMIN)
    assert changes[4].label == "laptop"
    assert changes[8].was == alice.id, "whose identity it was before"
    assert "digest" not in "".join(row.record.data for row in rows)
    assert verify(rows) == rows[-1]


async def test_a_change_that_is_refused_leaves_no_row(store: AnyStore, ids: CountingIds) -> None:
    await a_user(store, ids, "alice")
    with pytest.raises(Conflict):
        await a_user(store, ids, "alice")
    assert await store.users.redeem(b"guess", "slack:U1", now=NOON) is None
    assert len(await store.audit.rows()) == 1
