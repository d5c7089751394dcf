"""The shape of the house: no circle, small rooms, and messages that a notebook can show.

The layers themselves are import-linter's business (pyproject.toml), which `make check` runs.
"""

import ast
import re
from collections.abc import Iterator
from functools import cache
from pathlib import Path

import networkx
import pytest

from conftest import PROJECT

SOURCE = PROJECT / "src"

MOST_LINES = 400
MOST_FUNCTION_LINES = 60
MANY_PARAMETERS = 8
MOST_PRODUCT_LINES = 40_600
MOST_ANY = 142
"""A third of what there was before the house was re-roomed."""

Function = ast.FunctionDef | ast.AsyncFunctionDef


@cache
def trees() -> dict[str, tuple[Path, ast.Module]]:
    """Dotted name -> file and syntax tree of every module."""
    found = {}
    for path in sorted((SOURCE / "swath").rglob("*.py")):
        parts = path.relative_to(SOURCE).with_suffix("").parts
        name = ".".join(parts[:-1] if parts[-1] == "__init__" else parts)
        found[name] = path, ast.parse(path.read_text("utf-8"))
    return found


def imports(name: str) -> Iterator[str]:
    """The modules that a module names in any import: type-only and inside functions, too."""
    for node in ast.walk(trees()[name][1]):
        if isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names if alias.name in trees())
        elif isinstance(node, ast.ImportFrom) and node.module:
            parts = {f"{node.module}.{alias.name}" for alias in node.names} & trees().keys()
            yield from parts
            whole = len(parts) < len(node.names)
            if whole and node.module in trees():
                yield node.module


def functions() -> Iterator[tuple[str, Function]]:
    for name, (_, tree) in trees().items():
        for node in ast.walk(tree):
            if isinstance(node, Function):
                yield name, node


def declares_options(name: str, node: Function) -> bool:
    """Whether it is a command: a declaration of its options, which its parameters are."""
    return name.startswith("swath.cli") and any(
        (isinstance(part, ast.Name) and part.id.endswith("Option"))
        or (isinstance(part, ast.Attribute) and part.attr in ("Option", "Argument"))
        for argument in (*node.args.args, *node.args.kwonlyargs)
        for part in ast.walk(argument.annotation or ast.Pass())
    )


def test_no_import_goes_round_in_a_circle() -> None:
    graph = networkx.DiGraph((name, other) for name in trees() for other in imports(name))
    graph.remove_edges_from([(name, name) for name in trees()])
    circles = [sorted(part) for part in networkx.strongly_connected_components(graph)]
    assert [circle for circle in circles if len(circle) > 1] == []


def test_no_file_is_longer_than_one_sits_down_to_read() -> None:
    long = {name: text.read_text("utf-8").count("\n") for name, (text, _) in trees().items()}
    assert {name: lines for name, lines in long.items() if lines > MOST_LINES} == {}


def test_no_function_is_longer_than_a_screen() -> None:
    assert [
        f"{name}.{node.name}"
        for name, node in functions()
        if (node.end_lineno or 0) - node.lineno >= MOST_FUNCTION_LINES and not declares_options(name, node)
    ] == []


def test_few_functions_take_many_parameters() -> None:
    many = []
    for name, node in functions():
        given = [*node.args.posonlyargs, *node.args.args, *node.args.kwonlyargs]
        count = sum(argument.arg not in ("self", "cls") for argument in given)
        if count >= MANY_PARAMETERS and not name.startswith("swath.cli"):
            many.append(f"{name}.{node.name}")
    assert len(many) <= 5, many


def texts(tree: ast.Module) -> Iterator[tuple[int, str]]:
    """All strings of a module that are not docstrings."""
    quiet = {
        id(node.body[0].value)
        for node in ast.walk(tree)
        if isinstance(node, ast.Module | ast.ClassDef | Function)
        and node.body
        and isinstance(node.body[0], ast.Expr)
    }
    quiet |= {
        id(after.value)
        for node in ast.walk(tree)
        if isinstance(node, ast.Module | ast.ClassDef)
        for after in node.body
        if isinstance(after, ast.Expr)
    }
    for node in ast.walk(tree):
        if isinstance(node, ast.Constant) and isinstance(node.value, str) and id(node) not in quiet:
            yield node.lineno, node.value


def test_messages_outside_the_command_line_name_no_flag() -> None:
    """A notebook has no flags; `swath.cli` adds the advice."""
    flag = re.compile(r"(?<![\w-])--[a-z]{2,}")
    assert [
        f"{name}:{line}: {text}"
        for name, (_, tree) in trees().items()
        if not name.startswith("swath.cli")
        for line, text in texts(tree)
        if flag.search(text)
    ] == []


def test_any_is_rare() -> None:
    count = sum(len(re.findall(r"\bAny\b", path.read_text("utf-8"))) for path, _ in trees().values())
    assert count <= MOST_ANY


def test_the_product_stays_small() -> None:
    lines = {
        name: path.read_text("utf-8").count("\n")
        for name, (path, _) in trees().items()
        if not f"{name}.".startswith(("swath.lab.", "swath.cli.lab."))
    }
    assert sum(lines.values()) < MOST_PRODUCT_LINES


@pytest.mark.parametrize("room", ["maps", "sites", "scenes", "labels", "legend", "grid", "tiles"])
def test_rooms_without_networks_load_without_torch(room: str) -> None:
    import subprocess
    import sys

    code = (
        "import sys, pkgutil, importlib\n"
        f"room = importlib.import_module('swath.{room}')\n"
        "for part in pkgutil.iter_modules(getattr(room, '__path__', [])):\n"
        f"    importlib.import_module('swath.{room}.' + part.name)\n"
        "assert 'torch' not in sys.modules\n"
    )
    subprocess.run([sys.executable, "-c", code], check=True)
