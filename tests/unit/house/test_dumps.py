"""What PostgreSQL's own programs are told of a database: never a password in a list of processes."""

import pytest

from midwatch.adapters.embedded.dumps import without_password


@pytest.mark.parametrize(
    ("url", "bare", "password"),
    [
        ("postgresql+asyncpg://mid:p%40ss@db:5432/m", "postgresql://mid@db:5432/m", "p@ss"),
        ("postgres://mid@db/m?sslmode=require", "postgresql://mid@db/m?sslmode=require", ""),
        ("postgresql:///m?host=/run/pg", "postgresql:///m?host=/run/pg", ""),
    ],
)
def test_the_password_goes_another_way(url: str, bare: str, password: str) -> None:
    assert without_password(url) == (bare, password)
