"""What is shown of an answer while it is written: never half a secret, never more than a message holds."""

import asyncio

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from midwatch.domain.dialogue import ModelReply, ModelRequest
from midwatch.domain.errors import Transient
from midwatch.domain.users import Role
from midwatch.services.chat.growing import Growing, presentable
from midwatch.services.model_ports import OnText
from tests.fakes.cluster import HastyClock
from tests.fakes.models import ScriptedModel
from tests.unit.chat.conftest import Room
from tests.unit.chat.test_talking import Tools, talker

SECRETS = {
    "password": ("The log says password=Tr0ub4dor&3xyz and then it exits.", "Tr0ub4dor&3xyz"),
    "spaced": ("Set password: Tr0ub4dor3xyz in the pod.", "Tr0ub4dor3xyz"),
    "bearer": ("It sends Authorization: Bearer abcdefghijklmnop1234 to it.", "abcdefghijklmnop1234"),
    "url": ("It connects to postgres://app:Tr0ub4dor3@db/shop and fails.", "Tr0ub4dor3"),
    "aws": ("The key AKIAIOSFODNN7EXAMPLE is used by it.", "IOSFODNN7EXAMPLE"),
    "jwt": (
        "See eyJhbGciOiJIUzI1NiJ9.eyJzdWIiOiIxMjM0.SflKxwRJSMeKKF2QT4 in it.",
        "hbGciOiJIUzI1NiJ9.eyJzdWIiOiIxMjM0",
    ),
    "yaml": ("Seen:\n- name: DB_PASSWORD\n  value: Tr0ub4dor3xyz\nand so on.", "Tr0ub4dor3xyz"),
    "json": ('Its env is {"name": "DB_PASSWORD", "value": "Tr0ub4dor 3xyz"} there.', "Tr0ub4dor"),
    "object": ("It holds\ndata:\n  blob: Tr0ub4dor3xyz\nkind: Secret\nso.", "Tr0ub4dor3xyz"),
    "fenced": ("See\n```\ndata:\n  blob: Tr0ub4dor3xyz\nkind: Secret\n```\nso.", "Tr0ub4dor3xyz"),
    "one line": ('It is {"data": {"blob": "Tr0ub4dor3xyz"}, "kind": "Secret"} there.', "Tr0ub4dor3xyz"),
    "key": ("-----BEGIN RSA PRIVATE KEY-----\nMIIEowIBAAKC\n-----END RSA PRIVATE KEY-----\n", "MIIEowIBAAKC"),
}


@pytest.mark.parametrize(("text", "secret"), SECRETS.values(), ids=SECRETS)
def test_at_no_point_a_part_of_a_secret_is_shown(text: str, secret: str) -> None:
    for end in range(len(text) + 1):
        shown = presentable(text[:end], 3500)
        found = next((secret[:size] for size in range(len(secret), 3, -1) if secret[:size] in shown), "")
        assert found == "", f"after {text[:end]!r}"


@settings(max_examples=200)
@given(st.text(alphabet='ab :=`\n{}"', max_size=60), st.integers(1, 60))
def test_what_is_shown_only_grows_out_of_what_was_said(text: str, most: int) -> None:
    shown = presentable(text, most)
    assert len(shown) <= most
    assert text.startswith(shown)


def test_a_word_is_shown_when_it_is_whole_and_a_block_of_code_when_it_is_closed() -> None:
    assert presentable("The data", 100) == "The"
    assert presentable("The database ", 100) == "The database"
    assert presentable("See:\n```\nkubectl get ", 100) == "See:"
    assert presentable("See:\n```\nkubectl get\n``` now", 100) == "See:\n```\nkubectl get\n```"
    assert presentable("word " * 100, 22) == "word word word word"


class Slow(ScriptedModel):
    """Says its answer in pieces, each when the last one was shown."""

    def __init__(self, room: Room, *pieces: str) -> None:
        super().__init__("".join(pieces))
        self.room, self.pieces = room, pieces

    async def ask(self, request: ModelRequest, on_text: OnText | None = None) -> ModelReply:
        reply = await super().ask(request)
        assert on_text is not None
        for piece in self.pieces:
            on_text(piece)
            for _ in range(20):
                await asyncio.sleep(0)
        return reply


async def test_a_persons_answer_comes_in_pieces_and_whole_at_the_end(room: Room) -> None:
    await room.known("vera", Role.VIEWER, "slack:U1")
    model = Slow(room, "The database ", "refuses: pass", "word=hunter2hun", "ter2 was wrong. ", "Look there.")
    room.talker = talker(room, model, Tools())
    said = await room.say("why?")
    assert said == "The database refuses: password=*** was wrong. Look there."
    assert room.streamed[0] == "The database …"
    assert len(room.streamed) >= 3
    assert not any("hunter2" in text for text in room.streamed)


async def test_a_channel_that_is_away_costs_the_answer_nothing() -> None:
    seen: list[str] = []

    async def away(text: str) -> None:
        seen.append(text)
        raise Transient("away")

    async with Growing(away, HastyClock(), most=100) as growing:
        for word in ("one ", "two ", "three "):
            growing.text(word)
            for _ in range(5):
                await asyncio.sleep(0)
    assert seen[-1] == "one two three …"
