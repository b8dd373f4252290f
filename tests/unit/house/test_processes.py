"""One house per state directory; only processes that are provably ours are ended."""

import subprocess
import sys

import msgspec
import psutil
import pytest

from midwatch.domain.errors import Permanent
from midwatch.processes import HouseLock, Ledger, Recorded, running_pid
from midwatch.tokens import token_in


@pytest.fixture
def sleeper():
    process = subprocess.Popen([sys.executable, "-c", "import time; time.sleep(60)"])
    yield psutil.Process(process.pid)
    process.kill()
    process.wait()


def test_a_second_start_is_refused_in_one_clear_sentence(tmp_path):
    with HouseLock(tmp_path):
        assert running_pid(tmp_path) == psutil.Process().pid
        with pytest.raises(Permanent, match="already runs"):
            HouseLock(tmp_path).__enter__()
    assert running_pid(tmp_path) is None
    with HouseLock(tmp_path):
        pass


def test_what_a_crash_left_is_ended_and_forgotten(tmp_path, sleeper):
    Ledger(tmp_path).record([sleeper], "worker")
    ended = Ledger(tmp_path).reap()
    assert [record.pid for record in ended] == [sleeper.pid]
    assert not sleeper.is_running() or sleeper.status() == psutil.STATUS_ZOMBIE
    assert Ledger(tmp_path).reap() == ()


def test_a_pid_that_was_given_to_somebody_else_is_left_alone(tmp_path, sleeper):
    stale = Recorded(sleeper.pid, sleeper.create_time() - 100, "ours, long gone")
    (tmp_path / "processes.json").write_bytes(msgspec.json.encode([stale]))
    assert Ledger(tmp_path).reap() == ()
    assert sleeper.is_running()


def test_a_damaged_ledger_does_not_stop_a_start(tmp_path):
    (tmp_path / "processes.json").write_bytes(b"{torn")
    assert Ledger(tmp_path).reap() == ()


def test_a_token_is_made_once_and_readable_by_its_owner_alone(tmp_path):
    path = tmp_path / "state" / "token"
    first, made = token_in(path)
    second, again = token_in(path)
    assert (first, made, again) == (second, True, False)
    assert len(first) >= 32
    assert path.stat().st_mode & 0o777 == 0o600
