"""Codes that link accounts: redeemed once, and never guessed."""

import pytest

from midwatch.domain.users import Role
from midwatch.services.limiting import LocalRateLimiter
from midwatch.services.linking import ALL_PER_MINUTE, OWN_PER_MINUTE, Linking
from midwatch.services.users import Users
from tests.fakes.runtime import CountingIds, ManualClock
from tests.fakes.stores import MemoryStore
from tests.fakes.users import CountingSecrets


class Scene:
    def __init__(self) -> None:
        self.clock = ManualClock()
        self.users = Users(MemoryStore().users, self.clock, CountingIds(), CountingSecrets())
        self.linking = Linking(self.users, LocalRateLimiter(), self.clock)

    async def a_code(self) -> str:
        await self.users.add("ann", Role.APPROVER)
        return await self.users.new_code("ann")


async def test_a_code_that_is_right_links_its_sender() -> None:
    scene = Scene()
    code = await scene.a_code()
    assert await scene.linking.redeem(code, "slack:U1") == "You are user:ann here now, with the role approver."
    assert "wrong, used or too old" in await scene.linking.redeem(code, "slack:U2")


async def test_one_account_guesses_a_few_times_and_then_not_even_rightly(caplog: pytest.LogCaptureFixture) -> None:
    scene = Scene()
    code = await scene.a_code()
    for number in range(OWN_PER_MINUTE):
        assert "wrong, used or too old" in await scene.linking.redeem(f"WRONG{number}", "slack:U1")
    assert "Too many codes" in await scene.linking.redeem(code, "slack:U1")
    refused = [record for record in caplog.records if record.levelname == "WARNING"]
    assert len(refused) == OWN_PER_MINUTE + 1
    assert all(code not in str(record.__dict__) for record in refused), "no code in a log"
    assert "user:ann" in await scene.linking.redeem(code, "slack:U2"), "others are not kept from it"


async def test_many_accounts_together_do_not_guess_much_more() -> None:
    scene = Scene()
    code = await scene.a_code()
    accounts = [f"slack:U{number}" for number in range(10 * ALL_PER_MINUTE)]
    tried = [await scene.linking.redeem("WRONG", account) for account in accounts]
    assert sum("wrong, used" in answer for answer in tried) == ALL_PER_MINUTE
    assert "Too many codes" in await scene.linking.redeem(code, "slack:UANN")
    scene.clock.advance(60)
    assert "user:ann" in await scene.linking.redeem(code, "slack:UANN")


async def test_who_guesses_on_uses_up_nothing_of_the_others() -> None:
    scene = Scene()
    code = await scene.a_code()
    for _ in range(10 * ALL_PER_MINUTE):
        await scene.linking.redeem("WRONG", "slack:UEVIL")
    assert "user:ann" in await scene.linking.redeem(code, "slack:UANN")
