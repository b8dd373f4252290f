"""What is asked of a metrics store: filled in safely, told in a sentence, cited where it speaks for itself."""

import math
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from midwatch.adapters.catalog.enrichment import load_questions
from midwatch.domain.conditions import CATALOGUE
from midwatch.domain.enrichment import Question, Scope, claim, filled, questions_for, scope_of, told
from midwatch.domain.errors import Invalid
from midwatch.domain.ids import IncidentId
from midwatch.domain.incidents import Incident, Member
from midwatch.domain.metrics import Point, Series
from midwatch.domain.refs import ObjectRef, Severity

AT = datetime(2026, 3, 1, 2, 0, tzinfo=UTC)
SHIPPED = Path(__file__).parents[3] / "rules" / "enrichment" / "prometheus.yaml"
WEB = ObjectRef("Deployment", "web", "shop")


def incident(*pods: str, owner: ObjectRef = WEB, related: tuple[ObjectRef, ...] = ()) -> Incident:
    members = tuple(
        Member(
            identity=pod,
            episode=pod,
            source="watch",
            condition="OOMKilled",
            severity=Severity.ERROR,
            subject=ObjectRef("Pod", pod, "shop"),
            related=related,
            first_at=AT,
            last_at=AT,
        )
        for pod in pods
    )
    return Incident(id=IncidentId("i"), owner=owner, subject=owner, members=members, began_at=AT)


def scope(**more: str) -> Scope:
    return Scope(start=AT, end=AT, **more)


def series(*values: float, **labels: str) -> Series:
    return Series(labels=labels, points=tuple(Point(AT + timedelta(seconds=15 * i), v) for i, v in enumerate(values)))


def test_the_window_and_the_subject() -> None:
    found = scope_of(incident("web-1", "web-2"), AT + timedelta(hours=1))
    assert (found.start, found.end) == (AT - timedelta(minutes=5), AT + timedelta(minutes=1))
    assert (found.namespace, found.pods) == ("shop", "web-1|web-2")
    assert scope_of(incident("web-1"), AT).end == AT, "the future is not asked for"
    assert scope_of(incident(), AT).pods == "web-.+"
    assert scope_of(incident(owner=ObjectRef("Node", "n1")), AT).node == "n1"
    assert scope_of(incident("web-1", related=(ObjectRef("Node", "n2"),)), AT).node == "n2"


def test_a_name_cannot_leave_its_quotes() -> None:
    expr = 'x{namespace="$namespace", pod=~"$pods"}'
    odd = scope(namespace='a"} or vector(1) #', pods="x")
    assert filled(expr, odd) == 'x{namespace="a\\"} or vector(1) #", pod=~"x"}'
    assert scope_of(incident("a.b"), AT).pods == "a\\.b"
    assert filled('x{pod=~"$pods"}', scope_of(incident("a.b"), AT)) == 'x{pod=~"a\\\\.b"}'


@given(st.text(max_size=60))
def test_whatever_a_name_is_the_quotes_stay_closed(name: str) -> None:
    text = filled('x{pod="$pods"}', scope(pods=name))
    inner = text.removeprefix('x{pod="').removesuffix('"}')
    position = 0
    while position < len(inner):
        assert inner[position] not in '"\n'
        position += 2 if inner[position] == "\\" else 1
    assert position == len(inner)


def test_only_what_is_called_for_and_can_be_filled() -> None:
    questions = (
        Question(id="oom", title="", expr='a{pod=~"$pods"}', families=("oom_killed",)),
        Question(id="all", title="", expr='a{namespace="$namespace"}'),
        Question(id="node", title="", expr='a{node="$node"}'),
    )
    ids = [each.id for each in questions_for(questions, ("oom_killed",), scope(namespace="a", pods="b"))]
    assert ids == ["oom", "all"]
    assert [each.id for each in questions_for(questions, ("quota",), scope(node="n"))] == ["node"]


def test_told_and_cited() -> None:
    question = Question(id="m", title="Memory of its limit", expr="", unit="ratio", cite_above=0.9)
    rising = series(0.5, 0.97, 0.2, pod="web-1", container="app")
    assert told(question, [rising]) == "Memory of its limit: web-1/app 50 %, at most 97 %, 20 % at the end"
    assert claim(question, [series(0.1), rising]) == "Memory of its limit: 97 % at 02:00:15 UTC in web-1/app"
    assert claim(question, [series(0.5)]) == ""
    assert claim(question, [series(math.nan, math.inf)]) == ""
    assert told(question, []) == "Memory of its limit: no data"
    size = Question(id="m", title="M", expr="", unit="bytes")
    assert told(size, [series(512 * 2**20, 512 * 2**20)]) == "M: total 512.0 MiB throughout"
    assert told(size, [series(1)] * 10).endswith("and 2 more series")


def test_the_shipped_queries_serve_families_that_exist() -> None:
    questions = load_questions(SHIPPED)
    oom = questions_for(questions, (CATALOGUE["OOMKilled"].family,), scope(namespace="a", pods="b"))
    assert {"memory-of-limit", "memory"} <= {each.id for each in oom}


BAD = {
    "family": ("families: [nonsense]", "unknown family"),
    "unit": ("unit: parsec", "unknown unit"),
    "placeholder": ("families: []\n    expr: 'x{a=\"$where\"}'", "twice|unknown placeholder"),
    "key": ("famlies: []", "unknown field"),
}


@pytest.mark.parametrize(("line", "says"), BAD.values(), ids=BAD)
def test_faults_name_file_and_line(tmp_path: Path, line: str, says: str) -> None:
    path = tmp_path / "q.yaml"
    path.write_text(f"queries:\n  - id: a\n    title: t\n    expr: 'x{{namespace=\"$namespace\"}}'\n    {line}\n")
    with pytest.raises(Invalid, match=says) as raised:
        load_questions(path)
    assert f"{path}:" in str(raised.value)


def test_a_query_over_everything_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "q.yaml"
    path.write_text("queries:\n  - {id: a, title: t, expr: up}\n  - {id: b, title: t, expr: 'x{a=\"$where\"}'}\n")
    with pytest.raises(Invalid, match="read every series") as raised:
        load_questions(path)
    assert "unknown placeholder $where" in str(raised.value)
