"""The folder of runbooks: what is taken, what is refused, and which page fits which incident."""

import os
from datetime import UTC, datetime
from pathlib import Path

import pytest
from typer.testing import CliRunner

from midwatch.adapters.catalog.runbooks import FolderRunbooks, load_runbooks
from midwatch.commands.runbooks import app
from midwatch.domain.diagnosis import Diagnosis
from midwatch.domain.errors import Invalid
from midwatch.domain.ids import IncidentId
from midwatch.domain.incidents import Incident, Member
from midwatch.domain.refs import ObjectRef, Severity
from midwatch.domain.runbooks import MAX_BYTES, RunbookPage, fitting, unfit

SHIPPED = Path(__file__).parents[3] / "rules" / "runbooks"
AT = datetime(2026, 3, 1, tzinfo=UTC)
POD = ObjectRef("Pod", "web-1", "shop")


def member(condition: str = "", **more: str) -> Member:
    return Member(
        identity=f"i{condition}",
        episode="e",
        source="watch",
        condition=condition,
        severity=Severity.ERROR,
        subject=POD,
        first_at=AT,
        last_at=AT,
        **more,  # type: ignore[arg-type]
    )


def incident(condition: str = "", *members: Member) -> Incident:
    owner = ObjectRef("Deployment", "web", "shop")
    return Incident(id=IncidentId("i"), condition=condition, owner=owner, cluster="blue", members=members)


def report(cause: str = "", condition: str = "") -> Diagnosis:
    return Diagnosis(root_cause=cause, summary="", confidence=0.9, condition=condition)


def page(name: str, **more: object) -> RunbookPage:
    return RunbookPage(id=name, title=name, text="t", source="s", **more)  # type: ignore[arg-type]


def found(pages: list[RunbookPage], case: Incident, said: Diagnosis) -> list[str]:
    return [page.id for page, _ in fitting(pages, case, said)]


def test_best_first() -> None:
    pages = [
        page("by-cause", patterns=("out of mem",)),
        page("by-parent", conditions=("FailedScheduling",)),
        page("by-condition", conditions=("OOMKilled",)),
        page("elsewhere", conditions=("OOMKilled",), labels={"cluster": "green"}),
        page("here", conditions=("OOMKilled",), labels={"cluster": "blue", "namespace": "shop"}),
        page("asked", conditions=("NodeNotReady",), labels={"cluster": "green"}),
        page("other", conditions=("PVCPending",)),
    ]
    case = incident("FailedScheduling/InsufficientMemory", member("CrashLoopBackOff", runbook_id="asked"))
    assert found(pages, case, report("Out of memory", "OOMKilled")) == [
        "asked",
        "here",
        "by-condition",
        "by-parent",
        "by-cause",
    ]


def test_a_condition_that_only_begins_alike_is_another() -> None:
    assert found([page("a", conditions=("PodFailed",))], incident("PodFailedX"), report()) == []


def test_the_shipped_ones_are_sound_and_found() -> None:
    pages = load_runbooks(SHIPPED)
    assert len(pages) >= 10
    assert found(list(pages), incident("OOMKilled"), report())[0] == "oom-killed"
    assert found(list(pages), incident(), report("lookup db: no such host")) == ["dns"]
    assert found(list(pages), incident(), report("FATAL: remaining connection slots are reserved")) == [
        "database-connections"
    ]


BAD = {
    "no front matter": ("# Hello\n", ":1: begins with a front matter"),
    "unknown key": ("---\ntitle: t\ncondition: [OOMKilled]\n---\nx\n", r"unknown field `condition`"),
    "unknown condition": ("---\ntitle: t\nconditions:\n  - OOMKilled\n  - OMKilled\n---\nx\n", ":5: unknown condition"),
    "unknown label": ("---\ntitle: t\nlabels: {team: a}\n---\nx\n", ":3: unknown label"),
    "pattern": ("---\ntitle: t\npatterns: ['(']\n---\nx\n", ":3: not a pattern"),
    "never found": ("---\ntitle: t\n---\nx\n", "never found"),
    "empty": ("---\ntitle: t\nconditions: [OOMKilled]\n---\n", "says nothing"),
}


@pytest.mark.parametrize(("text", "says"), BAD.values(), ids=BAD)
def test_faults_name_file_and_line(tmp_path: Path, text: str, says: str) -> None:
    (tmp_path / "a.md").write_text(text)
    with pytest.raises(Invalid, match=says) as raised:
        load_runbooks(tmp_path)
    assert str(raised.value).startswith(str(tmp_path / "a.md"))


@pytest.mark.parametrize(
    "data",
    [b"", b" \n", b"\xff\xfe", b"a\x00b", b"<!DOCTYPE html><p>", b"\n<html>", b"a\x1b[31m", b"x" * (MAX_BYTES + 1)],
)
def test_what_is_no_runbook(data: bytes) -> None:
    assert unfit(data)


def test_a_change_is_seen_and_a_fault_leaves_what_was(tmp_path: Path) -> None:
    good = "---\ntitle: t\nconditions: [OOMKilled]\n---\nfirst\n"
    path = tmp_path / "a.md"
    path.write_text(good)
    folder = FolderRunbooks(tmp_path)
    assert [page.text for page in folder.pages()] == ["first"]
    path.write_text(good.replace("first", "other"))
    os.utime(path, ns=(1, 1))
    assert [page.text for page in folder.pages()] == ["other"]
    path.write_text("broken")
    assert [page.text for page in folder.pages()] == ["other"]
    assert FolderRunbooks(tmp_path / "absent").pages() == ()


def test_commands(tmp_path: Path) -> None:
    run = CliRunner().invoke
    assert run(app, ["check", str(SHIPPED)]).exit_code == 0
    (tmp_path / "a.md").write_text("x")
    assert run(app, ["check", str(tmp_path)]).exit_code == 1
    ran = run(app, ["find", "OOMKilled", "--folder", str(SHIPPED)])
    assert ran.exit_code == 0
    assert "oom-killed" in ran.output
    assert run(app, ["find", "--cause", "nothing known", "--folder", str(SHIPPED)]).exit_code == 1
    assert run(app, ["find", "OMKilled", "--folder", str(SHIPPED)]).exit_code == 2
