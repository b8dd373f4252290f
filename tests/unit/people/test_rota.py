"""Who is on call, who hears of what, and when."""

from datetime import UTC, datetime, time, timedelta
from pathlib import Path

import msgspec
import pytest
from typer.testing import CliRunner

from midwatch.adapters.catalog.people import FilePeople, load_people
from midwatch.adapters.catalog.yaml_source import Faults
from midwatch.cli import app
from midwatch.domain.approvals import ApprovalRequest
from midwatch.domain.ids import ApprovalId, IncidentId, PlanDigest
from midwatch.domain.incidents import Incident
from midwatch.domain.reasons import Reason
from midwatch.domain.refs import ObjectRef, Severity
from midwatch.domain.rota import How, Override, People, Quiet, Rota, Route, Team, deliver, next_digest, route, watch

MONDAY = datetime(2026, 1, 5, 8, 0, tzinfo=UTC)
HOUR = timedelta(hours=1)
WEEK = timedelta(days=7)


def incident(severity: Severity = Severity.WARNING, namespace: str = "shop", **more: object) -> Incident:
    made = Incident(id=IncidentId("i-1"), severity=severity, owner=ObjectRef("Deployment", "web", namespace))
    return msgspec.structs.replace(made, **more)


def test_turns_go_round_and_overrides_take_their_place() -> None:
    rota = Rota(
        people=("alice", "bob"),
        starts=MONDAY,
        overrides=(Override(person="carol", starts=MONDAY + HOUR, ends=MONDAY + 2 * HOUR),),
    )
    assert rota.on_call(MONDAY - HOUR) == ""
    assert rota.on_call(MONDAY) == "alice"
    assert rota.on_call(MONDAY + HOUR) == "carol"
    assert rota.on_call(MONDAY + 2 * HOUR) == "alice"
    assert rota.on_call(MONDAY + WEEK) == "bob"
    assert rota.on_call(MONDAY + 2 * WEEK - timedelta(seconds=1)) == "bob"
    assert rota.on_call(MONDAY + 2 * WEEK) == "alice"
    assert rota.next_change(MONDAY + HOUR) == MONDAY + WEEK
    assert Rota(people=("alice",), starts=MONDAY).next_change(MONDAY) is None
    assert watch(People(rotas={"first": rota}), MONDAY) == (("first", "alice", MONDAY + WEEK),)


@pytest.mark.parametrize(
    ("now", "holds"),
    [
        (datetime(2026, 1, 5, 20, 59, tzinfo=UTC), False),
        (datetime(2026, 1, 5, 21, 0, tzinfo=UTC), True),
        (datetime(2026, 1, 6, 5, 59, tzinfo=UTC), True),
        (datetime(2026, 1, 6, 6, 0, tzinfo=UTC), False),
        (datetime(2026, 7, 6, 4, 59, tzinfo=UTC), True),
        (datetime(2026, 7, 6, 5, 0, tzinfo=UTC), False),
    ],
)
def test_quiet_hours_are_those_of_the_wall_clock(now: datetime, holds: bool) -> None:
    quiet = Quiet(begins=time(22), ends=time(7), timezone="Europe/Berlin")
    assert (quiet.until(now) is not None) == holds


def test_what_nobody_routed_goes_everywhere() -> None:
    found = route(incident(), People(), MONDAY)
    assert (found.everywhere, found.reason) == (True, Reason.NO_ROUTE)
    assert deliver(incident(), "anything", People(), MONDAY).how is How.NOW


PEOPLE = People(
    rotas={"primary": Rota(people=("alice",), starts=MONDAY), "pay": Rota(people=("bob",), starts=MONDAY)},
    teams={"payments": Team(namespaces=("pay*",), channels=("telegram",), rota="pay")},
    routes=(
        Route(severities=(Severity.CRITICAL,), channels=("sre-critical", "console")),
        Route(severities=(Severity.INFO,), channels=("console",), digest=True),
        Route(teams=("payments",), channels=("pay-room",)),
        Route(channels=("console",)),
    ),
    quiet={"console": Quiet(begins=time(22), ends=time(7))},
)


@pytest.mark.parametrize(
    ("about", "channels", "on_call"),
    [
        (incident(Severity.CRITICAL), ("sre-critical", "console"), "alice"),
        (incident(Severity.CRITICAL, "payments"), ("sre-critical", "console", "telegram"), "bob"),
        (incident(Severity.ERROR, "pay-2"), ("pay-room", "telegram"), "bob"),
        (incident(Severity.ERROR, "shop"), ("console",), "alice"),
        (incident(Severity.ERROR, "shop", notify=("#ops", "console")), ("console", "#ops"), "alice"),
        (incident(Severity.ERROR, ""), ("console",), "alice"),
    ],
)
def test_the_first_route_that_fits_counts(about: Incident, channels: tuple[str, ...], on_call: str) -> None:
    found = route(about, PEOPLE, MONDAY)
    assert (found.channels, found.on_call, found.reason) == (channels, on_call, Reason.ROUTE_MATCHED)


def test_at_night_only_what_is_severe_or_asks_is_told() -> None:
    night = MONDAY + timedelta(hours=15)
    later = deliver(incident(Severity.ERROR), "console", PEOPLE, night)
    assert (later.how, later.reason) == (How.LATER, Reason.QUIET_HOURS)
    assert later.until == datetime(2026, 1, 6, 7, 0, tzinfo=UTC)
    assert deliver(incident(Severity.ERROR), "console", PEOPLE, MONDAY).how is How.NOW
    assert deliver(incident(Severity.CRITICAL), "console", PEOPLE, night).how is How.NOW
    assert deliver(incident(Severity.ERROR), "telegram", PEOPLE, night).how is How.NOT
    asked = ApprovalRequest(id=ApprovalId("a"), digest=PlanDigest("d"), requested_at=night, expires_at=night + HOUR)
    assert deliver(incident(Severity.ERROR, approval=asked), "console", PEOPLE, night).how is How.NOW
    assert deliver(incident(Severity.INFO, approval=asked), "console", PEOPLE, night).how is How.NOW


def test_the_low_ones_wait_for_the_digest() -> None:
    told = deliver(incident(Severity.INFO), "console", PEOPLE, MONDAY)
    assert (told.how, told.until) == (How.DIGEST, MONDAY + HOUR)
    assert next_digest(PEOPLE, MONDAY + HOUR) == MONDAY + timedelta(hours=25)


BAD = {
    "rotas: {a: {people: [], starts: 2026-01-05T08:00:00Z}}": "a rota has people",
    "rotas: {a: {people: [x], starts: 2026-01-05T08:00:00}}": "time zone",
    "teams: {a: {namespaces: [x], rota: nope}}": "no rota 'nope'",
    "routes:\n- {channels: [x], teams: [nope]}": "no team 'nope'",
    "quiet: {x: {begins: '22:00:00', ends: '07:00:00', timezone: Mars/Base}}": "no time zone",
    "quiet: {x: {begins: '22:00:00', ends: '07:00:00', days: [7]}}": "days are numbers",
    "rotes: []": "rotes",
    "routes:\n- {channels: [x], severities: [bad]}": "Invalid enum value",
}


@pytest.mark.parametrize("text", BAD)
def test_a_bad_file_is_refused_with_its_line(tmp_path: Path, text: str) -> None:
    path = tmp_path / "people.yaml"
    path.write_text(text)
    with pytest.raises(Faults, match=f"people.yaml:.*{BAD[text].replace('(', '.')}"):
        load_people(path)


def test_a_bad_edit_leaves_the_old_one_in_force(tmp_path: Path) -> None:
    path = tmp_path / "people.yaml"
    assert FilePeople(path).current() == People()
    path.write_text("routes:\n- {channels: [x]}\n")
    source = FilePeople(path)
    good = source.current()
    path.write_text("rotes: []  # longer than before")
    assert source.current() == good
    assert "rotes" in source.fault


def test_the_shipped_file_loads() -> None:
    assert load_people(Path(__file__).parents[3] / "cluster_config" / "people.yaml") == People()


def test_oncall_says_who_has_the_watch(tmp_path: Path) -> None:
    path = tmp_path / "people.yaml"
    environment = {"MIDWATCH_PEOPLE_FILE": str(path)}
    assert "No rota" in CliRunner().invoke(app, ["oncall"], env=environment).stdout
    path.write_text("rotas: {primary: {people: [alice, bob], starts: 2026-01-05T08:00:00Z}}")
    told = CliRunner().invoke(app, ["oncall", "--at", "2026-01-13T00:00:00+01:00"], env=environment)
    assert "primary" in told.stdout
    assert "bob" in told.stdout
    assert "Mon 2026-01-19 08:00 UTC" in told.stdout
    for at, code in (("nonsense", 2), ("2026-01-13T00:00:00", 2)):
        assert CliRunner().invoke(app, ["oncall", "--at", at], env=environment).exit_code == code
    path.write_text("rotes: []")
    assert CliRunner().invoke(app, ["oncall"], env=environment).exit_code == 1
