"""The chat without a model: who may ask what, what is answered, once, and what never happens."""

import pytest

from midwatch.domain.approvals import Choice
from midwatch.domain.incidents import REQUEST, State, Work
from midwatch.domain.intents import Kind
from midwatch.domain.signals import Tier
from midwatch.domain.users import Role
from midwatch.services.chat.desk import CONSOLE
from midwatch.services.chat.freezing import Freezing
from midwatch.services.chat.words import NO_MODEL, NO_SCANNER, STRANGER
from midwatch.services.conversations import ChatMessage, Conversation, MessageState, Session, Speaker
from midwatch.services.stopping import Stopping
from tests.unit.chat.conftest import Room
from tests.unit.edge import scenes

QUESTIONS = [
    "show me error pods in production",
    "logs of web in production",
    "incidents",
    f"approve {scenes.APPROVAL}",
    "restart web in production",
    "silence production for 2h",
    "what is wrong with web?",
    "silences",
    "who am i",
]


@pytest.mark.parametrize("text", QUESTIONS)
async def test_a_stranger_is_told_nothing_and_changes_nothing(room: Room, text: str) -> None:
    assert await room.say(text, user="U666") == STRANGER
    assert room.sight.asked == []
    assert await room.store.clicks.pending() == ()
    assert await room.store.journal.recent() == ()
    assert await room.store.silences.recent() == ()


async def test_error_pods_without_a_model(room: Room) -> None:
    await room.known("vera", Role.VIEWER, "slack:U1")
    said = await room.say("<@UBOT> Show me *error* pods in `production` please")
    assert "1 of 3 pods in production in trouble" in said
    assert "web-6d5f-x2x9k  CrashLoopBackOff not ready restarts=7" in said
    assert "db-0" not in said
    assert "No pod in shop is in trouble" in await room.say("any failing pods in shop?")


async def test_logs_are_of_the_pod_in_trouble_and_masked(room: Room) -> None:
    await room.known("vera", Role.VIEWER, "slack:U1")
    said = await room.say("show me the last 50 lines of the previous logs of web in production")
    assert ("logs", "production", "web-6d5f-x2x9k", True, 50) in room.sight.asked
    assert "FATAL no database" in said
    assert "hunter2" not in said


async def test_long_logs_end_with_their_end_and_fit(room: Room) -> None:
    await room.known("vera", Role.VIEWER, "slack:U1")
    room.sight.log = "\n".join(f"line {number} ``` {'x' * 200}" for number in range(5000))
    said = await room.say("logs of web in production")
    assert len(said) < 3000
    assert "line 4999" in said
    assert said.count("```") == 2


async def test_an_unclear_place_is_asked_for_and_given(room: Room) -> None:
    await room.known("vera", Role.VIEWER, "slack:U1")
    assert "Say in which namespace" in await room.say("describe cart")
    assert await room.say("shop") == "Deployment cart in shop:\n```\nDeployment shop/cart\nreplicas: 2\n```"
    assert await room.say("shop") == NO_MODEL, "the question was answered"


async def test_what_cannot_be_read_is_said(room: Room) -> None:
    await room.known("vera", Role.VIEWER, "slack:U1")
    assert "no metrics API" in await room.say("top pods in shop")
    assert "I see no pod nothing" in await room.say("logs of nothing in shop")
    room.sight.away = True
    said = await room.say("pods in shop")
    assert "does not answer now" in said
    assert "abcdefgh12345678" not in said


@pytest.mark.parametrize("text", ["restart web in production", "scale web in production to 5"])
async def test_a_change_is_asked_for_by_an_operator_and_waits_for_approval(room: Room, text: str) -> None:
    await room.known("vera", Role.VIEWER, "slack:U1")
    assert "needs the role operator" in await room.say(text)
    assert await room.store.journal.recent() == ()
    await room.known("oscar", Role.OPERATOR, "slack:U2")
    said = await room.say(text, user="U2")
    assert "waits for approval" in said
    (row,) = await room.store.journal.recent()
    incident = await room.store.journal.read(row.id)
    assert (incident.rule, incident.tier, incident.state) == (REQUEST, Tier.SUPERVISED, State.OPEN)
    assert incident.report is not None
    assert incident.report.playbook in ("restart-workload", "scale-to")
    assert incident.active, "it waits until it is carried out"
    claims = await room.store.work.claim(
        [Work.PLAN], owner="x", now=room.clock.now(), ttl=room.clock.now() - room.clock.now()
    )
    assert [claim.incident for claim in claims] == [row.id]
    assert "asked already" in await room.say(text, user="U2")
    assert len(await room.store.journal.recent()) == 1


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("scale web in production to 0", "between 1 and 50"),
        ("scale web in production to 999", "between 1 and 50"),
        ("restart node worker-1", "I restart workloads"),
        ("restart nothing in production", "I see no workload nothing"),
        ("restart cart", "Say in which namespace"),
    ],
)
async def test_what_cannot_be_asked_for(room: Room, text: str, said: str) -> None:
    await room.known("oscar", Role.OPERATOR, "slack:U1")
    assert said in await room.say(text)
    assert await room.store.journal.recent() == ()


async def test_an_approval_by_words_is_a_click_of_that_identity(room: Room) -> None:
    await scenes.told(room.store.journal, "i-1", scenes.opened(), scenes.diagnosed(), scenes.asked())
    await room.known("oscar", Role.OPERATOR, "slack:U1")
    assert "needs the role approver" in await room.say(f"approve {scenes.APPROVAL}")
    assert await room.store.clicks.pending() == ()
    await room.known("alice", Role.APPROVER, "slack:U2")
    said = await room.say(f"Approve {scenes.APPROVAL[:13]} looks right", user="U2", id_="same")
    assert "stored" in said
    (click,) = await room.store.clicks.pending()
    assert (click.user, click.choice, click.digest) == ("slack:U2", Choice.APPROVE, scenes.DIGEST)
    assert click.comment == "looks right"
    assert room.bells.rung == ["clicks"]
    assert await room.say("approve that", user="U2") != said
    assert len(await room.store.clicks.pending()) == 1
    assert "no" in (await room.say("approve 00000000-1111", user="U2")).lower()


async def test_silences_by_words(room: Room) -> None:
    await room.known("oscar", Role.OPERATOR, "slack:U1")
    assert "is silenced for 2 h" in await room.say("silence namespace shop for 2h because Deploy of 4.2")
    (silence,) = await room.store.silences.active(room.clock.now())
    assert (silence.match.namespaces, silence.by, silence.comment) == (("shop",), "user:oscar", "Deploy of 4.2")
    assert "Deploy of 4.2" in await room.say("silences")
    assert "is over" in await room.say(f"unsilence {silence.id}")
    assert await room.say("silences") == "Nothing is silenced."
    for text in ("silence everything", "silence * for 2h", "silence shop for 90d", "silence a b c d for 2h"):
        await room.say(text)
    assert await room.store.silences.active(room.clock.now()) == ()
    await room.known("vera", Role.VIEWER, "slack:U2")
    assert "needs the role" in await room.say("silence shop for 2h", user="U2")


async def test_freezes_by_words(room: Room) -> None:
    freezing = Freezing(Stopping(room.store.journal, room.store.pauses, room.clock, room.ids), room.clock)
    room.extras |= {Kind.FREEZE: freezing, Kind.UNFREEZE: freezing}
    await room.known("vera", Role.VIEWER, "slack:U1")
    await room.known("oscar", Role.OPERATOR, "slack:U2")
    await room.known("alice", Role.APPROVER, "slack:U3")
    assert "needs the role" in await room.say("freeze")
    assert await room.store.pauses.active(room.clock.now()) == ()
    assert "Actions in shop are paused by user:oscar" in await room.say(
        "freeze shop for 2h because of the sale", user="U2"
    )
    (pause,) = await room.store.pauses.active(room.clock.now())
    assert (pause.namespaces, pause.reason) == (("shop",), "of the sale")
    assert "Nothing was frozen" in await room.say("unfreeze other", user="U3")
    assert "needs the role approver" in await room.say("unfreeze", user="U2")
    assert "1 freeze ended" in await room.say("unfreeze", user="U3")
    assert "within 90 days" in await room.say("freeze shop for 900d", user="U2")


async def test_incidents_and_their_story(room: Room) -> None:
    await room.known("vera", Role.VIEWER, "slack:U1")
    assert "All quiet" in await room.say("what's broken?")
    incident = await scenes.told(room.store.journal, "0000000a-i", scenes.opened(), scenes.diagnosed(), scenes.asked())
    assert "1 open incident" in await room.say("status")
    said = await room.say(f"incident {incident.id[:8]}")
    assert "database refuses connections" in said
    assert "approve" in said
    assert "Roll checkout back" in await room.say("approvals")


async def test_a_code_links_the_one_who_sends_it(room: Room) -> None:
    await room.users.add("alice", Role.APPROVER)
    code = await room.users.new_code("alice")
    assert "wrong, used or too old" in await room.say("link AAAA1111", user="U9")
    assert "You are user:alice" in await room.say(f"link {code}", user="U9")
    assert "user:alice, approver" in await room.say("who am i", user="U9")
    assert "wrong, used or too old" in await room.say(f"link {code}", user="U8")


async def test_without_a_model_it_says_so_plainly(room: Room) -> None:
    await room.known("vera", Role.VIEWER, "slack:U1")
    assert await room.say("what is the meaning of this?") == NO_MODEL
    assert await room.say("scan ports of example.com") == NO_SCANNER
    assert "logs of POD" in await room.say("help")


async def test_a_redelivered_message_is_answered_the_same(room: Room) -> None:
    await room.known("oscar", Role.OPERATOR, "slack:U1")
    first = await room.say("restart web in production", id_="same")
    assert await room.say("restart web in production", id_="same") == first
    assert len(await room.store.journal.recent()) == 1


async def test_the_consoles_questions_are_drained_once_and_after_a_restart(room: Room) -> None:
    now = room.clock.now()
    talk = await room.store.conversations.open(
        Conversation(id="c1", channel=CONSOLE, thread="c1", owner="console:operator", created_at=now, updated_at=now)
    )
    question = ChatMessage(
        id="q1",
        conversation=talk.id,
        channel=CONSOLE,
        speaker=Speaker.USER,
        state=MessageState.WAITING,
        text="pods in shop",
        at=now,
        author="console:operator",
    )
    await room.store.conversations.ask(question)
    await room.store.conversations.claim(CONSOLE, now=now, ttl=room.clock.now() - now + (now - now))
    assert await room.chat.resume(CONSOLE) == 1
    assert await room.chat.drain(CONSOLE) == 1
    reply = await room.store.conversations.reply("q1")
    assert reply is not None
    assert "1 pods in shop, all well" in reply.text
    assert await room.chat.drain(CONSOLE) == 0


async def test_a_conversation_is_cleared(room: Room) -> None:
    await room.known("vera", Role.VIEWER, "slack:U1")
    await room.say("incidents")
    assert await room.say("clear") == "Forgotten: 2 messages."


async def test_a_session_that_ended_forgets_what_was_pending(room: Room) -> None:
    await room.known("vera", Role.VIEWER, "slack:U1")
    await room.say("describe cart")
    assert isinstance(next(iter(room.sessions.kept.values())), Session)
    room.sessions.kept.clear()
    assert await room.say("shop") == NO_MODEL
