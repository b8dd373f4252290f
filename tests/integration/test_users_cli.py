"""``midwatch users`` against an edge on loopback."""

from collections.abc import Iterator

import pytest
from typer.testing import CliRunner

from midwatch.cli import app
from tests.integration.night import TOKEN, Night


@pytest.fixture
def night() -> Iterator[Night]:
    with Night() as running:
        yield running


def run(night: Night, *words: str, token: str = TOKEN) -> tuple[int, str]:
    environment = {"MIDWATCH_API_TOKEN": token, "MIDWATCH_PORT": str(night.port)}
    result = CliRunner().invoke(app, ["users", *words], env=environment)
    return result.exit_code, result.stdout


def test_from_a_user_to_a_token_and_back(night: Night) -> None:
    assert run(night, "add", "alice", "--role", "operator") == (
        0,
        "User alice is operator. Next: midwatch users token alice\n",
    )
    code, secret = run(night, "token", "alice", "--label", "laptop")
    assert code == 0
    assert run(night, "list", token=secret.strip())[0] == 1, "an operator manages no users"
    assert run(night, "role", "alice", "admin")[0] == 0
    code, listed = run(night, "list", token=secret.strip())
    assert code == 0
    assert "alice" in listed
    assert "laptop" in listed
    assert secret.strip() not in listed
    assert run(night, "link", "alice")[1].startswith("link ")
    assert run(night, "remove", "alice")[0] == 0
    assert run(night, "list", token=secret.strip())[0] == 1
    assert run(night, "add", "alice", "--role", "viewer")[0] == 1
