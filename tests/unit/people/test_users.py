"""Who people are: names, tokens, codes, and whom a click counts for."""

import pytest

from midwatch.domain.approvals import ApprovalOutcome, Choice
from midwatch.domain.errors import Invalid, NotFound
from midwatch.domain.policy import Policy
from midwatch.domain.users import HOUSE, Person, Role
from midwatch.services.users import TOKEN_PREFIX, Users
from tests.fakes.remedies import Bench
from tests.fakes.runtime import CountingIds, ManualClock
from tests.fakes.users import CountingSecrets, MemoryUsers


@pytest.fixture
def clock() -> ManualClock:
    return ManualClock()


@pytest.fixture
def users(clock: ManualClock) -> Users:
    return Users(MemoryUsers(), clock, CountingIds(), CountingSecrets())


async def known(users: Users, name: str, role: Role, *identities: str) -> Person:
    await users.add(name, role)
    for identity in identities:
        assert await users.redeem(await users.new_code(name), identity)
    person = await users.find(f"user:{name}")
    assert person is not None
    return person


@pytest.mark.parametrize("name", ["", "Alice", "alice b", "-a", "a" * 64, "operator", "ali\nce", "ü", "user:alice"])
async def test_a_bad_name_is_refused(users: Users, name: str) -> None:
    with pytest.raises(Invalid):
        await users.add(name, Role.VIEWER)


def test_roles_rise() -> None:
    assert Role.ADMIN.may(Role.APPROVER)
    assert Role.APPROVER.may(Role.OPERATOR)
    assert not Role.OPERATOR.may(Role.APPROVER)
    assert not Role.VIEWER.may(Role.OPERATOR)


async def test_one_person_behind_many_names(users: Users) -> None:
    alice = await known(users, "alice", Role.APPROVER, "slack:U1", "telegram:7")
    assert alice.names == ("slack:U1", "telegram:7", "user:alice")
    assert await users.find("slack:U1") == await users.find("telegram:7") == alice
    assert await users.find("slack:U2") is None
    assert await users.find("user:") is None
    house = await users.find(HOUSE)
    assert house is not None
    assert house.role is Role.ADMIN


async def test_a_token_opens_and_a_removed_user_has_none(users: Users) -> None:
    await users.add("alice", Role.OPERATOR)
    token, secret = await users.new_token("alice", "laptop")
    assert secret.startswith(TOKEN_PREFIX)
    found = await users.bearer(secret)
    assert found is not None
    assert (found[0], found[1].user) == (token.id, "user:alice")
    assert await users.bearer(secret + "x") is None
    assert await users.bearer("") is None
    assert (await users.session(token.id)) == found[1]
    await users.remove("alice")
    assert await users.bearer(secret) is None
    assert await users.session(token.id) is None
    assert await users.find("user:alice") is None
    with pytest.raises(NotFound):
        await users.new_token("alice")


async def test_a_token_is_revoked_by_its_owner_only(users: Users) -> None:
    await users.add("alice", Role.OPERATOR)
    await users.add("bob", Role.OPERATOR)
    token, secret = await users.new_token("alice")
    for name, beginning in (("bob", token.id), ("alice", token.id[:4])):
        with pytest.raises(NotFound):
            await users.revoke(name, beginning)
    await users.revoke("alice", token.id[:12])
    assert await users.bearer(secret) is None


async def test_a_code_is_typed_as_people_type_and_ends(users: Users, clock: ManualClock) -> None:
    await users.add("alice", Role.OPERATOR)
    code = await users.new_code("alice")
    assert await users.redeem(f" {code[:4].lower()}-{code[4:]} ", "slack:U1")
    assert await users.redeem(code, "slack:U2") is None
    late = await users.new_code("alice")
    clock.advance(601)
    assert await users.redeem(late, "slack:U2") is None
    for identity in ("user:bob", HOUSE, "api:alice", ":", ""):
        assert await users.redeem(await users.new_code("alice"), identity) is None, identity


class Tellers(Bench):
    """A bench whose people are real users."""

    def __init__(self, users: Users, policy: Policy | None = None) -> None:
        super().__init__(policy=policy)
        self.people = users


async def test_two_identities_of_one_user_count_once(users: Users) -> None:
    await known(users, "alice", Role.APPROVER, "slack:U1", "telegram:7")
    await known(users, "bob", Role.APPROVER, "slack:U2")
    bench = Tellers(users, Policy(approvers=("user:alice", "slack:U2")))
    incident = await bench.asked(await bench.incident("OOMKilled"))
    for identity in ("slack:U1", "telegram:7", "user:alice"):
        for choice in (Choice.APPROVE, Choice.CONFIRM):
            bench.clock.advance(1)
            incident = await bench.clicked(incident, choice, user=identity)
    assert incident.approval is not None
    assert incident.approval.outcome is None
    assert {vote.user for vote in incident.approval.votes} == {"user:alice"}
    assert incident.approval.votes[0].via == "slack:U1"
    for choice in (Choice.APPROVE, Choice.CONFIRM):
        bench.clock.advance(1)
        incident = await bench.clicked(incident, choice, user="slack:U2")
    assert incident.approval is not None
    assert (incident.approval.outcome, incident.approval.decided_by) == (ApprovalOutcome.APPROVED, "user:bob")


@pytest.mark.parametrize("choice", [Choice.APPROVE, Choice.CONFIRM, Choice.REJECT])
@pytest.mark.parametrize(
    "identity", ["slack:U9", "slack:viewer", "slack:operator", "user:gone", "user:nobody", "", ":"]
)
@pytest.mark.parametrize("named", [(), ("slack:U9", "slack:viewer", "user:gone", "user:nobody", "slack:operator")])
async def test_whoever_has_not_the_right_decides_nothing(
    users: Users, identity: str, choice: Choice, named: tuple[str, ...]
) -> None:
    await known(users, "vera", Role.VIEWER, "slack:viewer")
    await known(users, "oscar", Role.OPERATOR, "slack:operator")
    await known(users, "gone", Role.ADMIN)
    await users.remove("gone")
    bench = Tellers(users, Policy(approvers=named))
    incident = await bench.asked(await bench.incident())
    incident = await bench.clicked(incident, choice, user=identity)
    assert incident.approval is not None
    assert (incident.approval.outcome, incident.approval.votes) == (None, ())


async def test_a_foreign_approver_is_told_who_may(users: Users) -> None:
    await known(users, "alice", Role.APPROVER)
    await known(users, "bob", Role.APPROVER, "slack:U2")
    bench = Tellers(users, Policy(approvers=("user:alice",)))
    incident = await bench.asked(await bench.incident())
    incident = await bench.clicked(incident, Choice.APPROVE, user="slack:U2")
    assert incident.approval is not None
    assert incident.approval.votes == ()
