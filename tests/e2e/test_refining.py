"""A model improves a report in a whole house: the same incident, cited evidence, and a killed worker goes on."""

import json
from collections.abc import Iterator
from typing import Any

import pytest

from tests.fakes.llm_server import Answer, Hang, LlmServer, Step, Text, Tool, says
from tests.fixtures.houses import RunningHouse, eventually, house_folder

CAUSE = "the payment service cannot start"


class Detective:
    """Is silent the first time, for as long as a worker lives; then looks once at what there is, and concludes."""

    def __init__(self) -> None:
        self._asked = False

    def __call__(self, body: dict[str, Any]) -> Step:
        silent, self._asked = not self._asked, True
        return Hang() if silent else detective(body)


def detective(body: dict[str, Any]) -> Answer:
    """Looks once, then concludes with a line of what it was shown."""
    results = [block for message in body["messages"] for block in message["content"] if block["type"] == "tool_result"]
    if "tools" not in body or results:
        return says(json.dumps(conclusion(body)))
    return Answer(
        (
            Text("What was seen first."),
            Tool("read_output", {"call_id": first_look(body), "from_line": 1, "to_line": 5}),
        )
    )


def first_look(body: dict[str, Any]) -> str:
    told = body["messages"][0]["content"][0]["text"]
    looks = told.partition('source="looks">')[2]
    return looks[looks.index("[") + 1 : looks.index("]")]


def conclusion(body: dict[str, Any]) -> dict[str, object]:
    return {
        "known": True,
        "root_cause": CAUSE,
        "summary": "It exits at once.",
        "confidence": 0.7,
        "evidence": [
            {"call_id": first_look(body), "line": 1, "quote": " of "},
            {"call_id": first_look(body), "quote": "Pod:"},
        ],
        "next_checks": ["look at its configuration"],
    }


@pytest.fixture
def house() -> Iterator[tuple[RunningHouse, LlmServer]]:
    server = LlmServer(script=Detective())
    with server.serve() as address, house_folder() as folder:
        environment = {
            "ANTHROPIC_API_KEY": "test-key",
            "ANTHROPIC_BASE_URL": address,
            "MIDWATCH_REFINE_RACE_BELOW": "0",
        }
        house = RunningHouse(folder, scenario="none", environment=environment)
        try:
            house.start()
            yield house, server
        finally:
            house.stop()


def test_a_crash_loop_is_reported_at_once_and_better_later_even_if_the_worker_dies(
    house: tuple[RunningHouse, LlmServer],
) -> None:
    running, server = house
    running.cluster.breaks("crashloop")
    asked = running.wait_for_state("awaiting_approval", about="payment-api", within_s=120)
    assert asked["report"]["author"] == "built-in", "people do not wait for a model"
    eventually(lambda: server.requests or None, within_s=60, what="the model was asked")
    running.kill_actor("RcaWorker")

    def refined() -> dict[str, Any] | None:
        found = running.incident(asked["id"])
        return found if found["report"]["author"] != "built-in" else None

    better = eventually(refined, within_s=120, what="the report is improved")
    assert better["report"]["root_cause"] == CAUSE
    assert better["report"]["evidence"]
    told = [entry["type"] for entry in running.entries(asked["id"])]
    assert told.count("refinement-started") >= 2, "the second worker went on"
    assert told.count("refinement-ended") == 1
    assert len(running.incidents("payment-api")) == 1
    assert not server.faults
