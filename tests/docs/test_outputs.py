"""docs/outputs.md against the files of a tiny world: none missing there, none that does not exist."""

import re
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import pyarrow.parquet as pq
import pyogrio
import pytest
import rasterio

import swath
from conftest import PROJECT
from export.test_export import spread_run
from mapping.test_resume import DAYS
from support.fetch_world import World
from swath.cli import run
from swath.demo import run_demo
from swath.outfolder import MARK
from test_demo import TINY

BESIDE = (".aux.xml", "-wal", "-shm", "-journal")
OPEN = ("tags", "columns of")
"""Words of rows whose columns depend on the input."""


@dataclass(frozen=True)
class Row:
    """A row of a table of the page, its cells by the table's head."""

    cells: dict[str, str]

    @property
    def pattern(self) -> re.Pattern[str]:
        name = re.sub(r"<date>", r"\\d{4}-\\d\\d-\\d\\d", re.escape(self.cells["file"].strip("`")))
        return re.compile(re.sub(r"<file>", ".+", re.sub(r"<(?!file)\w+>", "[^/]+", name)))

    @property
    def optional(self) -> bool:
        return list(self.cells.values())[-1].startswith("only ")


def sections() -> dict[str, list[Row]]:
    """Heading -> rows."""
    page: dict[str, list[Row]] = {}
    for part in (PROJECT / "docs" / "outputs.md").read_text("utf-8").split("\n## ")[1:]:
        rows = page.setdefault(part.partition("\n")[0].partition(" (")[0], [])
        head: list[str] = []
        for line in part.splitlines():
            cells = re.split(r"\s*\|\s*", line[1:-1].strip()) if line.startswith("|") else []
            if cells[:1] == ["file"]:
                head = cells
            elif cells and cells[0].startswith("`"):
                rows.append(Row(dict(zip(head, cells, strict=True))))
    return page


PAGE = sections()


@pytest.fixture(scope="module")
def outputs(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Path]:
    """Section of the page -> a folder, or a file, that was written."""
    root = tmp_path_factory.mktemp("outputs")
    done = run_demo(root / "demo", seed=1, device="cpu", plan=TINY)
    world = root / "demo" / "simulated" / "world"
    maps = swath.open_maps(done.maps)
    roads = world / "sim_3" / "roads.geojson"
    mapped = ["map", str(done.run), "--dataset", str(done.dataset), "--split", "test"]
    assert run([*mapped, "--out", str(root / "maps")]) == 0
    swath.conflate(maps, roads, root / "conflation", site="sim_3")
    first, last = map(str, maps["sim_3"].dates)
    swath.changes(maps, None, root / "changes.gpkg", before=first, after=last, site="sim_3")
    sea = [
        "simulate",
        "--landscape",
        "tidal",
        "--bounds=4.0,53.0,4.02,53.01",
        "--dates",
        "2",
        "--cloud",
        "0.2",
    ]
    assert run([*sea, "--out", str(root / "place")]) == 0
    assert run(["labels", "check", str(done.dataset), "--out", str(root / "check")]) == 0
    return {
        "Images of invented places": world,
        "Simulated sites": root / "place",
        "Dataset": done.dataset,
        "Run": done.run,
        "Maps": root / "maps",
        "Report": done.page.parent,
        "Check of labels": root / "check",
        "Conflation": root / "conflation",
        "Changes": root / "changes.gpkg",
    }


def files(place: Path) -> Iterator[tuple[str, Path]]:
    if place.is_file():
        yield place.name, place
    for path in sorted(place.rglob("*")):
        if path.is_file() and path.name != MARK and not path.name.endswith(BESIDE):
            yield path.relative_to(place).as_posix(), path


def check_raster(path: Path, row: Row) -> None:
    with rasterio.open(path) as file:
        assert set(file.dtypes) == {found for found in file.dtypes if found in row.cells["type"]}
        assert file.nodata == int(row.cells["no data"])
        named = re.findall(r"`([\w-]+)`", row.cells["bands"])
        assert not named or list(file.descriptions) == named


def check_vectors(path: Path, rows: list[Row]) -> None:
    if path.suffix == ".parquet":
        tables = {"": [name for name in pq.read_schema(path).names if name != "geometry"]}
    else:
        layers = [str(name) for name, _ in pyogrio.list_layers(path) if name != "layer_styles"]
        tables = {layer: list(pyogrio.read_info(path, layer=layer)["fields"]) for layer in layers}
    by_layer = {row.cells["layer"].strip("`"): row.cells["columns"] for row in rows}
    assert tables.keys() <= by_layer.keys()
    assert {row.cells["layer"].strip("`") for row in rows if not row.optional} <= tables.keys()
    for layer, columns in tables.items():
        if not columns and path.suffix == ".geojson":
            continue  # without features a GeoJSON has no columns
        told = {name for name in re.findall(r"`([\w-]+)`", by_layer[layer]) if not name.startswith("-")}
        if any(word in by_layer[layer] for word in OPEN):
            assert told <= set(columns), (layer, columns)
        else:
            assert told == set(columns), (layer, columns)


def check_page(section: str, place: Path) -> None:
    rows, met = PAGE[section], set()
    for name, path in files(place):
        here = [row for row in rows if row.pattern.fullmatch(name)]
        assert here, f"docs/outputs.md lacks {name} ({section})"
        met |= {row.cells["file"] for row in here}
        if "bands" in here[0].cells:
            check_raster(path, here[0])
        elif "layer" in here[0].cells:
            check_vectors(path, here)
    assert {row.cells["file"] for row in rows if not row.optional} <= met


@pytest.mark.parametrize(
    "section", [name for name in PAGE if name not in ("Fetched scenes", "Exported model")]
)
def test_the_page_tells_every_file(section: str, outputs: dict[str, Path]) -> None:
    check_page(section, outputs[section])


def test_land_cover_and_an_added_date(
    tmp_path: Path, write_scene, capsys: pytest.CaptureFixture[str]
) -> None:
    from mapping.test_resume import GRID, draw_day
    from swath.legend import read_legend

    for day in DAYS:
        write_scene(tmp_path / "town" / f"{day}.tif", draw_day(day), GRID, ("B04", "B03", "B02"))
    spread_run(tmp_path / "run", legend=read_legend("landcover"))
    first = [tmp_path / "town" / f"{day}.tif" for day in DAYS[:-1]]
    maps = swath.map_scenes(first, tmp_path / "run", out=tmp_path / "maps")
    swath.update(maps.folder, tmp_path / "town" / f"{DAYS[-1]}.tif")
    check_page("Maps", tmp_path / "maps")
    swath.map_scenes(first[:1], tmp_path / "run", out=tmp_path / "old")
    swath.changes(tmp_path / "old", tmp_path / "maps", tmp_path / "changes.gpkg")
    check_page("Changes", tmp_path / "changes.gpkg")


def test_the_page_tells_what_is_fetched(world: World, tmp_path: Path) -> None:
    swath.fetch(world.sites(), tmp_path / "fetched")
    check_page("Fetched scenes", tmp_path / "fetched")
