"""The paper's seventeen cities as one file, and the commands that rerun the paper."""

import datetime as dt
import json
import shlex
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import rasterio
import typer

from conftest import PROJECT
from support.fault_server import serving
from support.fetch_world import fetch
from support.stac_server import Shot, earth_search_item, stac_api
from swath.cli import app
from swath.grid import Grid
from swath.retrieval import stacapi
from swath.retrieval.stacapi import StacApi
from swath.sites.schema import read_sites_file

PAPER17 = PROJECT / "examples" / "paper17.yaml"
SPLITS = {
    "train": "austin jacksonville houston dusseldorf toronto dallas lyon raleigh berlin edmonton "
    "nantes sacramento san_antonio",
    "validation": "paris chesapeake san_jose",
    "test": "topeka",
}


def test_the_papers_sites_are_its_17_cities_in_its_splits() -> None:
    sites = read_sites_file(PAPER17).sites
    assert len(sites) == 17
    for split, names in SPLITS.items():
        assert {name for name, site in sites.items() if site.split == split} == set(names.split())
    topeka = sites["topeka"].fetch
    assert topeka is not None
    assert [str(day) for day in topeka.wishes] == ["2019-03-11", "2019-07-04", "2019-10-07"]


def _square(grid: Grid) -> str:
    """The name of the military grid's square of 100 km that a tile of Sentinel-2 begins with.

    Zone, band of 8 degrees, column letter (sets of 8 by zone), row letter (20, even zones begin
    at F): the scheme's own definition, without I and O.
    """
    zone = int(grid.crs[-2:])
    left, bottom, _, top = grid.bounds
    _, south, _, north = grid.lonlat_bounds
    # Tiles reach 9.8 km further east and south than their squares.
    column = int((left + 40_000) // 100_000)
    row = int((top - 40_000) // 100_000)
    middle = north - (north - south) * 50_000 / (top - bottom)
    band = "CDEFGHJKLMNPQRSTUVWX"[int((middle + 80) // 8)]
    letter = ("ABCDEFGH", "JKLMNPQR", "STUVWXYZ")[(zone - 1) % 3][column - 1]
    rows = "ABCDEFGHJKLMNPQRSTUV"
    return f"{zone}{band}{letter}{rows[(row + (5 if zone % 2 == 0 else 0)) % 20]}"


def test_the_papers_sites_are_whole_tiles_of_the_right_name() -> None:
    settings = read_sites_file(PAPER17)
    for name, site in settings.sites.items():
        assert site.bounds is not None
        assert site.fetch is not None
        grid = Grid.from_lonlat(site.bounds, site.crs, settings.resolution_m)
        assert all(10_950 <= side <= 10_980 for side in grid.shape), name
        assert _square(grid) == site.fetch.mgrs_tile, name
        # Inside the tile: its corners lie on multiples of 60 m at or beyond the square's.
        left, bottom, right, top = grid.bounds
        tile_left = (left + 40_000) // 100_000 * 100_000 // 60 * 60
        tile_top = -(-((top - 40_000) // 100_000 + 1) * 100_000 // 60) * 60
        assert tile_left <= left < right <= tile_left + 109_800, name
        assert tile_top - 109_800 <= bottom < top <= tile_top, name


# --- the commands ----------------------------------------------------------------------------


def commands() -> list[str]:
    """The commands of the document, as it prints them."""
    text = (PROJECT / "docs" / "reproduce-paper.md").read_text("utf-8")
    lines = [line.strip().split("#")[0] for line in text.splitlines() if line.startswith("    ")]
    return [line for line in lines if line.startswith("swath ")]


def test_the_commands_of_the_document_parse_and_hand_on_to_each_other() -> None:
    found = [shlex.split(line)[1:] for line in commands()]
    names = [words[0] for words in found]
    assert names == ["fetch", "fetch", "build", "labels", "train", "map", "evaluate"]
    made = {str(PAPER17.relative_to(PROJECT))}
    for words in found:
        group: Any = typer.main.get_command(app)
        name, *rest = words
        if name == "labels":
            group, (name, *rest) = group.commands[name], rest
        # Unknown options, missing arguments and bad choices raise here.
        context = group.commands[name].make_context(name, list(rest))
        given = {str(value) for value in context.params.values() if isinstance(value, Path)}
        given.discard(str(context.params["out"]))
        assert all(any(path.split("/")[0] == m.split("/")[0] for m in made) for path in given)
        made.add(str(context.params["out"]))


# Clear days of every site, one clouded one, and Topeka's three.
DAYS = ["2019-01-15", "2019-04-20", "2019-06-02", "2019-08-20", "2019-11-01"]
CLOUDED = "2019-06-02"
TOPEKA = ["2019-03-11", "2019-07-04", "2019-10-07"]


@pytest.fixture
def earth_search(tmp_path: Path, loopback_only: None, monkeypatch: Any) -> Iterator[None]:
    """Earth Search as the file's sites would find it, with scene classifications of 1 km."""
    root = tmp_path / "files"
    root.mkdir()
    with serving(root) as files, serving(root) as api:
        items = []
        for name, site in read_sites_file(PAPER17).sites.items():
            assert site.bounds is not None
            assert site.fetch is not None
            grid = Grid.from_lonlat(site.bounds, site.crs, 1000)
            for kind, value in (("clear", 4), ("cloud", 9)):
                profile = grid.profile() | {"driver": "COG", "count": 1, "dtype": "uint8"}
                with rasterio.open(root / f"{name}-{kind}.tif", "w", **profile) as target:
                    target.write(np.full((1, *grid.shape), value, np.uint8))
            for day in [*DAYS, *(TOPEKA if name == "topeka" else [])]:
                item = earth_search_item(Shot(dt.date.fromisoformat(day)), files.url, {})
                west, south, east, north = grid.lonlat_bounds
                ring = [[west, south], [east, south], [east, north], [west, north], [west, south]]
                item |= {"id": f"S2B_T{site.fetch.mgrs_tile}_{day}", "bbox": [*grid.lonlat_bounds]}
                item |= {"collection": "sentinel-2-c1-l2a"}
                item["geometry"] = {"type": "Polygon", "coordinates": [ring]}
                item["properties"]["grid:code"] = f"MGRS-{site.fetch.mgrs_tile}"
                kind = "cloud" if day == CLOUDED else "clear"
                item["assets"]["scl"]["href"] = f"{files.url}/{name}-{kind}.tif"
                items.append(item)
        with stac_api(items, root, api.url) as address:
            api.api = address
            preset = StacApi(api.url, "sentinel-2-c1-l2a")
            monkeypatch.setitem(stacapi.KNOWN_APIS, "earth-search", preset)
            yield


def test_the_dry_run_of_the_document_plans_every_city(
    earth_search: None, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    pytest.importorskip("osmium")
    line = next(line for line in commands() if "--dry-run" in line)
    assert shlex.split(line)[2] == str(PAPER17.relative_to(PROJECT))
    assert fetch(PAPER17, tmp_path / "fetched", "--dry-run", "--json") == 0
    plan = json.loads(capsys.readouterr().out)["sites"]
    assert len(plan) == 17
    for site in plan:
        dates = [pick["date"] for pick in site["picks"]]
        if site["name"] == "topeka":
            assert dates == TOPEKA
        else:
            assert len(dates) == 3
            assert set(dates) < set(DAYS) - {CLOUDED}
        assert site["source"] == "visual"
        assert site["missing"] == []
    # As docs/reproduce-paper.md says.
    assert sum(site["labels"]["requests"] for site in plan) == 388
    assert not (tmp_path / "fetched").exists()
