"""What models cost and how tool servers stand: by the API and on the console."""

from datetime import timedelta

import httpx2
import msgspec

from midwatch.domain import events as ev
from midwatch.domain.budgets import Budget
from midwatch.domain.dialogue import AssistantTurn, ModelReply, StopReason, Usage
from midwatch.domain.reasons import Reason
from midwatch.domain.servers import Flip, ServerRecord, ServerState, ToolServers
from midwatch.services.spending import SpendRow
from tests.unit.edge import scenes
from tests.unit.edge.conftest import House, Opener
from tests.unit.edge.scenes import T0

TODAY = T0.date()
BROKEN = "no answer <script>alert(1)</script>"


async def spent(house: House) -> None:
    for row in (
        SpendRow(day=TODAY, provider="anthropic", model="large", calls=3, input=900, cache_read=90, output=10, usd=1.5),
        SpendRow(day=TODAY, provider="anthropic", model="small", calls=1, input=100, usd=0.25),
        SpendRow(day=TODAY, tool_calls=7, wall_s=12.5),
        SpendRow(day=TODAY - timedelta(days=1), provider="openai", model="other", calls=2, usd=4.0),
        SpendRow(day=TODAY - timedelta(days=40), provider="openai", model="other", calls=2, usd=4.0),
    ):
        await house.store.spend.add(row)


async def servers() -> tuple[ToolServers, ...]:
    flips = (Flip(T0, ServerState.FAILED), Flip(T0 - timedelta(hours=1), ServerState.HEALTHY))
    record = ServerRecord(
        name="scan",
        transport="sse",
        internal=False,
        state=ServerState.FAILED,
        connected=False,
        since=T0,
        error=BROKEN,
        cluster="lab",
        flips=flips,
    )
    return (ToolServers("rca-worker-1", (record,)),)


async def test_a_program_reads_what_was_spent(house: House, opened: Opener) -> None:
    await spent(house)
    house.change(day_budget=Budget(usd=50.0))
    api = await opened()
    told = (await api.get("/api/usage?days=7")).json()
    assert told["day_budget"]["usd"] == 50.0
    today, yesterday = told["days"]
    assert (today["usd"], today["model_calls"], today["tool_calls"], today["seconds"]) == (1.75, 4, 7, 12.5)
    assert [(row["model"], row["usd"]) for row in today["models"]] == [("large", 1.5), ("small", 0.25)]
    assert yesterday["usd"] == 4.0
    assert len((await api.get("/api/usage?days=60")).json()["days"]) == 3
    assert (await api.get("/api/usage?days=0")).status_code == 422


async def test_a_program_reads_how_tool_servers_stand(house: House, opened: Opener) -> None:
    house.change(tool_servers=servers)
    api = await opened()
    (worker,) = (await api.get("/api/mcp-servers")).json()["workers"]
    (server,) = worker["servers"]
    assert (worker["worker"], server["state"], server["cluster"]) == ("rca-worker-1", "failed", "lab")
    assert [flip["state"] for flip in server["flips"]] == ["failed", "healthy"]


async def test_a_page_shows_both_escaped(house: House, browser: httpx2.AsyncClient) -> None:
    text = (await browser.get("/usage")).text
    assert "No model has been asked" in text
    assert "None has been started" in text


async def test_the_page_with_numbers(house: House, opened: Opener) -> None:
    await spent(house)
    house.change(tool_servers=servers, day_budget=Budget(usd=50.0))
    api = await opened()
    text = (await api.get("/usage")).text
    for shown in ("$1.75", "anthropic/large", "7 tools", "at most $50.00 a day", "rca-worker-1", "became failed"):
        assert shown in text, shown
    assert "<script>alert" not in text


async def test_an_incident_shows_what_it_cost(house: House, api: httpx2.AsyncClient) -> None:
    def turned(model: str, usd: float) -> ev.ModelTurned:
        reply = ModelReply(
            turn=AssistantTurn("x"),
            stop=StopReason.DONE,
            usage=Usage(input=1000),
            provider="stub",
            model=model,
            cost_usd=usd,
        )
        return ev.ModelTurned(reason=Reason.ASKED_FOR_MORE, iteration=1, reply=reply)

    looked = ev.ToolCalled(
        reason=Reason.EVIDENCE_GATHERED, call_id="m-1.1", tool="logs", input="{}", output="x", iteration=1
    )
    again = msgspec.structs.replace(looked, call_id="m-1.2", of="m-1.1")
    refused = msgspec.structs.replace(looked, call_id="m-1.3", reason=Reason.LIMIT_REACHED)
    broke = ev.ModelBroke(reason=Reason.MODEL_AWAY, tokens=500, usd=0.5)
    story = (turned("large", 0.25), looked, again, refused, broke, turned("large", 0.25), turned("small", 0.01))
    incident = await scenes.told(house.store.journal, "i-1", scenes.opened(), scenes.diagnosed(), story)
    told = (await api.get(f"/api/incidents/{incident.id}")).json()
    by_model = {each["model"]: each for each in told["spending"]}
    assert (by_model["large"]["calls"], by_model["large"]["tool_calls"], by_model["large"]["tokens"]) == (2, 1, 2000)
    assert by_model["-"]["usd"] == 0.5
    page = (await api.get(f"/incidents/{incident.id}")).text
    assert "What models cost: $1.0100" in page
    assert "stub/large" in page
    assert "broken off" in page
