"""The console in a real browser: what its scripts make of the page, under its own content policy."""

import asyncio
import shutil
import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest

from midwatch.domain.users import Role
from tests.integration.night import TOKEN, Night
from tests.unit.edge import scenes

CHROMIUM = shutil.which("chromium") or shutil.which("chromium-browser") or shutil.which("google-chrome")
pytestmark = pytest.mark.skipif(CHROMIUM is None, reason="there is no chromium")

ONE = "0192f0a0-1111-7000-8000-000000000001"


@pytest.fixture
def night() -> Iterator[Night]:
    with Night() as running:
        running.tell(ONE, scenes.opened(title="<b>checkout</b> keeps crashing"), scenes.diagnosed(), scenes.asked())
        yield running


def look(night: Night, path: str, profile: Path, *options: str) -> subprocess.CompletedProcess[str]:
    """Log in, go to ``path``, let its scripts run for a moment, and print what the page is then."""
    assert CHROMIUM is not None
    flags = (
        "--headless --no-sandbox --disable-gpu --disable-quic --no-first-run --disable-background-networking "
        "--disable-component-update --disable-sync --enable-logging=stderr --v=0 --timeout=2500"
    )
    address = f"http://127.0.0.1:{night.port}/login?token={TOKEN}&next={path}"
    command = [CHROMIUM, *flags.split(), f"--user-data-dir={profile}", *options, address]
    return subprocess.run(command, capture_output=True, text=True, timeout=60, check=True)


def test_the_page_lives_in_a_browser(night: Night, tmp_path: Path) -> None:
    seen = look(night, f"/incidents/{ONE}", tmp_path, "--dump-dom")
    assert "Content Security Policy" not in seen.stderr, "our own pages obey our own policy"
    assert "Uncaught" not in seen.stderr
    assert "data-htmx-powered" in seen.stdout, "htmx took the page up"
    assert "<title>Waiting for your word: &lt;b&gt;checkout&lt;/b&gt; keeps crashing · Midwatch</title>" in seen.stdout
    assert "UTC</time>" not in seen.stdout, "times are told in the viewer's zone"
    assert "<b>checkout" not in seen.stdout


def test_the_front_page_fits_a_phone(night: Night, tmp_path: Path) -> None:
    picture = tmp_path / "phone.png"
    look(night, "/", tmp_path / "profile", f"--screenshot={picture}", "--window-size=500,844")
    assert picture.read_bytes().startswith(b"\x89PNG")
    assert picture.stat().st_size > 10_000, "something is drawn"


@pytest.fixture
def staff(night: Night) -> Night:
    """A night with people: roles, accounts, tokens, and names as people have them."""

    async def hire() -> None:
        users = night.users
        for name, role, title in PEOPLE:
            await users.add(name, role, title)
            await users.new_token(name, "laptop")
        assert await users.redeem(await users.new_code("alice.m"), "slack:U0123ABCD")
        assert await users.redeem(await users.new_code("alice.m"), "telegram:4711")

    asyncio.run_coroutine_threadsafe(hire(), night.loop).result(10)
    return night


PEOPLE = (
    ("alice.m", Role.APPROVER, "Alice M., payments"),
    ("bob", Role.VIEWER, "مرحبا بوب 🔥 <script>alert(1)</script>"),
    ("a-very-long-name-that-somebody-chose-in-earnest", Role.ADMIN, "title " * 30),
)


def test_the_page_of_people_lives_in_a_browser(staff: Night, tmp_path: Path) -> None:
    seen = look(staff, "/people", tmp_path, "--dump-dom")
    assert "Content Security Policy" not in seen.stderr
    assert "Uncaught" not in seen.stderr
    for name, role, _ in PEOPLE:
        assert f"<h2>{name}</h2>" in seen.stdout
        assert f'<span class="role">{role}</span>' in seen.stdout
    assert "slack:U0123ABCD" in seen.stdout
    assert "telegram:4711" in seen.stdout
    assert "Token laptop" in seen.stdout
    assert "mwu_" not in seen.stdout, "no secret of a token"
    assert "<script>alert" not in seen.stdout


@pytest.mark.parametrize("size", ["500,2400", "1280,1600"], ids=["phone", "desktop"])
def test_the_page_of_people_is_drawn_in_every_width(size: str, staff: Night, tmp_path: Path) -> None:
    picture = tmp_path / "people.png"
    look(staff, "/people", tmp_path / "profile", f"--screenshot={picture}", f"--window-size={size}")
    assert picture.read_bytes().startswith(b"\x89PNG")
    assert picture.stat().st_size > 20_000, "something is drawn"
