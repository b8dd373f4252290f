"""How investigations scale over Ray nodes: a fixed amount of work on 1, 2 and 4 nodes of this machine.

Real workers of the pool, one a node with ten slots, claim reports to improve from PostgreSQL and ask a model server
that answers after two seconds; twice the nodes should take half the time. Once more with a worker that only claims,
journals and waits: four nodes on two cores are short of processors, and what that costs is no property of the design.
"""

import subprocess
import sys

from midwatch.adapters.embedded.postgres import EmbeddedPostgres
from tests.bench.thinkers import LATENCY_S
from tests.fakes.llm_server import Answer, LlmServer, Text
from tests.fakes.reasoning import answer
from tests.fixtures.houses import ROOT, RunningSandbox, house_folder, runtime_dir
from tests.fixtures.ray_nodes import node_environment


def measure() -> None:
    """The store, the model and the watched cluster here; the nodes and their driver in a process of their own."""
    slow = Answer((Text(answer()),), delay_s=LATENCY_S)
    with house_folder("mw-nodes-") as folder, LlmServer(slow).serve() as address:
        store = EmbeddedPostgres(folder / "state", runtime_dir(folder / "state"))
        store.start()
        sandbox = RunningSandbox(folder)
        try:
            subprocess.run(
                [sys.executable, "-m", "tests.bench.scaling", store.url, str(folder), str(sandbox.kubeconfig)],
                env={**node_environment(folder), "ANTHROPIC_API_KEY": "test-key", "ANTHROPIC_BASE_URL": address},
                cwd=ROOT,
                check=True,
            )
        finally:
            sandbox.stop()
            store.stop()
