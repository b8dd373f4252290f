"""What is captured for undoing may hold secrets: people see which fields were touched, never what they hold."""

from datetime import timedelta

import httpx2
import pytest

from midwatch.domain import events as ev
from midwatch.domain.reasons import Reason
from midwatch.domain.runs import touched
from midwatch.services.effects import Effect, Outcome
from midwatch.services.outcomes import taken_effect
from serve.postmortem import draft
from tests.unit.edge import scenes
from tests.unit.edge.conftest import House

ONE = "0192f0a0-1111-7000-8000-000000000001"
SECRET = "hunter2-of-the-old-template"
CAPTURED = f'{{"/spec/template": {{"spec": {{"containers": [{{"env": [{{"name": "X", "value": "{SECRET}"}}]}}]}}}}}}'


@pytest.mark.parametrize(
    ("text", "names"),
    [
        (CAPTURED, "/spec/template"),
        ('{"b": 1, "a": null}', "a, b"),
        ("found done after a restart", "found done after a restart"),
        ('{"cut off', ""),
        ("{}", ""),
        ("", ""),
    ],
)
def test_only_names_are_told(text: str, names: str) -> None:
    assert touched(text) == names


def test_the_journal_keeps_the_names_of_what_an_act_changed() -> None:
    acted = taken_effect(0, Outcome(effect=Effect.APPLIED, before=CAPTURED, after=CAPTURED, generation=7))
    assert (acted.detail, acted.generation) == ("/spec/template", 7)


async def test_no_page_and_no_answer_holds_a_captured_value(
    house: House, api: httpx2.AsyncClient, browser: httpx2.AsyncClient
) -> None:
    fixed = scenes.fixed()
    fixed[2] = ev.StepStarted(reason=Reason.PRECHECK_PASSED, index=0, key="execution-1:0", before=CAPTURED)
    fixed[3] = ev.StepActed(reason=Reason.APPLIED, index=0, detail=CAPTURED)
    journal = house.store.journal
    incident = await scenes.told(journal, ONE, scenes.opened(), scenes.diagnosed(), scenes.asked(), fixed[:4])
    entries = await journal.entries(incident.id)
    shown = [draft(incident, entries, base="", now=scenes.T0 + timedelta(hours=6))]
    story = f"/api/incidents/{ONE}/timeline?follow=false"
    for client, path in ((api, f"/api/incidents/{ONE}"), (api, story), (browser, f"/incidents/{ONE}")):
        answer = await client.get(path)
        assert answer.status_code == 200
        shown.append(answer.text)
    for text in shown:
        assert "/spec/template" in text
        assert SECRET not in text
    assert incident.execution is not None
    assert SECRET in incident.execution.steps[0].before, "undoing needs it"
