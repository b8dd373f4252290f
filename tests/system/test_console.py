"""The console in a real browser: the page is drawn, asks for the token, and fetches nothing from elsewhere."""

import struct
import subprocess
from collections.abc import Callable
from pathlib import Path

from tests.fixtures.houses import RunningHouse

QUIET = (
    "--headless", "--no-sandbox", "--disable-gpu", "--disable-quic", "--no-first-run", "--disable-sync",
    "--disable-background-networking", "--disable-component-update", "--hide-scrollbars", "--virtual-time-budget=5000",
    "--host-resolver-rules=MAP * ~NOTFOUND, EXCLUDE 127.0.0.1",
)  # fmt: skip


def chromium(program: str, folder: Path, *arguments: str) -> str:
    command = [program, *QUIET, f"--user-data-dir={folder / 'profile'}", *arguments]
    return subprocess.run(command, capture_output=True, text=True, timeout=90, check=True, cwd=folder).stdout


def test_the_login_page_is_drawn(tool: Callable[[str], str], house: RunningHouse, tmp_path: Path) -> None:
    picture = tmp_path / "login.png"
    chromium(tool("chromium"), tmp_path, f"--screenshot={picture}", "--window-size=1280,800", f"{house.url}/login")
    data = picture.read_bytes()
    assert data.startswith(b"\x89PNG")
    assert struct.unpack(">II", data[16:24]) == (1280, 800)
    assert len(data) > 5_000, "an empty page"


def test_a_stranger_is_led_to_the_login_page(tool: Callable[[str], str], house: RunningHouse, tmp_path: Path) -> None:
    page = chromium(tool("chromium"), tmp_path, "--dump-dom", f"{house.url}/")
    assert "Midwatch" in page
    assert 'type="password"' in page
