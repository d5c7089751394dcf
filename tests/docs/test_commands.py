"""Commands in the pages: those marked `run` are run on a small world, of all others every option exists.

Above a fence, or once above the first one for a whole page, a comment says what becomes of it:
`<!-- run -->`, `<!-- parsed: why it is not run -->`, and `<!-- file: NAME -->` for what a command reads.
"""

import re
import shlex
import shutil
import typing
from collections.abc import Iterator
from dataclasses import dataclass
from itertools import pairwise
from pathlib import Path

import pytest
import typer
from typer.core import TyperCommand, TyperGroup

from conftest import PROJECT
from swath.cli import app, run
from swath.cli.verbosity import add_verbosity
from swath.sites.crop import open_crop

FREE = ("docs/lab/", "docs/reference/", "docs/api.md", "docs/licences.md")
"""Pages whose commands need no mark: the laboratory's take hours, the others are made from the code."""

OTHERS = {
    "--flag",
    "--extra-index-url",
    "--logdir",
    "--measured",
    "--no-deps",
    "--nthreads",
    "--only-binary",
    "--places",
    "--set",
    "--show-completion",
    "--strategy",
    "--with-history",
}
"""Options of other programs that prose may name."""

DAYS = ("2024-03-11", "2024-07-04", "2024-10-07", "2024-12-20")

SHORTER = [(r"--minutes \S+", "--steps 2"), (r"--steps [0-9]{2,}", "--steps 2")]
"""What a test has no time for."""

group = typer.main.get_command(app)
assert isinstance(group, TyperGroup)
add_verbosity(group)


@dataclass(frozen=True)
class Fence:
    """A block of code of a page.

    Attributes:
        kind: What stands behind the backticks; of an indented block `sh`.
        text: The code.
        mark: The comment above it, else the page's own.
    """

    kind: str
    text: str
    mark: str

    @property
    def commands(self) -> list[list[str]]:
        """What stands after `swath`, command by command."""
        lines = self.text.replace("\\\n", " ").splitlines() if self.kind in ("sh", "text", "") else []
        return [words for line in lines for words in swath_commands(line)]


def swath_commands(line: str) -> Iterator[list[str]]:
    try:
        tokens = shlex.shlex(line, posix=True, punctuation_chars=";&|<>")
        tokens.whitespace_split = True
        words = list(tokens)
    except ValueError:  # half of a text in quotes, which goes on in the next line
        words = shlex.split(line.replace('"', " ").replace("'", " "), comments=True)
    words = [word for before, word in pairwise(["", *words]) if before != "cd"]
    while "swath" in words:
        words = words[words.index("swath") + 1 :]
        end = next((index for index, word in enumerate(words) if set(word) <= set(";&|<>")), len(words))
        command = [word.strip("[]") for word in words[:end] if word.strip("[]")]
        if command and command[0] not in ("COMMAND", "--help", "--version"):
            yield command


PAGES = [PROJECT / "README.md", *sorted((PROJECT / "docs").rglob("*.md"))]
PAGES += [PROJECT / "src/swath/starter/README.md", *sorted((PROJECT / "examples").rglob("*.md"))]
NAMES = [page.relative_to(PROJECT).as_posix() for page in PAGES]

BLOCK = re.compile(
    r"(?:^<!-- (?P<mark>[^\n]*?) -->\n)?(?:^ *```(?P<kind>\w*)[^\n]*\n(?P<text>.*?)^ *```"
    r"|(?<=\n\n)(?P<lines>(?:    [^\n]+\n(?:\n(?=    \S))?)+))|^<!-- (?P<page>parsed: [^\n]*) -->$",
    re.DOTALL | re.MULTILINE,
)


def fences(name: str) -> list[Fence]:
    found, whole = [], ""
    for block in BLOCK.finditer((PROJECT / name).read_text("utf-8")):
        if block["page"]:
            whole = block["page"]
            continue
        indented = block["lines"] is not None
        kind, text = ("sh", block["lines"]) if indented else (block["kind"], block["text"])
        found.append(Fence(kind, text, block["mark"] or whole))
    return found


def command_of(words: list[str]) -> tuple[TyperCommand, list[str]]:
    """The command that is called, and what it is given."""
    command: TyperCommand | TyperGroup = group
    while isinstance(command, TyperGroup):
        assert words, "no command"
        assert words[0] in command.commands, f"swath has no command {words[0]!r}"
        command, words = command.commands[words[0]], words[1:]
    return command, words


def check(words: list[str]) -> None:
    """Whether a command would get past its options."""
    command, given = command_of(words)
    if "--help" in given:
        return
    context = type(command).context_class(command)
    options, left, _ = command.make_parser(context).parse_args(args=list(given))
    assert not left, f"too much: {left}"
    for parameter in command.params:
        value = options.get(parameter.name)
        assert value is not None or not parameter.required or not given, f"{parameter.opts[0]} is missing"
        annotation = parameter.type_descriptor.annotation
        if isinstance(value, str) and typing.get_origin(annotation) is typing.Literal:
            assert value in map(str, typing.get_args(annotation)), f"{parameter.opts[0]} {value}"


# --- all commands -----------------------------------------------------------------------------


@pytest.mark.parametrize("name", NAMES)
def test_no_page_has_an_option_that_is_none(name: str) -> None:
    wrong = []
    for fence in fences(name):
        for words in fence.commands:
            try:
                check(words)
            except Exception as error:
                wrong.append(f"swath {' '.join(words)}: {error}")
    assert wrong == []


def test_prose_names_options_that_exist() -> None:
    def all_options(commands: TyperGroup) -> Iterator[str]:
        for command in commands.commands.values():
            if isinstance(command, TyperGroup):
                yield from all_options(command)
            else:
                yield from (o for p in command.params for o in (*p.opts, *getattr(p, "secondary_opts", ())))

    scripts = "".join(path.read_text("utf-8") for path in (PROJECT / "examples").rglob("*.py"))
    theirs = re.findall(r'"(--[a-z][\w-]+)"', scripts)
    shells = ("--help", "--version", "--install-completion", "--show-completion")
    known = {*all_options(group), *shells, *OTHERS, *theirs}
    wrong = {}
    for name in NAMES:
        prose = BLOCK.sub("", (PROJECT / name).read_text("utf-8"))
        spans = re.findall(r"`([^`]+)`", prose)
        used = {option for span in spans for option in re.findall(r"(?<![\w-])--[a-z][\w-]+", span)}
        wrong |= {name: sorted(used - known)} if used - known else {}
    assert wrong == {}


def test_every_command_is_run_or_says_why_not() -> None:
    silent = [
        f"{name}: swath {' '.join(words)}"
        for name in NAMES
        if name.startswith("docs/") and not name.startswith(FREE)
        for fence in fences(name)
        for words in fence.commands
        if not fence.mark.startswith(("run", "parsed: "))
    ]
    assert silent == []


# --- those that run ---------------------------------------------------------------------------


@pytest.fixture(scope="module")
def world(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """What tutorials speak of: three towns of three dates, a fourth image of one, and the crop."""
    from swath.simulate.world import write_world

    folder = tmp_path_factory.mktemp("docs") / "world"
    splits = {"toulouse": "test", "albi": "train", "foix": "validation"}
    write_world(folder, splits, seed=7, size_px=96, dates=4)  # type: ignore[arg-type]
    for town in ("toulouse", "albi", "foix"):
        for image, day in zip(sorted((folder / town).glob("*.tif")), DAYS, strict=True):
            image.rename(folder / town / f"{day}.tif")
    (folder / "new").mkdir()
    (folder / "toulouse" / f"{DAYS[-1]}.tif").rename(folder / "new" / f"{DAYS[-1]}.tif")
    (folder / "sites.yaml").unlink()
    shutil.copytree(open_crop().sites_file.parent, folder / "crop")
    return folder


def shell_words(words: list[str]) -> list[str]:
    """As the shell gives them: patterns become the files that they mean."""
    files = ([str(path) for path in sorted(Path().glob(word))] if "*" in word else [word] for word in words)
    return [word for part in files for word in part]


@pytest.mark.parametrize("name", [name for name in NAMES if any(f.mark == "run" for f in fences(name))])
def test_the_page_runs(name: str, world: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    shutil.copytree(world, tmp_path, dirs_exist_ok=True)
    monkeypatch.chdir(tmp_path)
    for fence in fences(name):
        if fence.mark.startswith("file: "):
            # The towns of this test are narrower than the strip between regions that is usual.
            text = fence.text.replace("    regions:", "    guard_px: 16\n    regions:")
            Path(fence.mark.removeprefix("file: ")).write_text(text, "utf-8")
        for words in fence.commands if fence.mark == "run" else []:
            line = " ".join(words)
            for long, short in SHORTER:
                line = re.sub(long, short, line)
            assert run(shell_words(shlex.split(line))) == 0, f"swath {line}"
