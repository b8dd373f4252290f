"""Carrying an action out: read, compare, patch exactly that version, and never a second time under one key."""

import asyncio
import contextlib
from collections.abc import Sequence

import msgspec

from midwatch.adapters.mcp.kubernetes import diffs, pointers
from midwatch.adapters.mcp.kubernetes.api import Json, Kube
from midwatch.adapters.mcp.kubernetes.changes import CHANGES, Facts, rerun
from midwatch.adapters.mcp.kubernetes.observe import controller_of, evictable, selects
from midwatch.domain.actions import ACTIONS, RESTORE
from midwatch.domain.errors import Conflict, Invalid, NotFound, Permanent, Refused, Transient
from midwatch.domain.reasons import Reason
from midwatch.domain.refs import ObjectRef
from midwatch.services.effects import ActionCall, Effect, Outcome
from midwatch.services.runtime import Clock

_TRIES = 5
_DRAIN_S = 20.0
"""How long one call evicts."""
_ENDED = ("Failed", "Succeeded")


class ClusterActions:
    """An :class:`~midwatch.services.effects.ActionRunner` that talks to the API server itself."""

    def __init__(self, kube: Kube, clock: Clock) -> None:
        self._kube, self._clock = kube, clock

    async def rehearse(self, call: ActionCall) -> Outcome:
        """What the API server says would happen; nothing does."""
        return await self._run(call, dry_run=True)

    async def act(self, call: ActionCall) -> Outcome:
        """Do it, at most once per key."""
        return await self._run(call, dry_run=False)

    async def _run(self, call: ActionCall, *, dry_run: bool) -> Outcome:
        action = ACTIONS.get(call.action)
        if action is None and call.action != RESTORE:
            raise Invalid(f"unknown action {call.action!r}")
        if action is not None and call.ref.kind not in action.kinds:
            raise Invalid(f"{call.action} works on {', '.join(action.kinds)}, not on a {call.ref.kind}")
        if not call.ref.uid or not call.key:
            raise Invalid("an action needs the uid it expects and an idempotency key")
        if action is not None and action.by_uid:
            return await self._delete(call, dry_run=dry_run)
        if action is not None and action.creates:
            return await self._rerun(call, dry_run=dry_run)
        for _ in range(_TRIES):
            live = await self._live(call.ref)
            if pointers.last_action(live) == call.key and not dry_run:
                if call.action == "drain" and pointers.read(live, "/spec/unschedulable"):
                    await self._evict_all(call)
                return Outcome(effect=Effect.ALREADY_APPLIED, generation=_generation(live))
            _expect(call, live)
            if call.action == "drain" and not dry_run:
                await self._to_evict(call)  # what must not be evicted is found before the node is cordoned
            try:
                outcome = await self._change(call, live, dry_run=dry_run)
            except Conflict:
                continue  # somebody wrote in between (often only a status): look again, compare again
            if call.action == "drain" and not dry_run:
                await self._evict_all(call)
            return outcome
        raise Transient(f"{call.ref} changes faster than it can be patched", 2.0)

    async def _live(self, ref: ObjectRef) -> Json:
        live = await self._kube.get(ref.kind, ref.name, ref.namespace)
        if live is None:
            raise NotFound(f"{ref} does not exist any more")
        return {"kind": ref.kind, **live}

    async def _change(self, call: ActionCall, live: Json, *, dry_run: bool) -> Outcome:
        sets = await self._replica_sets(call.ref, live) if call.action == "rollout_undo" else ()
        facts = Facts(live, dict(call.params), self._clock.now(), sets, call.before)
        try:
            fields = CHANGES[call.action](facts)
        except Conflict as error:
            raise Permanent(f"{call.ref}: {error}") from error
        before = {pointer: pointers.read(live, pointer) for pointer in fields}
        answer = await self._kube.patch(call.ref, pointers.patch(live, fields, call.key), dry_run=dry_run)
        after = {pointer: pointers.read(answer, pointer) for pointer in fields}
        return Outcome(
            effect=Effect.DRY_RUN if dry_run else Effect.APPLIED,
            before=msgspec.json.encode(before, order="sorted").decode(),
            after=msgspec.json.encode(after, order="sorted").decode(),
            generation=_generation(answer),
            diff=diffs.yaml_diff(live, {"kind": call.ref.kind, **answer}),
        )

    async def _replica_sets(self, ref: ObjectRef, live: Json) -> Sequence[Json]:
        found = await self._kube.list("ReplicaSet", ref.namespace, labels=selects(live))
        uid = live["metadata"]["uid"]
        return [item for item in found if uid in {o.get("uid") for o in item["metadata"].get("ownerReferences") or ()}]

    async def _rerun(self, call: ActionCall, *, dry_run: bool) -> Outcome:
        """The new Job's name follows from the key, which it bears: a Job of that name and key was made by this call."""
        live = await self._live(call.ref)
        _expect(call, live)
        document = rerun(Facts(live, dict(call.params), self._clock.now()), call.key)
        try:
            await self._kube.create(document, dry_run=dry_run)
        except Conflict as error:  # also a quota that somebody else counts in at this moment
            made = await self._kube.get("Job", document["metadata"]["name"], call.ref.namespace)
            if made is None:
                raise Transient(f"{call.ref} was not run again: {error.message}", 2.0) from error
            if pointers.last_action(made) != call.key:
                raise Conflict(f"another Job is named {document['metadata']['name']}") from error
            return Outcome(effect=Effect.ALREADY_APPLIED, generation=_generation(live))
        effect = Effect.DRY_RUN if dry_run else Effect.APPLIED
        return Outcome(effect=effect, generation=_generation(live), diff=diffs.creation(document))

    async def _delete(self, call: ActionCall, *, dry_run: bool) -> Outcome:
        """The uid is the key: an object that is gone, replaced or going has had its deletion."""
        live = await self._kube.get(call.ref.kind, call.ref.name, call.ref.namespace)
        if live is None or live["metadata"]["uid"] != call.ref.uid or live["metadata"].get("deletionTimestamp"):
            if dry_run:
                raise NotFound(f"{call.ref} does not exist any more")
            return Outcome(effect=Effect.ALREADY_APPLIED)
        live = {"kind": call.ref.kind, **live}
        if call.action == "delete_finished_pod" and (live.get("status") or {}).get("phase") not in _ENDED:
            raise Refused(Reason.PRECHECK_FAILED, f"{call.ref} has not ended: only the remains of a pod are deleted")
        try:
            await self._kube.delete(call.ref, dry_run=dry_run)
        except (NotFound, Conflict):
            return Outcome(effect=Effect.ALREADY_APPLIED)
        return Outcome(effect=Effect.DRY_RUN if dry_run else Effect.APPLIED, diff=diffs.deletion(live))

    async def _evict_all(self, call: ActionCall) -> None:
        """Evict what may be evicted; pods whose budgets say not now are asked again for a while.

        Some may stay: whoever waits for the node to be empty asks again under the same key.
        """
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(_DRAIN_S):
                while left := await self._to_evict(call):
                    for pod in left:
                        await self._evict(pod)
                    await self._clock.sleep(0.5)

    async def _to_evict(self, call: ActionCall) -> list[Json]:
        """Pods on the node that have to leave it, as it stands now.

        Raises ``Refused`` where one of them must not: it has no controller, or is of a namespace that the call does not
        name. Such a pod may have come after the plan was approved.
        """
        node, allowed = call.ref.name, str(call.params.get("namespaces", "")).split(",")
        pods = [
            pod
            for pod in await self._kube.list("Pod", fields=f"spec.nodeName={node}")
            if evictable(pod) and not pod["metadata"].get("deletionTimestamp")
        ]
        for pod in pods:
            meta = pod["metadata"]
            which = f"Pod {meta['namespace']}/{meta['name']} on {node}"
            if not controller_of(pod):
                raise Refused(Reason.PRECHECK_FAILED, f"{which} has no controller: evicted, it would never come back")
            if meta["namespace"] not in allowed:
                raise Refused(Reason.TARGET_CHANGED, f"{which} is of a namespace from which no eviction was approved")
        return pods

    async def _evict(self, pod: Json) -> None:
        meta = pod["metadata"]
        with contextlib.suppress(NotFound, Conflict, Transient):  # gone by itself, or not now: the next look tells
            await self._kube.evict(ObjectRef("Pod", meta["name"], meta["namespace"], meta["uid"]))


def _expect(call: ActionCall, live: Json) -> None:
    meta = live["metadata"]
    if meta["uid"] != call.ref.uid:
        raise _Changed(f"{call.ref} is another object of the same name now")
    if meta.get("deletionTimestamp"):
        raise _Changed(f"{call.ref} is being deleted")
    if call.generation is not None and _generation(live) != call.generation:
        raise _Changed(
            f"{call.ref} was changed since the plan was made (generation {call.generation} → {_generation(live)})"
        )


class _Changed(Conflict):
    """The object is not the one the caller expected: reading again will not help."""


def _generation(document: Json) -> int:
    return int(document["metadata"].get("generation") or 0)
