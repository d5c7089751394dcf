"""The optional packages: the one table of them, and what is said where one is missing.

Every command that needs one asks here; `swath doctor` shows the table.
"""

from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from importlib.util import find_spec

from swath.errors import MissingExtraError


@dataclass(frozen=True, slots=True)
class Extra:
    """Packages that are installed together: `pip install 'swath[NAME]'`.

    Attributes:
        name: What stands in the brackets.
        packages: Module that is imported -> package that has it.
        gives: What does not work without, in words.
    """

    name: str
    packages: Mapping[str, str]
    gives: str

    @property
    def missing(self) -> tuple[str, ...]:
        """The packages that are not installed. Nothing is imported."""
        return tuple(package for module, package in self.packages.items() if not is_installed(module))


EXTRAS: Mapping[str, Extra] = {
    extra.name: extra
    for extra in (
        Extra("jp2", {"imagecodecs": "imagecodecs"}, "JPEG 2000 in half the time (GDAL reads it, too)"),
        Extra(
            "train",
            {"pytorch_lightning": "pytorch-lightning", "tensorboard": "tensorboard"},
            "swath train, swath demo, swath lab compare",
        ),
        Extra("osm", {"osmium": "osmium"}, "OpenStreetMap extracts (.osm.pbf, .osm) and Overpass"),
        Extra(
            "fetch",
            {"pystac_client": "pystac-client", "requests": "requests", "urllib3": "urllib3"},
            "swath fetch: images from a STAC API",
        ),
        Extra("report", {"jinja2": "jinja2", "matplotlib": "matplotlib"}, "reports and pictures of scores"),
        Extra(
            "view",
            {"uvicorn": "uvicorn", "starlette": "starlette", "httptools": "httptools"},
            "swath view: maps live in the browser",
        ),
        Extra(
            "clouds",
            {"ukis_csmask": "ukis-csmask", "onnxruntime": "onnxruntime"},
            "mask `ukis-csmask`: clouds found by a model",
        ),
        Extra(
            "onnx",
            {"onnx": "onnx", "onnxruntime": "onnxruntime", "onnxscript": "onnxscript"},
            "swath export: the networks for other programs",
        ),
        Extra("cluster", {"distributed": "distributed"}, "work on a Dask cluster"),
        Extra("xarray", {"xarray": "xarray"}, "maps and images as xarray datasets, from Python"),
        Extra("baselines", {"sklearn": "scikit-learn"}, "swath lab realism and classical methods"),
    )
}
"""All extras that users need, by name."""


def is_installed(module: str) -> bool:
    """Whether a module could be imported."""
    return find_spec(module) is not None


def need_extras(what: str, *names: str) -> None:
    """Check that extras are installed, before any work.

    Args:
        what: Needs them, in words.
        names: Of the extras.

    Raises:
        MissingExtraError: One is not; it names all that are missing.
    """
    lacking = {name: packages for name in names if (packages := EXTRAS[name].missing)}
    if lacking:
        first = next(iter(lacking.values()))[0]
        raise MissingExtraError(what, first, ",".join(lacking))


@contextmanager
def optional_import(what: str, name: str) -> Iterator[None]:
    """A block that imports packages of an extra, which `what` (in words) needs.

    Raises:
        MissingExtraError: One is not installed.
    """
    extra = EXTRAS[name]
    try:
        yield
    except ImportError as error:
        module = (error.name or "").partition(".")[0]
        raise MissingExtraError(what, extra.packages.get(module, module or name), name) from None
