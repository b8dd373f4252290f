"""`midwatch playbooks plan`: what would be done, from the API server's own dry run, and nothing is."""

import asyncio
import sys
from pathlib import Path

from tests.fixtures.remedy import running_remedy

RUN = "from midwatch.commands.playbooks import app; app()"


async def run(kubeconfig: Path, *arguments: str) -> tuple[int, str]:
    process = await asyncio.create_subprocess_exec(
        sys.executable,
        "-c",
        RUN,
        "plan",
        *arguments,
        "--kubeconfig",
        str(kubeconfig),
        stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.STDOUT,
    )
    output, _ = await process.communicate()
    return process.returncode or 0, output.decode()


async def test_a_plan_is_shown_and_nothing_is_done(tmp_path: Path) -> None:
    async with running_remedy(tmp_path) as remedy:
        kubeconfig = remedy.sandbox.kubeconfig
        assert kubeconfig is not None
        target = "Deployment/shop/search"
        code, said = await run(kubeconfig, "raise-memory-limit", target, "--set", "factor=1.5")
        assert code == 0, said
        assert "+            memory: 384Mi" in said
        assert "ask (risk-needs-approval)" in said
        code, said = await run(kubeconfig, "raise-memory-limit", target, "--set", "factor=9")
        assert code == 1
        assert "the most allowed is 4" in said
        code, said = await run(kubeconfig, "reboot-everything", target)
        assert code == 1
        assert "there is no playbook 'reboot-everything'" in said
        code, said = await run(kubeconfig, "restart-workload", target, "--context", "sandbox-read-only")
        assert code == 1
        assert "cannot patch resource" in said
        assert not remedy.mutations()
