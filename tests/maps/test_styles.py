"""What QGIS reads: styles beside the rasters and in the GeoPackage, and the project."""

import json
import shutil
import sqlite3
import subprocess
import zipfile
from contextlib import closing
from pathlib import Path
from typing import Any
from xml.etree import ElementTree as ET

import numpy as np
import pytest

from conftest import PROJECT
from support.saved_runs import save_mixed_run
from swath.cli import run as swath
from swath.grid import Grid
from swath.maps.sitemaps import SiteMaps, read_maps

GRID = Grid.from_bounds((600_000, 5_329_040, 600_960, 5_330_000), "EPSG:32630")
SYSTEM_PYTHON = Path("/usr/bin/python3")


@pytest.fixture(scope="module")
def town(write_scene: Any, tmp_path_factory: pytest.TempPathFactory) -> SiteMaps:
    folder = tmp_path_factory.mktemp("styled")
    images = np.random.default_rng(4).integers(20, 200, (2, 3, *GRID.shape)).astype(np.uint8)
    bands = ("B04", "B03", "B02")
    paths = [
        write_scene(folder / "town" / f"2019-0{month}-01.tif", image, GRID, bands)
        for month, image in zip((3, 7), images, strict=True)
    ]
    save_mixed_run(folder / "run", images)
    arguments = ["map", folder / "run", *paths, "--out", folder / "maps", "--precision", "fp32"]
    assert swath(list(map(str, arguments))) == 0
    return read_maps(folder / "maps")[0]


def test_every_raster_has_a_style(town: SiteMaps) -> None:
    for path in town.folder.glob("*.tif"):
        root = ET.fromstring(path.with_suffix(".qml").read_text())
        assert root.find("pipe/rasterrenderer") is not None
    root = ET.fromstring((town.folder / "pmap.qml").read_text())
    items = root.findall("pipe/rasterrenderer/rastershader/colorrampshader/item")
    assert (items[0].get("color"), float(items[0].get("value") or 1)) == ("#08061a", 0)
    assert items[-1].get("color") == "#fcffd4"


def test_the_geopackage_has_its_styles(town: SiteMaps) -> None:
    with closing(sqlite3.connect(town.gpkg_path)) as package:
        (row,) = package.execute(
            "SELECT s.f_table_name, s.styleQML FROM layer_styles s JOIN gpkg_geometry_columns g "
            "ON g.table_name = s.f_table_name AND g.column_name = s.f_geometry_column WHERE s.useAsDefault"
        )
    assert row[0] == "roads"
    renderer = ET.fromstring(row[1]).find("renderer-v2")
    assert renderer is not None
    assert renderer.get("attr") == "p_mean"


def test_the_project_names_files_that_are_there(town: SiteMaps) -> None:
    with zipfile.ZipFile(town.folder / "site.qgz") as archive:
        root = ET.fromstring(archive.read("town.qgs"))
    layers = {layer.findtext("id"): layer for layer in root.findall("projectlayers/maplayer")}
    nodes = root.findall(".//layer-tree-layer")
    assert [node.get("id") for node in nodes if node.get("id") not in layers] == []
    sources = [layer.findtext("datasource") or "" for layer in layers.values()]
    assert all((town.folder / source.split("|")[0]).is_file() for source in sources)
    assert {Path(source.split("|")[0]).name for source in sources} == {
        path.name for path in town.folder.iterdir() if path.suffix in (".tif", ".gpkg")
    }
    shown = [node.get("name") for node in nodes if node.get("checked") == "Qt::Checked"]
    assert shown == ["Roads", "Image, 2019-07-01"]


def test_qgis_opens_it(town: SiteMaps) -> None:
    if (
        not SYSTEM_PYTHON.is_file()
        or subprocess.run([SYSTEM_PYTHON, "-c", "import qgis.core"], capture_output=True).returncode
    ):
        pytest.skip("no QGIS here (apt-get install --no-install-recommends python3-qgis qgis-providers)")
    script = PROJECT / "tests" / "support" / "qgis_project.py"
    environment = {"QT_QPA_PLATFORM": "offscreen", "HOME": str(town.folder.parent), "PATH": "/usr/bin:/bin"}
    copied = town.folder.parent / "elsewhere" / "town"
    shutil.copytree(town.folder, copied)  # paths are relative
    done = subprocess.run([SYSTEM_PYTHON, script, copied], env=environment, capture_output=True, text=True)
    told = json.loads(done.stdout.splitlines()[-1])
    assert told["crs"] == "EPSG:32630"
    kinds = {name: kind for name, (kind, valid) in told["layers"].items() if valid}
    assert kinds == {
        "Roads": "graduatedSymbol",
        "Classes": "paletted",
        "Probability, all dates": "singlebandpseudocolor",
        "Days in colour": "multibandcolor",
        **{f"Image, 2019-0{month}-01": "multibandcolor" for month in (3, 7)},
        **{f"Probability, 2019-0{month}-01": "singlebandpseudocolor" for month in (3, 7)},
    }
    assert told["vector_style"] == "graduatedSymbol"
    assert told["raster_style"] == "singlebandpseudocolor"
