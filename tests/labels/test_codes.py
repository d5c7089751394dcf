"""Labels with class codes: rasters in other systems, polygons and points, checked to the pixel."""

from pathlib import Path

import geopandas as gpd
import numpy as np
import pytest
import rasterio
import shapely
from affine import Affine
from numpy.typing import NDArray
from pyproj import Transformer

from swath.errors import InputError, SettingsError
from swath.grid import Grid
from swath.labels.burn import Widening
from swath.labels.crosswalk import Codes, Crosswalk, read_crosswalk
from swath.labels.features import read_features
from swath.labels.source import LabelSettings
from swath.legend import IGNORE, Legend, read_legend
from swath.sites.labels import SiteLabels, read_labels

GRID = Grid.from_bounds((500_000, 5_200_000, 500_400, 5_200_300), "EPSG:32633")  # 30 x 40 px
LANDCOVER = read_legend("landcover")
FOREST, WATER, LOW, ROAD = (LANDCOVER.names.index(n) for n in ("forest", "water", "low_vegetation", "road"))


def write_codes(
    path: Path, values: NDArray[np.generic], crs: str, transform: Affine, nodata: int | None = None
) -> Path:
    profile = {"crs": crs, "transform": transform, "nodata": nodata, "dtype": values.dtype.name}
    height, width = values.shape
    with rasterio.open(path, "w", driver="GTiff", count=1, height=height, width=width, **profile) as f:
        f.write(values, 1)
    return path


def under_centres(values: NDArray[np.generic], crs: str, transform: Affine) -> NDArray[np.generic]:
    """(H, W) what a raster has under the centre of every pixel of GRID, by plain arithmetic."""
    rows, cols = np.mgrid[: GRID.height, : GRID.width] + 0.5
    x, y = GRID.transform @ (cols, rows)
    lon, lat = Transformer.from_crs(GRID.crs, crs, always_xy=True).transform(x, y)
    col, row = ~transform @ (lon, lat)
    return values[np.floor(row).astype(int), np.floor(col).astype(int)]


def read(folder: Path, legend: Legend = LANDCOVER, **settings: object) -> SiteLabels:
    return read_labels(LabelSettings.model_validate(settings), legend, GRID, Widening(), folder)


def test_a_worldcover_window_in_degrees_is_warped_by_nearest(tmp_path: Path) -> None:
    # As downloaded: EPSG:4326, 1/12000 of a degree, uint8, 0 = no data.
    generator = np.random.default_rng(1)
    values = generator.choice(np.array([10, 30, 50, 80, 0], np.uint8), (80, 90))
    west, _, _, north = GRID.lonlat_bounds
    transform = Affine(1 / 12_000, 0, west - 8e-4, 0, -1 / 12_000, north + 8e-4)
    write_codes(tmp_path / "worldcover.tif", values, "EPSG:4326", transform, nodata=0)
    source = read(tmp_path, path="worldcover.tif", crosswalk="worldcover")
    table = {10: FOREST, 30: LOW, 50: IGNORE, 80: WATER, 0: IGNORE}
    expected = np.vectorize(table.get)(under_centres(values, "EPSG:4326", transform))
    np.testing.assert_array_equal(source.classes, expected)
    assert "WorldCover" in source.origin["attribution"]

    own = read(tmp_path, read_legend("worldcover"), path="worldcover.tif")
    names = np.array([*read_legend("worldcover").names, *[""] * 245])
    assert set(names[own.classes].ravel()) == {"tree_cover", "grassland", "built_up", "water", ""}


def test_a_corine_window_of_100_m(tmp_path: Path) -> None:
    # As downloaded: EPSG:3035, 100 m, int8 with -128 = no data.
    x, y = Transformer.from_crs(GRID.crs, "EPSG:3035", always_xy=True).transform(500_200, 5_200_150)
    transform = Affine(100, 0, x // 100 * 100 - 600, 0, -100, y // 100 * 100 + 600)
    values = np.random.default_rng(2).choice(np.array([12, 23, 41, 2, -128], np.int8), (12, 12))
    write_codes(tmp_path / "clc.tif", values, "EPSG:3035", transform, nodata=-128)
    source = read(tmp_path, path="clc.tif", crosswalk="corine")
    table = {12: LOW, 23: FOREST, 41: WATER, 2: IGNORE, -128: IGNORE}
    expected = np.vectorize(table.get)(under_centres(values, "EPSG:3035", transform))
    np.testing.assert_array_equal(source.classes, expected)
    names = read_legend("corine").names
    own = read(tmp_path, read_legend("corine"), path="clc.tif").classes
    assert {names[i] for i in np.unique(own) if i != IGNORE} == {
        "arable",
        "forest",
        "inland_water",
        "urban_fabric",
    }


@pytest.mark.parametrize("text", ["", "- a", "7"])
def test_a_crosswalk_that_is_no_table_is_named_in_plain_words(tmp_path: Path, text: str) -> None:
    (tmp_path / "codes.yaml").write_text(text)
    with pytest.raises(SettingsError, match=r"codes\.yaml: the file: expected keys and their values"):
        read_crosswalk("codes.yaml", tmp_path)


def test_ids_of_the_legend_need_no_crosswalk_and_unknown_codes_are_named(tmp_path: Path) -> None:
    ids = np.full(GRID.shape, WATER, np.uint8)
    ids[0] = IGNORE
    write_codes(tmp_path / "ids.tif", ids, GRID.crs, GRID.transform)
    classes = read(tmp_path, path="ids.tif").classes
    np.testing.assert_array_equal(classes, ids)
    ids[5, 5] = 77
    write_codes(tmp_path / "strange.tif", ids, GRID.crs, GRID.transform)
    with pytest.raises(InputError, match="the code 77 is not in the table"):
        read(tmp_path, path="strange.tif")
    write_codes(tmp_path / "float.tif", ids.astype(np.float32), GRID.crs, GRID.transform)
    with pytest.raises(InputError, match="one band of whole numbers"):
        read(tmp_path, path="float.tif")
    far = Affine(10, 0, 0, 0, -10, 5_000_000)
    write_codes(tmp_path / "far.tif", ids, GRID.crs, far)
    with pytest.raises(InputError, match="does not overlap"):
        read(tmp_path, path="far.tif")


def write_table(path: Path, shapes: list[shapely.Geometry], **columns: list[object]) -> Path:
    frame = gpd.GeoDataFrame(columns, geometry=shapes, crs=GRID.crs)
    frame.to_parquet(path) if path.suffix == ".parquet" else frame.to_file(path)
    return path


@pytest.mark.parametrize("name", ["points.gpkg", "points.geojson", "points.shp", "points.parquet"])
def test_points_are_sparse_labels(tmp_path: Path, name: str) -> None:
    left, _, _, top = GRID.bounds
    points = [
        shapely.Point(left + 10 * col + 3, top - 10 * row - 8) for row, col in ((2, 3), (9, 30), (20, 7))
    ]
    write_table(tmp_path / name, points, kind=["wood", "lake", "town"])
    if name.endswith(".geojson"):
        gpd.read_file(tmp_path / name).to_crs("EPSG:4326").to_file(tmp_path / name)
    (tmp_path / "kinds.yaml").write_text(
        "legend: landcover\ncolumns: [kind]\nclasses: {forest: [wood], water: [lake], ignore: [town]}\n"
    )
    source = read(tmp_path, path=name, crosswalk="kinds.yaml")
    labels = source.classes
    expected = np.full(GRID.shape, IGNORE)
    expected[2, 3], expected[9, 30] = FOREST, WATER
    np.testing.assert_array_equal(labels, expected)


def test_points_as_disks_leave_all_else_ignored_in_any_legend(tmp_path: Path) -> None:
    left, _, _, top = GRID.bounds
    write_table(tmp_path / "p.gpkg", [shapely.Point(left + 105, top - 105)], land=["water"])
    legend = read_legend("water")
    source = read(tmp_path, legend, path="p.gpkg", column="land", point_m=21)
    labels = source.classes
    rows, cols = np.mgrid[: GRID.height, : GRID.width]
    near = np.hypot(rows - 10, cols - 10) <= 2
    np.testing.assert_array_equal(labels == 1, near)
    np.testing.assert_array_equal(labels == IGNORE, ~near)


def test_polygons_with_codes_and_what_says_nothing(tmp_path: Path) -> None:
    left, bottom, right, top = GRID.bounds
    west, east = shapely.box(left, bottom, left + 200, top), shapely.box(left + 200, bottom, right, top)
    hole = shapely.box(left + 50, bottom + 50, left + 100, bottom + 100)
    write_table(tmp_path / "p.gpkg", [west.difference(hole), east, hole], RABA_ID=[2000.0, 3000.0, 7000.0])
    table = {"forest": [2000], "ignore": [3000], "water": ["7000"]}
    crosswalk = Crosswalk.model_validate({"legend": "landcover", "columns": ["RABA_ID"], "classes": table})
    (tmp_path / "c.yaml").write_text(crosswalk.model_dump_json())
    source = read(tmp_path, path="p.gpkg", crosswalk="c.yaml")
    labels = source.classes
    assert (labels[:, :20] == WATER).sum() == 25
    assert (labels[:, :20] == FOREST).sum() == 30 * 20 - 25
    assert (labels[:, 20:] == IGNORE).all()
    # Kept with a dataset, they are found again by the legend's tags.
    assert source.features is not None
    source.features.to_parquet(tmp_path / "kept.parquet")
    again = read_features(tmp_path / "kept.parquet", LANDCOVER, GRID)
    assert again["class_id"].tolist() == source.features["class_id"].tolist()
    with pytest.raises(InputError, match="expected the codes in a column WHAT"):
        read(tmp_path, path="p.gpkg", column="WHAT")


def test_an_area_of_a_class_of_lines_is_burnt_as_it_is(tmp_path: Path) -> None:
    left, bottom, _, top = GRID.bounds
    write_table(tmp_path / "p.gpkg", [shapely.box(left, bottom, left + 30, top)], land=["road"])
    labels = read(tmp_path, path="p.gpkg", column="land").classes
    np.testing.assert_array_equal(np.unique(np.nonzero(labels == ROAD)[1]), [0, 1, 2])


def test_crosswalks_that_ship_fit_their_legend() -> None:
    for name in ("worldcover", "corine"):
        codes = read_crosswalk(name, Path()).codes(LANDCOVER)
        assert set(codes.ids.values()) <= {*range(6), IGNORE}
    # Every number of the raster, and every code of the third level.
    corine = read_crosswalk("corine", Path()).codes(LANDCOVER).ids
    assert {str(n) for n in range(1, 45)} < set(corine)
    assert sum(len(code) == 3 and code < "600" for code in corine) == 44
    own = Codes.of_legend(read_legend("corine")).ids
    assert len(own) == 88
    pairs = zip(range(1, 45), sorted(c for c in own if len(c) == 3), strict=True)
    assert all(
        own[str(number)] == own[code] and corine[str(number)] == corine[code] for number, code in pairs
    )


def test_a_wrong_crosswalk_is_refused(tmp_path: Path) -> None:
    with pytest.raises(SettingsError, match="shipped ones are corine, worldcover"):
        read_crosswalk("corinne", tmp_path)
    with pytest.raises(SettingsError, match="is for the legend 'landcover'"):
        read_crosswalk("corine", tmp_path).codes(read_legend("roads"))
    (tmp_path / "c.yaml").write_text("legend: landcover\nclasses: {wood: [1]}\n")
    with pytest.raises(SettingsError, match="names a class 'wood'"):
        read_crosswalk("c.yaml", tmp_path).codes(LANDCOVER)
    (tmp_path / "c.yaml").write_text("legend: landcover\nclasses: {forest: [1], water: ['1']}\n")
    with pytest.raises(SettingsError, match="the code 1 stands twice"):
        read_crosswalk("c.yaml", tmp_path)
