"""Whether swath can work here: what it needs, what it could use, and what to do where something lacks."""

import os
import platform
import shutil
import socket
import tempfile
import threading
import time
from collections.abc import Callable, Iterable, Iterator
from contextlib import suppress
from dataclasses import dataclass
from enum import StrEnum
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from urllib.parse import urlsplit
from urllib.request import getproxies

from swath.errors import install_line, reason_of
from swath.extras import EXTRAS, Extra
from swath.version import __version__

PACKAGES = (
    "torch",
    "numpy",
    "rasterio",
    "pyogrio",
    "geopandas",
    "pyproj",
    "shapely",
    "scipy",
    "scikit-image",
)

ENOUGH_MEMORY_GB, LEAST_MEMORY_GB = 2.0, 0.8
"""A tile of 1024 px takes about 1 GB; one of 256 px some 0.5 GB."""

ENOUGH_DISK_GB, LEAST_DISK_GB = 2.0, 0.2

ANSWER_S = 2.0
"""How long is waited for the network: nothing of what follows needs it."""

SMOKE_PX = 96


class Status(StrEnum):
    """How a thing is."""

    OK = "ok"
    OPTIONAL = "optional"
    """It lacks, and only some things need it."""
    WARNING = "warning"
    """It works, slowly or not for long."""
    RED = "RED"
    """It does not work."""


@dataclass(frozen=True, slots=True)
class Finding:
    """One line of an examination.

    Attributes:
        name: Of what was looked at.
        status: How it is.
        said: What was found.
        advice: What to do about it; empty where nothing is to be done.
    """

    name: str
    status: Status
    said: str
    advice: str = ""


Check = Callable[[], Iterable[Finding]]


def examine() -> Iterator[Finding]:
    """Look at all that swath needs or could use, the quick things first; the map at the end takes seconds.

    Whatever raises is a finding of its own: nothing stops the examination.
    """
    checks: dict[str, Check] = {
        "versions": _versions,
        "device": _device,
        "memory": _memory,
        "GDAL": _drivers,
        "extras": lambda: map(_extra, EXTRAS.values()),
        "disk": _disk,
        "network": _network,
        "smoke test": _smoke_test,
    }
    for name, check in checks.items():
        try:
            yield from check()
        except Exception as error:  # a broken installation raises anything
            advice = "install swath anew in a fresh environment: pip install swath"
            yield Finding(name, Status.RED, f"{type(error).__name__}: {reason_of(error)}", advice)


def is_well(findings: Iterable[Finding]) -> bool:
    """Whether nothing is red."""
    return all(finding.status != Status.RED for finding in findings)


def _versions() -> Iterator[Finding]:
    here = (
        f"swath {__version__}, Python {platform.python_version()}, {platform.system()} {platform.machine()}"
    )
    yield Finding("swath", Status.OK, here)
    known, missing = [], []
    for package in PACKAGES:
        try:
            known.append(f"{package} {version(package)}")
        except PackageNotFoundError:
            missing.append(package)
    yield Finding("packages", Status.OK, ", ".join(known))
    if missing:
        advice = f"pip install {' '.join(missing)}"
        yield Finding("packages", Status.RED, f"not installed: {', '.join(missing)}", advice)


def _device() -> Iterator[Finding]:
    import torch

    from swath.models.device import best_precision, pick_device

    device = pick_device()
    if device.type == "cuda":
        memory = torch.cuda.get_device_properties(device).total_memory / 1e9
        yield Finding("device", Status.OK, f"{torch.cuda.get_device_name(device)}, {memory:.0f} GB")
    else:
        threads = torch.get_num_threads()
        said = f"CPU, {threads} thread{'s' if threads > 1 else ''}; a GPU is not needed to map"
        yield Finding("device", Status.OK, said)
        if shutil.which("nvidia-smi"):
            advice = "take the torch for your CUDA: https://pytorch.org/get-started/locally"
            yield Finding(
                "device", Status.WARNING, "an NVIDIA GPU is here, but torch does not use it", advice
            )
    if best_precision(device) == "bf16":
        yield Finding("bf16", Status.OK, "in hardware: networks run in half precision")
    else:
        yield Finding("bf16", Status.OPTIONAL, "not in this hardware: networks run in fp32, slower")


def _memory() -> Iterator[Finding]:
    free = _free_memory_gb()
    if free is None:
        yield Finding("memory", Status.OK, "this system does not tell how much is free")
        return
    said = f"{free:.1f} GB free"
    if free < LEAST_MEMORY_GB:
        yield Finding("memory", Status.RED, said, "close other programs; a map needs about 1 GB")
    elif free < ENOUGH_MEMORY_GB:
        yield Finding("memory", Status.WARNING, said, "map with small tiles (512 px, 256 px) and one worker")
    else:
        yield Finding("memory", Status.OK, said)


def _free_memory_gb() -> float | None:
    """What this process may still take: of the machine, and of its container."""
    free = []
    with suppress(OSError, ValueError):
        for line in Path("/proc/meminfo").read_text().splitlines():
            if line.startswith("MemAvailable:"):
                free.append(int(line.split()[1]) * 1024 / 1e9)
    with suppress(OSError, ValueError):
        group = Path("/sys/fs/cgroup")
        most, used = (int((group / name).read_text()) for name in ("memory.max", "memory.current"))
        free.append((most - used) / 1e9)
    if not free:
        with suppress(AttributeError, OSError, ValueError):
            free.append(os.sysconf("SC_AVPHYS_PAGES") * os.sysconf("SC_PAGE_SIZE") / 1e9)
    return min(free, default=None)


def _drivers() -> Iterator[Finding]:
    import pyogrio
    import rasterio

    with rasterio.Env() as environment:
        rasters = set(environment.drivers())
    vectors = set(pyogrio.list_drivers())
    yield Finding("GDAL", Status.OK, f"{rasterio.__gdal_version__} (rasters), {_dotted(pyogrio)} (vectors)")
    needs = "install them anew, from PyPI: pip uninstall rasterio pyogrio; pip install rasterio pyogrio"
    for driver, there, purpose in (
        ("GTiff", rasters, "images"),
        ("COG", rasters, "the maps that are written"),
        ("GPKG", vectors, "lines and areas"),
        ("GeoJSON", vectors, "labels and candidates"),
    ):
        if driver in there:
            yield Finding(f"GDAL {driver}", Status.OK, purpose)
        else:
            yield Finding(f"GDAL {driver}", Status.RED, f"missing: {purpose}", needs)
    if "JP2OpenJPEG" in rasters:
        yield Finding("GDAL JP2", Status.OK, "Sentinel-2 products (.SAFE)")
    else:
        said = "missing: Sentinel-2 products (.SAFE) cannot be read, GeoTIFFs can"
        yield Finding("GDAL JP2", Status.OPTIONAL, said, needs)
    if "OSM" in vectors:
        yield Finding("GDAL OSM", Status.OK, "there; swath itself reads extracts with osmium (extra osm)")
    else:
        yield Finding("GDAL OSM", Status.OPTIONAL, "missing; swath reads extracts with osmium (extra osm)")


def _dotted(pyogrio: object) -> str:
    return ".".join(map(str, getattr(pyogrio, "__gdal_version__", ("?",))))


def _extra(extra: Extra) -> Finding:
    if not extra.missing:
        return Finding(f"extra {extra.name}", Status.OK, extra.gives)
    said = f"without {' and '.join(extra.missing)}: no {extra.gives}"
    return Finding(f"extra {extra.name}", Status.OPTIONAL, said, install_line(extra.name))


def _disk() -> Iterator[Finding]:
    places = {"here": Path.cwd(), "temporary files": Path(tempfile.gettempdir())}
    for what, folder in places.items():
        name, free = f"disk ({what})", shutil.disk_usage(folder).free / 1e9
        said = f"{free:.1f} GB free in {folder}"
        if free >= ENOUGH_DISK_GB:
            yield Finding(name, Status.OK, said)
            continue
        advice = "make room; swath plan says what a map takes"
        if what == "temporary files":
            advice = "make room, or set TMPDIR to a folder on another disk"
        yield Finding(name, Status.RED if free < LEAST_DISK_GB else Status.WARNING, said, advice)


def _network() -> Iterator[Finding]:
    from swath.retrieval.stacapi import KNOWN_APIS

    address = urlsplit(getproxies().get("https") or KNOWN_APIS["earth-search"].url)
    host, port = address.hostname or "", address.port or 443
    if _answers(host, port):
        yield Finding("network", Status.OK, f"{host} answers: swath fetch can work")
    else:
        said = f"{host} does not answer: no swath fetch; all else works offline"
        yield Finding("network", Status.OPTIONAL, said)


def _answers(host: str, port: int) -> bool:
    """Whether a host takes a connection within `ANSWER_S`; looking up its name may take longer."""
    answers = []

    def ask() -> None:
        with suppress(OSError), socket.create_connection((host, port), ANSWER_S):
            answers.append(True)

    thread = threading.Thread(target=ask, daemon=True)
    thread.start()
    thread.join(ANSWER_S)
    return bool(answers)


def _smoke_test() -> Iterator[Finding]:
    """Map a corner of the real crop that comes with swath, and read the map."""
    import rasterio

    from swath.grid import Grid, Window
    from swath.mapping.request import map_scenes
    from swath.scenes.raster import read_raster
    from swath.sites.crop import open_crop

    began = time.perf_counter()
    scene = open_crop().scenes[-1]
    pixels = read_raster(scene, Window(0, 0, SMOKE_PX, SMOKE_PX), fill=0)
    grid = Grid(rasterio.CRS.from_epsg(32630), rasterio.Affine(10, 0, 6e5, 0, -10, 5.33e6), pixels.shape[1:])
    bands = ("B02", "B03", "B04", "B08")
    maps = map_scenes(pixels[None], grid=grid, dates=[scene.stem], bands=bands)
    km = float(maps.roads()["length_m"].sum()) / 1e3
    seconds = time.perf_counter() - began
    said = (
        f"mapped {SMOKE_PX} x {SMOKE_PX} px of the crop that comes with swath in {seconds:.1f} s: {km:.1f} km"
    )
    if km > 0:
        yield Finding("smoke test", Status.OK, f"{said} of road")
    else:
        advice = "please report it with this output: the weights or a library are broken"
        yield Finding("smoke test", Status.RED, f"{said} of road, where there are many", advice)
