"""What the labels of an alert may say of our authority: only that there is less of it. Pure.

Rules and policy give authority. Whoever can write a label could be anybody, so a label moves the tier towards
``human_only``, raises how sure a diagnosis must be, or names a playbook of the catalogue; it must be meant for the
condition, and its plan is judged as any other.
"""

import math
from collections.abc import Mapping

import msgspec

from midwatch.domain.refs import Severity
from midwatch.domain.signals import Tier

_ORDER = {Tier.AUTONOMOUS: 0, Tier.SUPERVISED: 1, Tier.HUMAN_ONLY: 2}
_TIERS = {
    **{tier.value: tier for tier in Tier},
    **dict.fromkeys(("human", "manual", "none", "off"), Tier.HUMAN_ONLY),
    **dict.fromkeys(("approval", "ask"), Tier.SUPERVISED),
}
_ACTIONS = {
    **dict.fromkeys(("none", "ignore", "notify", "inform", "observe", "escalate", "page"), Tier.HUMAN_ONLY),
    **dict.fromkeys(("propose", "recommend", "suggest", "approve", "ask"), Tier.SUPERVISED),
}
"""What ``agent_action`` takes away. Every other word, ``investigate`` and ``remediate`` among them, takes nothing."""


class Authority(msgspec.Struct, frozen=True, kw_only=True):
    """``tier``: who may act at most. ``threshold``: how sure a diagnosis must be, from 0 to 1, to act alone (0: as
    policy says). ``playbook``: the one that the sender asks for, empty for none.
    """

    tier: Tier
    threshold: float = 0.0
    playbook: str = ""


def authority(tier: Tier, labels: Mapping[str, str]) -> Authority:
    """A rule's tier as far as an alert's labels leave it. Words that nobody knows change nothing."""
    asked = _TIERS.get(_word(labels, "tier"), tier)
    action = _ACTIONS.get(_word(labels, "agent_action"), tier)
    return Authority(
        tier=lower(lower(tier, asked), action),
        threshold=_share(labels.get("escalate_threshold", "")),
        playbook=labels.get("runbook_id", "").strip()[:253],
    )


def lower(one: Tier, other: Tier) -> Tier:
    """The tier with less authority."""
    return max(one, other, key=lambda tier: _ORDER[tier])


def route(tier: Tier, severity: Severity) -> str:
    """The name under which an incident is announced. What only people may act on is announced for their information."""
    if tier is Tier.HUMAN_ONLY or severity is Severity.INFO:
        return "sre-info"
    return "sre-critical" if severity is Severity.CRITICAL else "sre-warning"


def _word(labels: Mapping[str, str], name: str) -> str:
    return labels.get(name, "").strip().lower().replace("-", "_")


def _share(text: str) -> float:
    """A share between 0 and 1, also written as a percentage; 0 for what is none."""
    number = text.strip().removesuffix("%")
    try:
        share = float(number) / (100 if text.strip().endswith("%") else 1)
    except ValueError:
        return 0.0
    return share if math.isfinite(share) and 0 <= share <= 1 else 0.0
