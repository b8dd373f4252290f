"""Every event of the journal has words for people."""

import typing

import msgspec
import pytest

from midwatch.domain import events as ev
from midwatch.domain.ids import IncidentId
from midwatch.domain.reasons import Reason
from serve.timeline import moment_of, type_of
from tests.unit.edge import scenes

EVENTS = {
    type_of(event): event
    for chapter in (
        scenes.opened(),
        scenes.diagnosed(),
        scenes.asked(),
        scenes.voted(),
        scenes.fixed(),
        scenes.escalated(),
    )
    for event in chapter
}
_BARE = [
    '{"type":"signal-cleared","reason":"signal-cleared","signal":"s","identity":"watch|lab|OOMKilled|Pod/a/b","episode":"e"}',
    '{"type":"refinement-started","reason":"claimed","worker":"rca-worker-1"}',
    '{"type":"briefed","reason":"built-in-analysis","text":"look","nonce":"n"}',
    '{"type":"plan-kept","reason":"plan-unchanged"}',
    (
        '{"type":"model-turned","reason":"model-refined","iteration":1,"reply":{"turn":{"type":"assistant","text":"Logs'
        ' first."},"stop":"done","usage":{},"provider":"stub","model":"m"}}'
    ),
    '{"type":"iteration-ended","reason":"model-refined","iteration":1,"reasoning":"logs","tools":["logs(web-1)"]}',
    '{"type":"model-broke","reason":"model-away","detail":"it broke off","tokens":1200,"usd":0.02}',
    '{"type":"refinement-ended","reason":"model-refined","detail":"2 rounds, 3 tools"}',
    '{"type":"approval-reminded","reason":"half-time","approval":"a"}',
    '{"type":"cancel-asked","reason":"cancelled","by":"console:operator","comment":"enough"}',
    '{"type":"plan-missing","reason":"no-playbook","detail":"no playbook fits"}',
    '{"type":"step-failed","reason":"verify-failed","index":0,"detail":"not ready"}',
    '{"type":"undo-started","reason":"verify-failed","index":0,"key":"k"}',
    '{"type":"step-undone","reason":"undone","index":0,"detail":"as before"}',
    '{"type":"undo-failed","reason":"undo-failed","index":0,"detail":"409"}',
    '{"type":"adopted","reason":"adopted-by-cause","into":"i-2","detail":"a node is lost"}',
    '{"type":"reopened","reason":"reopened-in-cooldown"}',
    '{"type":"closed","reason":"closed-by-human","by":"console:operator","detail":"done"}',
]
EVENTS |= {type_of(event): event for event in (msgspec.json.decode(text, type=ev.AnyEvent) for text in _BARE)}


_PLAIN_ALREADY = (ev.InvestigationStarted, ev.Resolved, ev.Closed)


@pytest.mark.parametrize("kind", typing.get_args(ev.AnyEvent), ids=lambda kind: kind.__name__)
def test_an_event_is_told_in_words(kind: type[ev.Event]) -> None:
    event = EVENTS[str(kind.__struct_config__.tag)]
    moment = moment_of(ev.Entry(incident=IncidentId("i"), seq=1, at=scenes.T0, by="x", event=event))
    assert moment.title
    assert moment.title != moment.type, "words, not the event's name"
    assert moment.type.replace("-", " ").capitalize() != moment.title or kind in _PLAIN_ALREADY
    assert moment.tone in ("info", "work", "good", "bad", "ask")


def test_reasons_that_stop_something_are_in_words() -> None:
    stopping = (
        Reason.PROTECTED_NAMESPACE,
        Reason.FROZEN,
        Reason.GITOPS_OWNED,
        Reason.RIGHT_MISSING,
        Reason.TARGET_CHANGED,
    )
    for reason in stopping:
        event = ev.Escalated(reason=reason, detail="d")
        assert moment_of(ev.Entry(incident=IncidentId("i"), seq=1, at=scenes.T0, by="x", event=event)).why, reason
