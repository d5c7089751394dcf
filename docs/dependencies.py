"""Writes constraints.txt and docs/licences.md: all that is installed for `swath[dev]`. `make lock`."""

import re
import tomllib
from importlib.metadata import Distribution, distribution
from pathlib import Path

from packaging.requirements import Requirement
from packaging.utils import canonicalize_name

PROJECT = Path(__file__).parents[1]

HEAD = """\
# What swath stands on

```sh
make demo test    # install just the versions of constraints.txt
make audit        # known vulnerabilities of these versions: asks the Python package index
make lock         # write constraints.txt and this page from what is installed
```

All packages that `swath[dev]` installs, direct and not, with the licences that they declare. A test
refuses any that is not among those that may be used together with Apache-2.0: permissive ones, and
the Mozilla Public License, whose files swath neither contains nor changes. swath's own wheel holds
none of them. On Linux torch may bring NVIDIA's CUDA libraries, under NVIDIA's own licence, and
Triton (MIT), in versions that torch itself fixes; its build for CPUs does not. They are not listed.

"""

FAMILIES = {
    "Apache-2.0": r"apache",
    "BSD": r"\bbsd|0bsd",
    "MIT": r"\bmit\b|mit-cmu",
    "ISC": r"\bisc\b",
    "PSF-2.0": r"psf|python software foundation",
    "MPL-2.0": r"mpl|mozilla public license",
    "BSL-1.0": r"\bbsl",
    "Zlib": r"\bzlib\b",
    "CC0-1.0": r"\bcc0",
}
"""Licences that may be used together with Apache-2.0, and how packages write them."""

OF_CUDA = re.compile(r"(cuda|nvidia)-|triton$")
"""What torch's build for NVIDIA GPUs brings, in versions that it fixes: the page names it apart."""

REFUSED = re.compile(r"\b(a?gpl|lgpl|sspl|gnu|busl|commercial|proprietary)", re.IGNORECASE)


def dependencies() -> dict[str, Distribution]:
    """Every package that `swath[dev]` installs on this system, by name; not those of CUDA."""
    project = tomllib.loads((PROJECT / "pyproject.toml").read_text("utf-8"))["project"]
    found: dict[str, Distribution] = {}
    todo, seen = [Requirement("swath[dev]")], set()
    while todo:
        requirement = todo.pop()
        name, extras = canonicalize_name(requirement.name), frozenset(requirement.extras)
        if (name, extras) in seen or OF_CUDA.match(name):
            continue
        seen.add((name, extras))
        if name == "swath":
            of_extras = (text for extra in extras for text in project["optional-dependencies"][extra])
            todo += map(Requirement, [*project["dependencies"], *of_extras])
            continue
        found[name] = distribution(name)
        for text in found[name].requires or ():
            needed = Requirement(text)
            if needed.marker is None or any(needed.marker.evaluate({"extra": e}) for e in ("", *extras)):
                todo.append(needed)
    return dict(sorted(found.items()))


def licence(package: Distribution) -> str:
    """The families of licences that a package declares; empty where none is known or one is refused."""
    metadata = package.metadata
    declared = metadata.get("License-Expression") or (metadata.get("License") or "").partition("\n")[0]
    classifiers = [text for text in metadata.get_all("Classifier") or () if text.startswith("License")]
    if not (declared or classifiers):
        own = [file for file in package.files or () if ".dist-info/licenses/" in str(file)]
        declared = " ".join(file.read_text().partition("\n")[0] for file in own)
    text = " ".join((declared, *classifiers))
    families = [name for name, pattern in FAMILIES.items() if re.search(pattern, text, re.IGNORECASE)]
    return "" if REFUSED.search(text) else ", ".join(families)


def page() -> str:
    """The page as Markdown."""
    rows = [f"| {name} | {licence(package)} |" for name, package in dependencies().items()]
    return HEAD + "\n".join(["| package | licence |", "|---|---|", *rows]) + "\n"


def constraints() -> str:
    """The versions that are installed, without the part that names a build (`+cpu`)."""
    lines = (f"{name}=={package.version.partition('+')[0]}" for name, package in dependencies().items())
    return "\n".join(lines) + "\n"


if __name__ == "__main__":
    (PROJECT / "docs" / "licences.md").write_text(page(), "utf-8")
    (PROJECT / "constraints.txt").write_text(constraints(), "utf-8")
