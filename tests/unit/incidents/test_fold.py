"""Properties of evolve and decide over every journal that the services can write."""

import types
import typing
from collections.abc import Callable
from datetime import UTC, datetime
from enum import Enum
from itertools import accumulate
from random import Random

import msgspec
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from midwatch.domain import events as ev
from midwatch.domain.approvals import ApprovalOutcome
from midwatch.domain.errors import Invalid
from midwatch.domain.ids import IncidentId
from midwatch.domain.incidents import SETTLE, Incident, Next, State, Work, decide, evolve, fold
from midwatch.domain.playbooks import VerdictKind
from midwatch.domain.reasons import Reason
from tests.fakes.journals import journal
from tests.fakes.runtime import NOON
from tests.fakes.samples import attached, cleared, opened, proposed, report, requested

A = IncidentId("a")


def random_walk(seed: int) -> "Walk":
    chance = Random(seed)
    return journal([chance.randrange(10_000) for _ in range(chance.randrange(1, 60))], A)


# Lists shrink to the shortest journal that fails; seeds reach further, because every move is as likely as another.
walks = st.one_of(
    st.lists(st.integers(0, 60), min_size=1, max_size=30).map(lambda choices: journal(choices, A)),
    st.integers(0, 2**32).map(random_walk),
)
Walk = tuple[Incident, tuple[ev.Entry, ...]]


def told(*events: ev.AnyEvent) -> Incident:
    return fold(A, [ev.Entry(incident=A, seq=n, at=NOON, by="test", event=e) for n, e in enumerate(events, start=1)])


def works(incident: Incident) -> set[Work]:
    return {item.work for item in decide(incident)}


@given(walks)
def test_a_journal_folds_to_the_same_from_every_cut(walk: Walk) -> None:
    whole, entries = walk
    assert fold(A, entries) == whole
    incident = Incident(id=A)
    for entry in entries:
        # A crash here: what is left is the journal so far, or the snapshot as JSON; both must lead to the same end.
        incident = evolve(incident, entry)
        assert fold(A, entries[: entry.seq]) == incident
        thawed = msgspec.json.decode(msgspec.json.encode(incident), type=Incident)
        assert thawed == incident
        assert decide(thawed) == decide(incident)
        later = thawed
        for rest in entries[entry.seq :]:
            later = evolve(later, rest)
        assert later == whole


@given(walks)
def test_every_entry_survives_its_way_through_json(walk: Walk) -> None:
    for entry in walk[1]:
        assert msgspec.json.decode(msgspec.json.encode(entry), type=ev.Entry) == entry


@given(walks)
def test_there_is_always_somebody_whose_turn_it_is(walk: Walk) -> None:
    """Over: nobody's. Escalated: a person's, and SETTLE's once all signals cleared. Else: some actor has work."""
    incident, _ = walk
    following = decide(incident)
    assert following == decide(incident)
    assert len({item.work for item in following}) == len(following), "a work is a row: at most one of each"
    settle = Next(Work.SETTLE, Reason.SETTLING, incident.cleared_at + SETTLE) if incident.cleared_at else None
    if incident.state.final:
        assert following == ()
    elif incident.state is State.ESCALATED:
        assert works(incident) <= {Work.PLAN, Work.REFINE, Work.SETTLE}
        assert (settle in following) == (settle is not None)
    else:
        assert following, f"{incident.state} for {incident.reason}, and nobody has anything to do"


@given(walks)
def test_what_the_fold_says_hangs_together(walk: Walk) -> None:
    incident, entries = walk
    assert incident.seq == len(entries)
    assert (incident.cleared_at is None) == bool(incident.active)
    asking = incident.approval is not None and incident.approval.outcome is None
    assert asking == (incident.state is State.AWAITING_APPROVAL)
    assert (incident.ended_at is not None) == incident.state.final
    assert (Work.AWAIT in works(incident)) == asking
    if Work.EXECUTE in works(incident):
        assert works(incident) == {Work.EXECUTE}
        approved = incident.approval is not None and incident.approval.outcome is ApprovalOutcome.APPROVED
        allowed = incident.verdict is not None and incident.verdict.kind is VerdictKind.AUTO
        assert approved or allowed, "nothing is carried out that neither policy nor people allowed"


@given(walks, st.integers(0, 40), st.sampled_from(["twice", "skipped", "foreign"]))
def test_an_entry_out_of_its_place_is_refused(walk: Walk, at: int, how: str) -> None:
    _, entries = walk
    entry = entries[at % len(entries)]
    before = fold(A, entries[: entry.seq - 1])
    wrong = {
        "twice": lambda: evolve(evolve(before, entry), entry),
        "skipped": lambda: evolve(before, msgspec.structs.replace(entry, seq=entry.seq + 1)),
        "foreign": lambda: evolve(before, msgspec.structs.replace(entry, incident=IncidentId("b"))),
    }
    with pytest.raises(Invalid, match="does not follow"):
        wrong[how]()


def test_walks_reach_every_state_and_every_event() -> None:
    """The properties above are worth what their journals reach."""
    reached = [random_walk(seed) for seed in range(1500)]
    states = {step.state for _, entries in reached for step in accumulate(entries, evolve, initial=Incident(id=A))}
    kinds = {type(entry.event).__name__ for _, entries in reached for entry in entries}
    assert states == set(State)
    assert kinds == {kind.__name__ for kind in typing.get_args(ev.AnyEvent)}


def test_what_fires_again_after_its_question_became_void_is_planned_anew() -> None:
    request = requested()
    void = ev.ApprovalClosed(reason=Reason.SIGNALS_CLEARED, approval=request.request.id, outcome=ApprovalOutcome.VOID)
    quiet = told(opened(), attached(1), report(), proposed(), request, cleared(1), void)
    assert works(quiet) == {Work.SETTLE}
    again = told(opened(), attached(1), report(), proposed(), request, cleared(1), void, attached(2))
    assert works(again) == {Work.PLAN}
    stood_down = told(opened(), attached(1), report(), proposed(VerdictKind.REFUSE), cleared(1), attached(2))
    assert decide(stood_down) == (Next(Work.PLAN, Reason.FIRED_AGAIN),)


@pytest.mark.parametrize("ending", [ev.Resolved(reason=Reason.SIGNALS_CLEARED), ev.Escalated(reason=Reason.FROZEN)])
def test_no_question_outlives_its_incident(ending: ev.AnyEvent) -> None:
    incident = told(opened(), attached(), report(), proposed(), requested(), ending)
    assert incident.approval is not None
    assert incident.approval.outcome is ApprovalOutcome.VOID
    answered = ev.ApprovalClosed(
        reason=Reason.QUORUM_REACHED, approval=incident.approval.id, outcome=ApprovalOutcome.APPROVED
    )
    kept = told(opened(), attached(), report(), proposed(), requested(), answered, ending)
    assert kept.approval is not None
    assert kept.approval.outcome is ApprovalOutcome.APPROVED


def value_of(kind: object) -> st.SearchStrategy[object]:
    """Any value of a type that occurs in events."""
    kind = getattr(kind, "__supertype__", kind)  # a NewType is its base here
    known: dict[object, Callable[[], st.SearchStrategy[object]]] = {
        str: lambda: st.text(),
        int: lambda: st.integers(-(2**53), 2**53),
        float: lambda: st.floats(allow_nan=False, allow_infinity=False),
        bool: lambda: st.booleans(),
        type(None): lambda: st.none(),
        datetime: lambda: st.datetimes(timezones=st.just(UTC)),
    }
    if kind in known:
        return known[kind]()
    origin, arguments = typing.get_origin(kind), typing.get_args(kind)
    if origin is tuple:
        return st.lists(value_of(arguments[0]), max_size=2).map(tuple)
    if origin is dict:
        return st.dictionaries(value_of(arguments[0]), value_of(arguments[1]), max_size=2)
    if origin in (typing.Union, types.UnionType):
        return st.one_of([value_of(argument) for argument in arguments])
    assert isinstance(kind, type)
    if issubclass(kind, Enum):
        return st.sampled_from(kind)
    assert issubclass(kind, msgspec.Struct)
    fields = msgspec.structs.fields(kind)
    return st.fixed_dictionaries({field.name: value_of(field.type) for field in fields}).map(
        lambda values: kind(**values)
    )


@pytest.mark.parametrize("kind", typing.get_args(ev.AnyEvent), ids=lambda kind: kind.__name__)
@settings(max_examples=20)
@given(data=st.data())
def test_any_event_survives_its_way_through_the_journal(kind: type[ev.Event], data: st.DataObject) -> None:
    event = data.draw(value_of(kind))
    encoded = msgspec.json.encode(event)
    assert msgspec.json.decode(encoded, type=ev.AnyEvent) == event
    assert msgspec.json.encode(msgspec.json.decode(encoded, type=ev.AnyEvent)) == encoded


def test_the_words_of_the_journal_do_not_change() -> None:
    """Stored journals must stay readable: a tag may be added here, never changed."""
    tags = {kind.__name__: kind.__struct_config__.tag for kind in typing.get_args(ev.AnyEvent)}
    assert tags == {name: "".join(f"-{c.lower()}" if c.isupper() else c for c in name).lstrip("-") for name in tags}
    old = (
        b'{"type":"incident-opened","reason":"rule-matched","key":"k","cluster":"c","condition":"X","severity":"error",'
    )
    old += b'"title":"t","subject":{"kind":"Pod","name":"p"},"owner":{"kind":"Pod","name":"p"},"rule":"r"}'
    assert isinstance(msgspec.json.decode(old, type=ev.AnyEvent), ev.IncidentOpened)
