"""Judges of a run, whatever happened in it: the API server's own record, and queries over the journal."""

from collections import Counter
from collections.abc import Iterable, Mapping
from typing import Any

from tests.fixtures.gate import ask

KEY = "midwatch.dev/last-action"
"""The annotation in which every change carries its idempotency key."""

UNSETTLED = """
    SELECT s.incident_id, s.seq FROM incident_events s
     WHERE s.type = 'step-started'
       AND NOT EXISTS (SELECT 1 FROM incident_events e
                        WHERE e.incident_id = s.incident_id AND e.seq > s.seq
                          AND (e.type = 'escalated'
                               OR e.type IN ('step-verified', 'step-undone')
                              AND e.data->>'index' = s.data->>'index'))
"""
"""Mutating steps that ended neither verified nor undone nor in a person's hands."""

STUCK = "SELECT id, state FROM incidents WHERE state NOT IN ('resolved', 'closed')"

_STARTED = "SELECT incident_id, data->>'key' AS key FROM incident_events WHERE type IN ('step-started', 'undo-started')"
_ACTED = """
    SELECT DISTINCT ON (s.incident_id, s.seq) s.incident_id, s.data->>'key' AS key
      FROM incident_events s
      JOIN incident_events e ON e.incident_id = s.incident_id AND e.seq > s.seq AND e.type = 'step-acted'
     WHERE s.type = 'step-started'
"""
_REPEATED = """
    SELECT incident_id, type, count(*) FROM incident_events
     WHERE type IN ('step-acted', 'step-verified', 'step-undone', 'execution-started')
     GROUP BY incident_id, type, coalesce(data->>'execution', ''), coalesce(data->>'index', '')
    HAVING count(*) > 1 + (SELECT count(*) FROM incident_events r
                            WHERE r.incident_id = incident_events.incident_id AND r.type = 'reopened')
"""


def twice(mutations: Iterable[Mapping[str, Any]]) -> list[str]:
    """Changes that took effect more than once under one key, and such as bear no key at all."""
    keys: Counter[str] = Counter()
    faults = []
    for change in mutations:
        key = change.get("annotations", {}).get(KEY)
        if key:
            keys[key] += 1
        elif change["verb"] != "delete":  # which its uid makes happen once
            faults.append(f"a change of {change['resource']}/{change['name']} without a key")
    return faults + [f"{count} changes under key {key}" for key, count in keys.items() if count > 1]


async def contradictions(dsn: str, mutations: Iterable[Mapping[str, Any]]) -> list[str]:
    """Where the journal and the API server's record disagree, either way round."""
    done = {key for change in mutations if (key := change.get("annotations", {}).get(KEY))}
    begun = {row["key"] for row in await ask(dsn, _STARTED)}
    acted = {row["key"] for row in await ask(dsn, _ACTED)}
    faults = [f"key {key} was done and never announced" for key in sorted(done - begun)]
    return faults + [f"key {key} was told as done and is not in the record" for key in sorted(acted - done)]


async def journal_faults(dsn: str) -> list[str]:
    """What the journal itself shows to be wrong at the end of a run: unsettled steps, stuck incidents, repetitions."""
    unsettled = [f"step {row['seq']} of {row['incident_id']} has no end" for row in await ask(dsn, UNSETTLED)]
    stuck = [f"{row['id']} is still {row['state']}" for row in await ask(dsn, STUCK)]
    repeated = [f"{row['count']} times {row['type']} in {row['incident_id']}" for row in await ask(dsn, _REPEATED)]
    return unsettled + stuck + repeated
