"""How one object stands, asked of an API server: well, troubled, gone, or not to be seen."""

from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from midwatch.adapters.kubernetes.client import ApiConnection
from midwatch.adapters.kubernetes.sight import KubernetesSight
from midwatch.adapters.system import SystemClock
from midwatch.domain.lost import Standing
from midwatch.domain.refs import ObjectRef
from tests.fixtures.remedy import running_remedy

PAYMENTS = ObjectRef("Deployment", "payment-api", "payments")


@pytest.fixture
async def sight(tmp_path: Path) -> AsyncIterator[KubernetesSight]:
    async with running_remedy(tmp_path) as remedy:
        connection = await ApiConnection.open(kubeconfig=remedy.sandbox.kubeconfig)
        yield KubernetesSight(connection, "alpha", SystemClock())
        await connection.close()


@pytest.mark.parametrize(
    ("cluster", "ref", "standing"),
    [
        ("alpha", PAYMENTS, Standing.WELL),
        ("beta", PAYMENTS, Standing.UNSEEN),
        ("alpha", ObjectRef("Deployment", "never-was", "payments"), Standing.GONE),
        ("alpha", ObjectRef("Deployment", "../../nodes", "payments"), Standing.GONE),
        ("alpha", ObjectRef("Service", "payment-api", "payments"), Standing.UNSEEN),
        ("alpha", ObjectRef("Instance", "10.0.0.1"), Standing.UNSEEN),
        ("alpha", ObjectRef("Alert", "HighLatency"), Standing.UNSEEN),
    ],
)
async def test_standing(sight: KubernetesSight, cluster: str, ref: ObjectRef, standing: Standing) -> None:
    assert await sight.standing_of(cluster, ref) is standing
