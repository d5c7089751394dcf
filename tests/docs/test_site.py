"""The documentation builds as a site, every link leads somewhere, and nobody is asked for anything."""

import importlib.util
import re
import subprocess
import sys
from pathlib import Path
from types import ModuleType
from typing import TYPE_CHECKING
from urllib.parse import unquote

import pytest

from conftest import PROJECT

if TYPE_CHECKING:
    from playwright.sync_api import Browser

DOCS = PROJECT / "docs"

NEVER = r'(?:src|href)="(?:https?:)?//[^"]*\.(?:js|css|woff2?|png|svg)[?"]|fonts\.g|<script[^>]+src="http'
"""What a page would load from another machine."""

MOST_RESULTS_LINES = 300


@pytest.fixture(scope="module")
def site(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The site, built with the settings that `make docs` has: a broken link or anchor ends it."""
    out = tmp_path_factory.mktemp("site")
    command = [sys.executable, "-m", "mkdocs", "build", "--site-dir", str(out)]
    done = subprocess.run(command, cwd=PROJECT, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    return out


def test_every_page_is_built(site: Path) -> None:
    pages = {page.relative_to(DOCS).with_suffix(".html") for page in DOCS.rglob("*.md")}
    assert {page for page in pages if not (site / page).is_file()} == set()
    assert (site / "reference" / "starter.html").is_file()
    assert not list(site.rglob("*.py"))


def test_pages_load_nothing_from_elsewhere(site: Path) -> None:
    texts = {page.relative_to(site): page.read_text("utf-8") for page in site.rglob("*.html")}
    assert {page: found for page, text in texts.items() if (found := re.findall(NEVER, text))} == {}
    assert not any(
        "api.github.com" in text or 'data-md-component="source"' in text for text in texts.values()
    )


def test_every_picture_is_there(site: Path) -> None:
    """Of raw HTML, too, which mkdocs does not look at."""
    lost = [
        f"{page.relative_to(site)}: {source}"
        for page in site.rglob("*.html")
        for source in re.findall(r'<img[^>]*? src="([^"]+)"', page.read_text("utf-8"))
        if not source.startswith("data:") and not (page.parent / unquote(source)).is_file()
    ]
    assert lost == []


def script(name: str) -> ModuleType:
    """A script of docs/."""
    spec = importlib.util.spec_from_file_location(name, DOCS / f"{name}.py")
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def test_the_reference_is_made_from_the_code() -> None:
    for name, text in script("reference").pages().items():
        assert (DOCS / "reference" / name).read_text("utf-8") == text, "run: make api"


def test_lines_of_prose_are_short() -> None:
    prose = script("prose")
    wide = [
        page.name for page in prose.pages() if prose.wrap(page.read_text("utf-8")) != page.read_text("utf-8")
    ]
    assert wide == [], "run: make format"


def test_wrapping_keeps_what_is_no_prose() -> None:
    prose = script("prose")
    long = "word " * 40
    page = f"# {long}\n\n- {long}\n- b\n\n| {long} |\n\n    {long}\n\n```sh\n{long}\n```\n"
    lines = prose.wrap(page).splitlines()
    assert [line for line in lines if len(line) > prose.WIDTH] == [
        f"# {long}",
        f"| {long} |",
        f"    {long}",
        long,
    ]
    assert lines[3].startswith("  word")
    assert prose.wrap("\n".join(lines) + "\n").splitlines() == lines


def test_results_are_one_page_that_one_reads() -> None:
    assert (DOCS / "results.md").read_text("utf-8").count("\n") <= MOST_RESULTS_LINES


def test_the_search_works_from_the_disk(browser: "Browser", site: Path) -> None:
    page = browser.new_page()
    asked: list[str] = []
    page.on("request", lambda request: asked.append(request.url))
    page.goto((site / "quickstart.html").as_uri())
    page.get_by_placeholder("Search").first.fill("attention")
    page.locator(".md-search-result__link").first.wait_for(timeout=20_000)
    assert not [url for url in asked if url.startswith("http")]
    page.close()
