"""Grafana's legacy alerting (before version 9): one rule a body, told when its state changes, to signals."""

import msgspec

from midwatch.domain.signals import SignalStatus
from serve.schemas.incoming import Alerts, Observation, Reading, clean, decode, first_line, printable, to_signal

_STATES = {
    "alerting": SignalStatus.FIRING,
    "no_data": SignalStatus.FIRING,
    "ok": SignalStatus.RESOLVED,
}
"""What a state means for us. The others (``paused``, ``pending``, ``unknown``) say neither that a thing is wrong nor
that it is well again."""


class _Match(msgspec.Struct, frozen=True):
    metric: str | None = ""
    tags: dict[str, str] | None = None


class _Legacy(msgspec.Struct, frozen=True, rename="camel"):
    state: str
    rule_name: str
    rule_id: int | str = ""
    rule_url: str | None = ""
    title: str | None = ""
    message: str | None = ""
    eval_matches: tuple[_Match, ...] | None = None
    tags: dict[str, str] | None = None
    org_id: int = 0
    dashboard_id: int = 0
    panel_id: int = 0


_DECODER = msgspec.json.Decoder(_Legacy)


def read_legacy(body: bytes, reading: Reading) -> Alerts:
    """Read a body of legacy alerting: one signal without a start, or none. Raises :class:`Invalid`."""
    told = decode(_DECODER, body, "a body of Grafana's legacy alerting")
    status = _STATES.get(told.state.lower())
    if status is None:
        return Alerts(())
    name = printable(told.rule_name)[:200] or "UnnamedAlert"
    labels = clean({**_common_tags(told.eval_matches or ()), **(told.tags or {}), "alertname": name})
    message = printable(told.message or "")[:4096]
    seen = Observation(
        source="grafana",
        status=status,
        name=name,
        labels=labels,
        annotations=clean({"rule_url": told.rule_url or "", "state": told.state}),
        # The rule, not its tags: what is over no longer has the tags of what fired.
        fingerprint=f"legacy:{told.org_id}:{told.dashboard_id}:{told.panel_id}:{told.rule_id or name}",
        starts_at=None,
        title=first_line(message, printable(told.title or ""), name),
        summary=message,
    )
    return Alerts((to_signal(seen, reading),), frozenset({0}))


def _common_tags(matches: tuple[_Match, ...]) -> dict[str, str]:
    """Tags that every series has alike: they say where it is.

    Not the cluster: it is part of what is told apart, and a rule that is well again comes without series.
    """
    pairs = [set((match.tags or {}).items()) for match in matches]
    shared = sorted(set.intersection(*pairs)) if pairs else []
    return {name: value for name, value in shared if name not in ("cluster", "cluster_name")}
