"""Lists of the API server come in pages: all of them are read, or it is said that they are not."""

from collections.abc import Sequence

import pytest

from midwatch.adapters.mcp.kubernetes.api import Json, Kube
from midwatch.adapters.mcp.kubernetes.observe import LiveCluster
from midwatch.domain.errors import Refused
from midwatch.domain.reasons import Reason
from midwatch.domain.refs import ObjectRef


class Paged(Kube):
    """Serves ``items`` in pages, as the API server does, and remembers what it was asked."""

    def __init__(self, items: Sequence[Json], *, one: Json | None = None) -> None:
        self.items, self.one = items, one
        self.asked: list[dict[str, str]] = []

    async def _json(
        self,
        method: str,
        path: str,
        *,
        query: Sequence[tuple[str, str]] = (),
        body: object = None,
        kind: str = "application/json",
    ) -> Json:
        if self.one is not None and path.endswith("/deployments/web"):
            return self.one
        if self.one is not None and not path.endswith("/replicasets"):
            return {"items": []}
        self.asked.append(dict(query))
        begin = int(self.asked[-1].get("continue", 0))
        end = begin + int(self.asked[-1]["limit"])
        return {"items": self.items[begin:end], "metadata": {"continue": str(end)} if end < len(self.items) else {}}


def pods(count: int) -> list[Json]:
    return [{"metadata": {"name": f"web-{number}"}} for number in range(count)]


@pytest.mark.parametrize(("count", "looks"), [(0, 1), (500, 1), (501, 2), (1700, 4), (10_000, 20)])
async def test_every_page_is_read(count: int, looks: int) -> None:
    kube = Paged(pods(count))
    assert len(await kube.list("Pod", "shop", labels="app=web")) == count
    assert len(kube.asked) == looks
    assert all(asked["labelSelector"] == "app=web" for asked in kube.asked)


async def test_a_part_does_not_pass_for_the_whole() -> None:
    with pytest.raises(Refused, match="more than 10000 objects of kind Pod in namespace shop") as raised:
        await Paged(pods(10_001)).list("Pod", "shop")
    assert raised.value.reason == Reason.PRECHECK_FAILED


async def test_who_wants_a_few_gets_a_few() -> None:
    kube = Paged(pods(700))
    assert len(await kube.list("Pod", "shop", limit=20)) == 20
    assert len(kube.asked) == 1


async def test_a_workloads_revisions_are_found_among_hundreds_of_others() -> None:
    revision = "deployment.kubernetes.io/revision"
    others: list[Json] = [{"metadata": {"name": f"app-{number}", "uid": f"o{number}"}} for number in range(600)]
    owner = {"kind": "Deployment", "name": "web", "uid": "u-web", "controller": True}
    own = {"metadata": {"name": "web-a", "uid": "rs", "annotations": {revision: "9"}, "ownerReferences": [owner]}}
    meta = {"name": "web", "namespace": "shop", "uid": "u-web"}
    kube = Paged([*others, own], one={"metadata": meta, "spec": {"selector": {"matchLabels": {"app": "web"}}}})
    seen = await LiveCluster(kube).observe(ObjectRef("Deployment", "web", "shop"))
    assert seen is not None
    assert [item.number for item in seen.revisions] == [9]
    assert all(asked["labelSelector"] == "app=web" for asked in kube.asked)
