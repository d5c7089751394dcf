"""Writes docs/api.md: what `import swath` gives, from its docstrings. `make api`."""

import ast
import inspect
import re
import textwrap
from collections.abc import Callable, Iterator
from pathlib import Path

import swath

HEAD = """\
# swath from Python

```python
{example}
```

`import swath` gives what stands below, and nothing else is promised to stay. The commands do the
same: they parse, call these functions, and print. Errors are `SwathError`s. Arrays are NumPy's; a
PMap is a masked array, its mask True where there is no data.

This page is made from the docstrings: `make api`.
"""

SECTION = re.compile(r"^(Args|Attributes|Returns|Yields|Raises|Example|Source):(.*)$")
FENCE = "```"


def example() -> str:
    """The first Python block of README.md: a series mapped in five lines."""
    text = (Path(__file__).parents[1] / "README.md").read_text("utf-8")
    return text.split("```python\n", 1)[1].split("\n```", 1)[0]


def page() -> str:
    """The page as Markdown."""
    public = {name: getattr(swath, name) for name in swath.__all__ if name != "__version__"}
    functions = {name: value for name, value in public.items() if not inspect.isclass(value)}
    classes = {name: value for name, value in public.items() if inspect.isclass(value)}
    parts = [HEAD.format(example=example()), "## Functions\n"]
    for name, value in functions.items():
        parts += [f"### `{name}`\n", signature(name, value), *described(inspect.getdoc(value))]
    parts.append("## Values\n")
    for name, value in classes.items():
        parts += [f"### `{name}`\n", *described(inspect.getdoc(value)), *members(value)]
    return "\n".join(parts).rstrip() + "\n"


def signature(name: str, function: Callable[..., object]) -> str:
    """How it is called, a parameter a line."""
    node = ast.parse(textwrap.dedent(inspect.getsource(function))).body[0]
    assert isinstance(node, ast.FunctionDef)
    lines = list(parameters(node.args))
    returns = ast.unparse(node.returns).strip("'") if node.returns else "None"
    body = "".join(f"    {line},\n" for line in lines)
    return f"{FENCE}python\nswath.{name}(\n{body}) -> {returns}\n{FENCE}\n"


def parameters(arguments: ast.arguments) -> Iterator[str]:
    """Every parameter with its type and default."""
    free = len(arguments.args) - len(arguments.defaults)
    defaults = [None] * free + list(arguments.defaults)
    for argument, default in zip(arguments.args, defaults, strict=True):
        yield parameter(argument, default)
    if arguments.kwonlyargs:
        yield "*"
    for argument, value in zip(arguments.kwonlyargs, arguments.kw_defaults, strict=True):
        yield parameter(argument, value)
    if arguments.kwarg:
        yield f"**{arguments.kwarg.arg}"


def parameter(argument: ast.arg, default: ast.expr | None) -> str:
    """`name: type = default`."""
    kind = ast.unparse(argument.annotation).strip('"').strip("'") if argument.annotation else ""
    return f"{argument.arg}: {kind}" + (f" = {ast.unparse(default)}" if default else "")


def described(docstring: str | None) -> Iterator[str]:
    """A docstring of Google's style as Markdown."""
    section, lines = "", []
    for line in [*(docstring or "").splitlines(), "End:"]:
        match = SECTION.match(line)
        if not match and line != "End:":
            lines.append(line)
            continue
        yield from written(section, textwrap.dedent("\n".join(lines)).strip("\n"))
        section, lines = (match[1], [match[2]] if match[2] else []) if match else ("", [])


def written(section: str, text: str) -> Iterator[str]:
    """One section: prose, a list, or code."""
    if not text:
        return
    if section == "Example":
        yield from ("**Example**\n", f"{FENCE}pycon\n{text}\n{FENCE}\n")
    elif section in ("Args", "Attributes", "Raises"):
        items = re.sub(r"\n\s+", " ", text).splitlines()
        rows = (re.sub(r"^([^:]+): ", r"- `\1`: ", item) for item in items if item)
        yield f"**{'Arguments' if section == 'Args' else section}**\n\n" + "\n".join(rows) + "\n"
    elif section:
        yield f"**{section}** {text.strip()}\n"
    else:
        yield text + "\n"


def members(kind: type) -> Iterator[str]:
    """The public methods and properties that a class has itself, a line each."""
    rows = []
    for name, member in vars(kind).items():
        function = member.fget if isinstance(member, property) else member
        function = getattr(function, "__func__", function)
        ours = inspect.isfunction(function) and function.__module__.startswith("swath.")
        if name.startswith("_") or not ours or not function.__doc__:
            continue
        call = name if isinstance(member, property) else f"{name}{arguments(function)}"
        rows.append(f"- `{call}`: {summary(function.__doc__)}")
    if rows:
        yield "**Methods and properties**\n\n" + "\n".join(rows) + "\n"


def arguments(function: Callable[..., object]) -> str:
    """The names of a method's parameters, as in a call."""
    names = [name for name in inspect.signature(function).parameters if name not in ("self", "cls")]
    return f"({', '.join(names)})"


def summary(docstring: str) -> str:
    """The first paragraph, in one line."""
    return " ".join(inspect.cleandoc(docstring).split("\n\n")[0].split())


if __name__ == "__main__":
    Path(__file__).with_suffix(".md").write_text(page(), "utf-8")
