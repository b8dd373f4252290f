"""Who may approve before anybody is given a role: those whom settings name, by the channel's own id."""

import pytest

from midwatch.services.messaging import APPROVER, ListedIdentities


async def test_a_listed_person_may_approve() -> None:
    user = await ListedIdentities(["slack:U1"]).resolve("slack", "U1", "Ann")
    assert user is not None
    assert (user.id, user.may(APPROVER), user.may("admin")) == ("slack:U1", True, False)


@pytest.mark.parametrize(
    ("channel", "who", "name"), [("slack", "U2", "slack:U1"), ("telegram", "U1", "Ann"), ("slack", "", "U1")]
)
async def test_nobody_else_is_known_whatever_they_are_called(channel: str, who: str, name: str) -> None:
    assert await ListedIdentities(["slack:U1"]).resolve(channel, who, name) is None
