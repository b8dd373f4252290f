"""What an incident takes along when a late cause adopts it."""

from collections.abc import Mapping

import msgspec
import pytest

from midwatch.domain.incidents import Incident
from midwatch.domain.refs import ObjectRef
from midwatch.domain.rules import Matcher, Rule
from midwatch.domain.signals import Signal, Tier
from midwatch.services.placing import Placing
from tests.fakes.runtime import CountingIds, ManualClock
from tests.fakes.samples import a_signal
from tests.fakes.stores import MemoryStore

NODE, WEB = ObjectRef("Node", "worker-7"), ObjectRef("Deployment", "web", "shop")
LOSS = msgspec.structs.replace(
    a_signal(1), condition="NodeNotReady", subject=NODE, owner=NODE, failure_class="node", related=()
)


def effect(labels: Mapping[str, str]) -> Signal:
    return msgspec.structs.replace(
        a_signal(2),
        condition="PodNotReady",
        subject=ObjectRef("Pod", "web-1", "shop"),
        owner=WEB,
        related=(NODE,),
        labels=dict(labels),
    )


async def together(*signals: Signal, rule_of_effect: Tier) -> Incident:
    """The one incident that is open after these came, one by one."""
    store = MemoryStore()
    placing = Placing(store.journal, ManualClock(), CountingIds(), by="rules")
    for signal in signals:
        tier = Tier.AUTONOMOUS if signal is LOSS else rule_of_effect
        await placing.take([(signal, Rule(id="any", match=Matcher(), tier=tier))])
    (row,) = await store.journal.recent(open_only=True)
    return await store.journal.read(row.id)


@pytest.mark.parametrize("cause_first", [True, False], ids=["cause-first", "adopted"])
@pytest.mark.parametrize(
    ("labels", "rule", "left"),
    [
        ({}, Tier.AUTONOMOUS, (Tier.AUTONOMOUS, 0.0, "")),
        ({"agent_action": "none"}, Tier.AUTONOMOUS, (Tier.HUMAN_ONLY, 0.0, "")),
        ({"escalate_threshold": "95%", "runbook_id": "x"}, Tier.AUTONOMOUS, (Tier.AUTONOMOUS, 0.95, "x")),
        ({}, Tier.SUPERVISED, (Tier.SUPERVISED, 0.0, "")),
    ],
    ids=["nothing", "no-action", "threshold", "stricter-rule"],
)
async def test_the_order_of_arrival_gives_no_more_authority(
    labels: Mapping[str, str], rule: Tier, left: tuple[Tier, float, str], cause_first: bool
) -> None:
    came = (LOSS, effect(labels)) if cause_first else (effect(labels), LOSS)
    cause = await together(*came, rule_of_effect=rule)
    assert (cause.owner, len(cause.active)) == (NODE, 2)
    assert (cause.tier, cause.threshold, cause.wanted) == left
