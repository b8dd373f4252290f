"""The guards of tests/conftest.py do bite."""

import os
import socket

import pytest

from tests.conftest import NetworkRefused


def test_a_foreign_address_is_refused() -> None:
    with socket.socket() as sock, pytest.raises(NetworkRefused):
        sock.connect(("192.0.2.77", 80))


def test_a_foreign_name_is_not_even_looked_up() -> None:
    with pytest.raises(NetworkRefused):
        socket.getaddrinfo("example.invalid", 443)


def test_loopback_is_open() -> None:
    with socket.create_server(("127.0.0.1", 0)) as server, socket.create_connection(server.getsockname()[:2]) as client:
        assert client.getpeername() == server.getsockname()


def test_no_setting_of_the_developer_is_seen() -> None:
    seen = {name for name in os.environ if name.startswith(("MIDWATCH_", "ANTHROPIC_", "OPENAI_", "SLACK_"))}
    assert seen <= {"MIDWATCH_CORPUS"}


LEFTOVER = """
import asyncio

async def test_forgets():
    asyncio.create_task(asyncio.sleep(60), name="forgotten")

async def test_tidies_up():
    task = asyncio.create_task(asyncio.sleep(60))
    task.cancel()
"""


def test_a_leftover_task_fails_the_test(pytester: pytest.Pytester) -> None:
    pytester.makeini("[pytest]\nasyncio_mode = auto\nasyncio_default_fixture_loop_scope = function\n")
    pytester.makeconftest("from tests.conftest import no_leftover_tasks, pytest_collection_modifyitems")
    pytester.makepyfile(LEFTOVER)
    result = pytester.runpytest_inprocess("-p", "no:cacheprovider")
    result.assert_outcomes(passed=2, errors=1)
    result.stdout.fnmatch_lines(["*the test left tasks running: forgotten*"])
