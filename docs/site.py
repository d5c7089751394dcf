"""Hooks of the documentation site (mkdocs.yml): pages that lie elsewhere, and links out of docs/."""

import posixpath
import re
from collections.abc import Callable
from pathlib import Path

from mkdocs.config.defaults import MkDocsConfig
from mkdocs.exceptions import PluginError
from mkdocs.structure.files import File, Files
from mkdocs.structure.pages import Page

PROJECT = Path(__file__).parents[1]

BORROWED = {
    "src/swath/starter/README.md": "reference/starter.md",
    "examples/lab/starter/README.md": "lab/starter-recipe.md",
    "CHANGELOG.md": "reference/changelog.md",
    "DESIGN.md": "lab/design.md",
}
"""Pages that lie beside what they tell of, and where the site has them."""

LINK = re.compile(r"(?<=\]\()(?![a-z]+:|#)([^)#\s]+)(#[^)\s]*)?(?=\))")


def on_files(files: Files, config: MkDocsConfig) -> Files:
    """Add the borrowed pages."""
    for source, page in BORROWED.items():
        files.append(File.generated(config, page, content=(PROJECT / source).read_text("utf-8")))
    return files


def on_page_markdown(markdown: str, page: Page, config: MkDocsConfig, files: Files) -> str:
    """Have every link lead to a page of the site, or else to the repository."""
    homes = {target: source for source, target in BORROWED.items()}
    here = page.file.src_uri
    lies = homes.get(here, f"docs/{here}")
    repository = str(config.extra["repository"])
    # What is shipped links to the repository, from wherever it is installed.
    markdown = markdown.replace(
        f"]({repository}/blob/main/", f"]({posixpath.relpath('.', posixpath.dirname(lies))}/"
    )
    return outside_code(markdown, lambda text: LINK.sub(lambda m: target(m, lies, here, repository), text))


def target(link: re.Match[str], lies: str, here: str, repository: str) -> str:
    """Where a link of the page that lies at `lies`, and is shown at `here`, leads."""
    place = posixpath.normpath(posixpath.join(posixpath.dirname(lies), link[1]))
    if not (PROJECT / place).exists():
        raise PluginError(f"{lies}: no {link[1]}")
    page = BORROWED.get(place) or (place.removeprefix("docs/") if place.startswith("docs/") else None)
    if page is None or (PROJECT / place).is_dir():
        return f"{repository}/tree/main/{place}"
    return posixpath.relpath(page, posixpath.dirname(here) or ".") + (link[2] or "")


def outside_code(markdown: str, change: Callable[[str], str]) -> str:
    """Change what stands outside of fences."""
    parts = re.split(r"(^ *```.*?^ *```)", markdown, flags=re.DOTALL | re.MULTILINE)
    return "".join(part if index % 2 else change(part) for index, part in enumerate(parts))
