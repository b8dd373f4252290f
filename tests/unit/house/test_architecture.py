"""What the house looks like: one idea a module, packages that say what they know, a domain that knows nobody."""

import ast
import sys
from collections.abc import Iterator
from importlib.metadata import packages_distributions
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[3]
PACKAGES = ("midwatch", "actors", "serve")
LONGEST = 400


def modules(*folders: str) -> Iterator[Path]:
    for folder in folders:
        yield from sorted((ROOT / folder).rglob("*.py"))


def names(paths: Iterator[Path]) -> list[str]:
    return [str(path.relative_to(ROOT)) for path in paths]


def test_the_packages_are_there() -> None:
    assert all((ROOT / package / "__init__.py").is_file() for package in PACKAGES)
    assert all((ROOT / package / "py.typed").is_file() for package in PACKAGES)


@pytest.mark.parametrize("name", names(path for path in modules(*PACKAGES) if path.name == "__init__.py"))
def test_a_package_says_what_it_is(name: str) -> None:
    docstring = ast.get_docstring(ast.parse((ROOT / name).read_text()))
    assert docstring, f"{name} needs a docstring: what the package may know, what does not belong"
    assert len(docstring) >= 20


def test_no_folder_of_modules_lacks_its_init() -> None:
    folders = {
        path.parent for path in modules(*PACKAGES) if "migrations" not in path.parts
    }  # read by path, not imported
    assert [str(folder.relative_to(ROOT)) for folder in folders if not (folder / "__init__.py").is_file()] == []


def test_no_module_grows_past_one_idea() -> None:
    sizes = {str(path.relative_to(ROOT)): len(path.read_text().splitlines()) for path in modules(*PACKAGES)}
    assert {name: size for name, size in sizes.items() if size > LONGEST} == {}


def imported(path: Path) -> Iterator[str]:
    for node in ast.walk(ast.parse(path.read_text())):
        if isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom) and node.module:
            yield node.module


def test_the_domain_knows_the_standard_library_and_msgspec_only() -> None:
    foreign = {
        f"{path.relative_to(ROOT)}: {name}"
        for path in modules("midwatch/domain")
        for name in imported(path)
        if name.split(".")[0] not in sys.stdlib_module_names
        and name.split(".")[0] != "msgspec"
        and not name.startswith("midwatch.domain")
    }
    assert foreign == set()


@pytest.mark.parametrize("name", ["actors", "serve"])
def test_nobody_else_owns_our_generic_names(name: str) -> None:
    assert set(packages_distributions().get(name, ())) <= {"midwatch"}


def test_ray_serve_is_never_called_serve() -> None:
    wrong = [
        str(path.relative_to(ROOT))
        for path in modules(*PACKAGES)
        for node in ast.walk(ast.parse(path.read_text()))
        if isinstance(node, ast.ImportFrom)
        and node.module == "ray"
        and any(alias.name == "serve" and alias.asname != "ray_serve" for alias in node.names)
    ]
    assert wrong == []
