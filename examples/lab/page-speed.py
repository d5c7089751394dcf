"""How fast `swath view` shows a whole scene: the first picture, and many clients at a time.

python examples/lab/page-speed.py MAPS FOLDER [--side 10980] [--clients 50] [--seconds 30]

MAPS is any map with its page. Its first site is repeated until it is SIDE pixels wide and high, rasters
and lines, by the writers of `swath map`, into FOLDER/large (made once). Then a browser opens the page
three times, each time anew, and clients ask for blocks of the rasters, one request after the other,
without a pause. Needs Chromium and Playwright. Prints seconds until the first picture, and milliseconds
of the requests.
"""

import argparse
import asyncio
import json
import os
import random
import shutil
import statistics
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from urllib.parse import urlsplit

import geopandas as gpd
import numpy as np
import pandas as pd
import rasterio

from swath.grid import Grid, Window
from swath.maps.rasters import Raster, writing_rasters
from swath.maps.sitemaps import read_maps

STRIP_PX = 1024
REQUEST_BYTES = 60_000
"""What a browser asks for at a time: about a block of 512 px."""


def describe(path: Path) -> Raster:
    """What a raster of MAPS is, from its file."""
    with rasterio.open(path) as source:
        palette = source.colorinterp[0].name == "palette"
        exact = palette or source.dtypes[0] != "uint8"
        scale = source.scales[0] if source.scales[0] != 1 else None
        return Raster(
            path.name,
            tuple(text or "" for text in source.descriptions),
            int(source.nodata),
            "NEAREST" if exact else "AVERAGE",
            {"TIFFTAG_COPYRIGHT": "", **{k: v for k, v in source.tags().items() if k != "AREA_OR_POINT"}},
            dtype=source.dtypes[0],
            colors=source.colormap(1) if palette else None,
            rgb=source.colorinterp[0].name == "red",
            scale=scale,
        )


def repeat_raster(path: Path, side: int, shape: tuple[int, int], folder: Path) -> None:
    """Write a raster again and again beside itself; `side` and `shape` are those of the finest one."""
    with rasterio.open(path) as source:
        pixels = source.read()
        finer = round(shape[0] / source.height)
        grid = Grid(source.crs.to_wkt(), source.transform, (side // finer, side // finer))
    with writing_rasters(folder, grid, [describe(path)]) as write:
        for strip in grid.window.strips(STRIP_PX):
            rows = np.arange(strip.row, strip.row + strip.height) % pixels.shape[1]
            cols = np.arange(grid.width) % pixels.shape[2]
            write(Window(strip.row, 0, strip.height, grid.width), [pixels[:, rows][:, :, cols]])


def enlarge(maps_folder: Path, out: Path, side: int) -> None:
    """Make the large map."""
    maps = read_maps(maps_folder)[0]
    site = out / maps.site
    site.mkdir(parents=True)
    grid = maps.grid
    for path in sorted(maps.folder.glob("*.tif")):
        repeat_raster(path, side, grid.shape, site)
    roads = gpd.read_file(maps.gpkg_path, layer="roads")
    left, bottom, right, top = grid.bounds
    steps = [
        (col * (right - left), -row * (top - bottom))
        for row in range(-(-side // grid.height))
        for col in range(-(-side // grid.width))
    ]
    parts = [roads.set_geometry(roads.geometry.translate(*step)) for step in steps]
    gpd.GeoDataFrame(pd.concat(parts, ignore_index=True), crs=roads.crs).to_file(
        site / "roads.gpkg", layer="roads"
    )
    for name in ("item.json", "manifest.json"):
        shutil.copyfile(maps.folder / name, site / name)


@contextmanager
def viewing(folder: Path) -> Iterator[tuple[str, int]]:
    """`swath view` in a process of its own: the address of its page, and its number."""
    command = [sys.executable, "-m", "swath", "view", str(folder), "--json"]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as process:
        assert process.stdout is not None
        try:
            yield json.loads(process.stdout.readline())["url"], process.pid
        finally:
            process.terminate()


def processor_s(process: int) -> float:
    """Processor seconds of a process so far."""
    fields = Path(f"/proc/{process}/stat").read_text().rsplit(")", 1)[1].split()
    return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")


def first_pictures(url: str, times: int = 3) -> list[float]:
    """Seconds from opening the page to the moment when all of its first view is drawn."""
    from playwright.sync_api import sync_playwright

    chromium = shutil.which("chromium") or shutil.which("google-chrome")
    spent = []
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=chromium, args=["--no-sandbox"])
        for _ in range(times):
            context = browser.new_context(viewport={"width": 1400, "height": 900})
            page = context.new_page()
            began = time.perf_counter()
            page.goto(url, wait_until="commit")
            page.wait_for_selector("body[data-ready]")
            spent.append(time.perf_counter() - began)
            context.close()
        browser.close()
    return spent


async def client(url: str, paths: list[tuple[str, int]], until: float, spent: list[float]) -> None:
    """Ask for ranges until it is time to stop."""
    address = urlsplit(url)
    reader, writer = await asyncio.open_connection(address.hostname, address.port)
    while time.perf_counter() < until:
        path, size = random.choice(paths)
        first = random.randrange(max(1, size - REQUEST_BYTES))
        began = time.perf_counter()
        span = f"bytes={first}-{first + REQUEST_BYTES - 1}"
        writer.write(f"GET {path} HTTP/1.1\r\nHost: 127.0.0.1\r\nRange: {span}\r\n\r\n".encode())
        head = (await reader.readuntil(b"\r\n\r\n")).decode().lower()
        await reader.readexactly(int(head.split("content-length: ")[1].split("\r\n")[0]))
        spent.append(time.perf_counter() - began)
        if " 206 " not in head.splitlines()[0]:
            raise RuntimeError(head.splitlines()[0])
    writer.close()


async def many_clients(url: str, site: Path, clients: int, seconds: float) -> list[float]:
    """Milliseconds of all requests of all clients; an error ends it."""
    paths = [(f"/maps/0/{path.name}", path.stat().st_size) for path in site.glob("*.tif")]
    spent: list[float] = []
    until = time.perf_counter() + seconds
    await asyncio.gather(*(client(url, paths, until, spent) for _ in range(clients)))
    return [1000 * value for value in spent]


def main() -> None:
    """Make the large map, and measure."""
    parser = argparse.ArgumentParser(description="How fast swath view shows a whole scene.")
    parser.add_argument("maps", type=Path)
    parser.add_argument("folder", type=Path)
    parser.add_argument("--side", type=int, default=10980)
    parser.add_argument("--clients", type=int, default=50)
    parser.add_argument("--seconds", type=float, default=30)
    given = parser.parse_args()
    large = given.folder / "large"
    if not large.is_dir():
        enlarge(given.maps, large, given.side)
    with viewing(large) as (url, server):
        pictures = first_pictures(url)
        sys.stdout.write(f"first picture: {', '.join(f'{s:.2f}' for s in pictures)} s\n")
        before = processor_s(server)
        spent = asyncio.run(many_clients(url, read_maps(large)[0].folder, given.clients, given.seconds))
        each = 1000 * (processor_s(server) - before) / len(spent)
    p50, p95 = statistics.median(spent), statistics.quantiles(spent, n=20)[-1]
    sys.stdout.write(
        f"{given.clients} clients, {given.seconds:g} s: {len(spent)} requests, p50 {p50:.0f} ms, "
        f"p95 {p95:.0f} ms; {each:.2f} processor ms of the server each\n"
    )


if __name__ == "__main__":
    main()
