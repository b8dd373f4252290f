"""The failures of deployments: each says what heals it."""

from __future__ import annotations

from midwatch.sandbox.cluster.behaviours import Behaviour, Run, no_such_image
from midwatch.sandbox.objects import Obj, dig
from midwatch.sandbox.quantities import bytes_of
from midwatch.sandbox.scenarios.base import HASH, DeploymentScenario


class CrashLoop(DeploymentScenario):
    """Healed by a rollout restart (or any new template)."""

    name = "crashloop"
    summary = (
        "pods of a payment service crash with exit 1: they hold on to a database address that moved; a restart heals"
    )
    default_target = "payments/payment-api"

    def prepare(self) -> None:
        self._poisoned = self.hashes()

    def behave(self, pod: Obj, container: Obj) -> Behaviour | None:
        if pod["metadata"]["labels"].get(HASH) not in self._poisoned:
            return None
        return Run(
            exit_after=0.6,
            exit_code=1,
            ready_after=30.0,
            logs=(
                f"INFO  {container['name']} starting, profile=production",
                "INFO  reading database primary from /run/db/primary: 10.0.7.41:5432 (written when the pod was made)",
                "WARN  database 10.0.7.41:5432: dial tcp 10.0.7.41:5432: connect: connection refused, attempt 1 of 3",
                "WARN  database 10.0.7.41:5432: dial tcp 10.0.7.41:5432: connect: connection refused, attempt 2 of 3",
                "ERROR database 10.0.7.41:5432: dial tcp 10.0.7.41:5432: connect: connection refused, attempt 3 of 3",
                "FATAL cannot open the database pool: connection refused; the address may be stale, exiting with 1",
            ),
        )


class OutOfMemory(DeploymentScenario):
    """Healed by a memory limit of at least ``need``."""

    name = "oom"
    summary = "a search service needs more memory than its limit and is killed with 137; a higher limit heals"
    default_target = "shop/search"
    need = "384Mi"

    def behave(self, _pod: Obj, container: Obj) -> Behaviour | None:
        limit = bytes_of(dig(container, "resources.limits.memory"))
        if not limit or limit >= bytes_of(self.need):
            return None
        megabytes = limit // (1024 * 1024)
        return Run(
            exit_after=1.0,
            exit_code=137,
            reason="OOMKilled",
            ready_after=30.0,
            logs=(
                f"INFO  o.s.Search - Starting Search on Java 21, container limit {megabytes}m",
                "INFO  o.s.index.Loader - opening index, 91877 documents (was 48211)",
                f"WARN  o.s.index.Loader - resident set {int(megabytes * 0.81)}m of {megabytes}m after 40% of segments",
                f"WARN  o.s.index.Loader - resident set {int(megabytes * 0.97)}m of {megabytes}m after 60% of segments",
            ),
        )


class _NewRevision(DeploymentScenario):
    """A delivery that goes wrong: the image gets a new tag. Healed by going back."""

    tag: str

    def prepare(self) -> None:
        image = str(self.record().obj()["spec"]["template"]["spec"]["containers"][0]["image"])
        self.image = f"{image.rpartition(':')[0]}:{self.tag}"

        def change(template: Obj) -> None:
            template["spec"]["containers"][0]["image"] = self.image

        self._before = self.edit(change, f"deliver {self.image.rpartition('/')[2]}")

    def heal(self) -> None:
        super().heal()
        self.edit(lambda template: template.update(self._before), "deliver the version before")


class ImagePull(_NewRevision):
    """Healed by a rollback."""

    name = "imagepull"
    summary = "a delivery names an image tag that was never pushed; a rollback heals"
    default_target = "shop/frontend"
    tag = "4.12.O"

    def behave(self, _pod: Obj, container: Obj) -> Behaviour | None:
        return no_such_image(self.image) if container["image"] == self.image else None


class BadRollout(_NewRevision):
    """Healed by a rollback. The progress deadline of the default target is 30 s."""

    name = "bad-rollout"
    summary = "a new revision starts but never becomes ready, until its progress deadline passes; a rollback heals"
    default_target = "shop/checkout"
    tag = "2.15.0"

    def behave(self, _pod: Obj, container: Obj) -> Behaviour | None:
        if container["image"] != self.image:
            return None
        return Run(
            ready_after=None,
            probe="HTTP probe failed with statuscode: 500",
            logs=(
                f'level=info msg="{container["name"]} starting" version={self.tag} env=production',
                'level=info msg="loading tax tables" source=embedded',
                'level=error msg="tax table invalid" table=2026-q4 err="column rate: expected decimal, found empty"',
                'level=warn msg="health check failing" check=tax-tables status=500',
            ),
            beat='level=warn msg="health check failing" check=tax-tables status=500',
        )


class Pending(DeploymentScenario):
    """Healed by requests that fit a node (a rollback)."""

    name = "pending"
    summary = "a delivery asks for more memory than any node has: the new pod stays pending"
    default_target = "platform/report-builder"
    request = "64Gi"

    def prepare(self) -> None:
        def change(template: Obj) -> None:
            resources = template["spec"]["containers"][0]["resources"]
            resources["requests"] = {**(resources.get("requests") or {}), "memory": self.request}
            resources["limits"] = {**(resources.get("limits") or {}), "memory": self.request}

        self._before = self.edit(change, "give the yearly report room")

    def behave(self, _pod: Obj, _container: Obj) -> Behaviour | None:
        return None

    def heal(self) -> None:
        super().heal()
        self.edit(lambda template: template.update(self._before), "take the room back")
