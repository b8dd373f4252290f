"""Who may approve from a channel: whoever is linked to a user, by the channel's own id and by nothing else."""

import pytest

from midwatch.domain.users import Person, Role
from midwatch.services.messaging import APPROVER, KnownPeople


class Known:
    async def find(self, identity: str) -> Person | None:
        ann = Person(user="user:ann", role=Role.APPROVER, names=("user:ann", "slack:U1"))
        return ann if identity == "slack:U1" else None


async def test_a_linked_identity_is_its_users() -> None:
    user = await KnownPeople(Known()).resolve("slack", "U1", "Ann")
    assert user is not None
    assert (user.id, user.may(APPROVER), user.may("viewer"), user.may("admin")) == ("user:ann", True, True, False)


@pytest.mark.parametrize(
    ("channel", "who", "name"), [("slack", "U2", "slack:U1"), ("telegram", "U1", "Ann"), ("slack", "", "U1")]
)
async def test_nobody_else_is_known_whatever_they_are_called(channel: str, who: str, name: str) -> None:
    assert await KnownPeople(Known()).resolve(channel, who, name) is None
