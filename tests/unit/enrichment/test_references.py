"""Secrets by reference: replaced where they lead somewhere, refused where they do not, never repeated in an error."""

from pathlib import Path

import pytest

from midwatch.adapters.references import References, is_reference
from midwatch.bootstrap.metrics import bearer, open_prometheus
from midwatch.domain.errors import Invalid
from midwatch.settings import Settings


def test_values_take_the_place_of_references(tmp_path: Path) -> None:
    (tmp_path / "token").write_text("from-a-file\n")
    references = References({"TOKEN": "t0p"}, tmp_path)
    assert references.resolve("Bearer ${env:TOKEN}") == "Bearer t0p"
    assert references.resolve("${file:token}") == "from-a-file"
    assert references.resolve("plain $HOME ${HOME}") == "plain $HOME ${HOME}"
    assert is_reference("a ${env:B} c")
    assert not is_reference("a ${B} c")


@pytest.mark.parametrize("text", ["${env:NOBODY}", "${file:absent}", "${file:empty}", "${env:NO SPACE}"])
def test_a_reference_that_leads_nowhere(tmp_path: Path, text: str) -> None:
    (tmp_path / "empty").write_text("\n")
    with pytest.raises(Invalid, match=text[2:5]):
        References({"TOKEN": "t0p"}, tmp_path).resolve(text)


def test_relative_paths_need_a_folder() -> None:
    with pytest.raises(Invalid, match="absolute"):
        References({}).resolve("${file:token}")


async def test_prometheus_is_there_where_it_is_configured(tmp_path: Path) -> None:
    (tmp_path / "token").write_text("abc")
    assert bearer(f"${{file:{tmp_path / 'token'}}}") == {"Authorization": "Bearer abc"}
    with pytest.raises(Invalid, match="by reference") as raised:
        bearer("abcdefgh")
    assert "abcdefgh" not in str(raised.value)
    async with open_prometheus(Settings()) as nothing:
        assert nothing is None
    async with open_prometheus(Settings(prometheus_url="http://127.0.0.1:1")) as client:  # type: ignore[arg-type]
        assert client is not None
