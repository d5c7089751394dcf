"""`swath simulate`: real layouts, end to end, and the map that mappers draw of them."""

import json
from pathlib import Path

import geopandas as gpd
import numpy as np
import pytest
import rasterio
import shapely
from shapely.geometry import LineString, box

from swath import cli
from swath.dataset.catalog import read_dataset
from swath.dataset.site import read_labels
from swath.errors import InputError
from swath.grid import Grid
from swath.labels.features import choose_features
from swath.labels.osm import FeatureSource
from swath.simulate.climate import draw_climate
from swath.simulate.ground import Painter
from swath.simulate.houses import Density, add_houses
from swath.simulate.layout import AREAS, GROUND, LINES, Layout
from swath.simulate.mapper import draw_map, draw_truth
from swath.simulate.materials import CODE
from swath.simulate.openstreetmap import layout_of, read_layout
from swath.simulate.parameters import Fill, Mapper
from swath.sites.schema import read_sites_file

WEST, SOUTH, EAST, NORTH = 11.0000, 49.0000, 11.0160, 49.0100
BOUNDS = f"{WEST},{SOUTH},{EAST},{NORTH}"


def street_map() -> gpd.GeoDataFrame:
    """A little town of straight streets, a pond, a wood and one house."""
    rows = [
        {"highway": "residential", "geometry": LineString([(x, 49.001), (x, 49.009)])}
        for x in np.linspace(11.001, 11.015, 12)
    ]
    rows += [
        {"highway": "residential", "geometry": LineString([(11.001, y), (11.015, y)])}
        for y in np.linspace(49.001, 49.009, 8)
    ]
    rows += [
        {
            "highway": "primary",
            "width": "12",
            "geometry": LineString([(11, 49.005), (11.016, 49.005)]),
        },
        {"highway": "track", "geometry": LineString([(11, 49.0095), (11.016, 49.0095)])},
        {
            "highway": "residential",
            "tunnel": "yes",
            "geometry": LineString([(11, 49), (11.016, 49.01)]),
        },
        {"natural": "water", "geometry": box(11.0002, 49.0002, 11.0022, 49.0008)},
        {"landuse": "forest", "geometry": box(11.0125, 49.0092, 11.0159, 49.0099)},
        {"building": "yes", "geometry": box(11.0141, 49.0002, 11.0148, 49.0006)},
    ]
    return gpd.GeoDataFrame(rows, crs="EPSG:4326")


@pytest.fixture(scope="module")
def town_file(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("osm") / "little town.geojson"
    street_map().to_file(path, driver="GeoJSON", engine="pyogrio")
    return path


@pytest.fixture(scope="module")
def layout(town_file: Path) -> Layout:
    return read_layout(town_file, (WEST, SOUTH, EAST, NORTH), 5)


@pytest.fixture(scope="module")
def made(town_file: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    out = tmp_path_factory.mktemp("made") / "site"
    arguments = ["simulate", str(town_file), "--out", str(out), "--bounds", BOUNDS]
    assert cli.run([*arguments, "--dates", "2", "--seed", "5", "--cloud", "0.3"]) == 0
    return out


def test_the_legend_of_the_ground_names_what_a_layout_has() -> None:
    assert GROUND.names == ("unmapped", *AREAS, *LINES)


def test_a_layout_has_what_the_file_has(layout: Layout) -> None:
    kinds = layout.lines["kind"].value_counts().to_dict()
    assert kinds == {"road": 21, "track": 1}  # the tunnel is not seen
    assert set(layout.areas["kind"]) == {"water", "forest", "building"}
    primary = layout.lines[layout.lines["highway"] == "primary"]
    assert primary["width_m"].tolist() == [12.0]
    assert not layout.lines.loc[layout.lines["kind"] == "track", "paved"].any()


def test_lines_of_both_directions_are_one(layout: Layout) -> None:
    frame = street_map().iloc[[0, 0]].copy()
    frame["geometry"] = [frame.geometry.iloc[0], frame.geometry.iloc[0].reverse()]
    keys = GROUND.keys
    frame = frame.reindex(columns=[*keys, "geometry"]).astype(dict.fromkeys(keys, object))
    frame = gpd.GeoDataFrame(frame.where(frame.notna(), None), crs="EPSG:4326")
    chosen = choose_features(FeatureSource(frame, "both"), GROUND, layout.grid)
    assert len(layout_of(chosen, layout.grid, 0).lines) == 1


def test_streets_of_a_town_get_houses_beside_them(layout: Layout) -> None:
    density = Density(layout)
    # 12 x 0.89 km and 8 x 1.02 km of street and 1.2 km of road on 1.2 x 1.1 km.
    middle = density.at(
        *(
            np.array([v])
            for v in shapely.get_coordinates(
                gpd.GeoSeries([shapely.Point(11.008, 49.005)], crs="EPSG:4326").to_crs(layout.grid.crs).values
            )[0]
        )
    )
    assert 13 < float(middle[0]) < 24
    filled = add_houses(layout, density, Fill())
    houses = filled.areas[filled.areas["kind"] == "building"].iloc[1:]
    assert len(houses) > 200
    assert (houses["height_m"] > 2).all()
    roads = shapely.union_all(layout.lines.geometry[layout.lines["kind"] == "road"].values)
    away = shapely.distance(shapely.centroid(houses.geometry.values), roads)
    # A house that faces one street may stand at the corner of the next.
    assert np.median(away) > 6
    assert away.max() < 40


def test_no_houses_are_made_up_where_houses_are_mapped(layout: Layout) -> None:
    points = shapely.points(
        *(
            c.ravel()
            for c in np.meshgrid(
                *(
                    np.arange(a, b, 40)
                    for a, b in (
                        (layout.grid.bounds[0], layout.grid.bounds[2]),
                        (layout.grid.bounds[1], layout.grid.bounds[3]),
                    )
                )
            )
        )
    )
    drawn = gpd.GeoDataFrame(
        {"kind": ["building"] * len(points), "height_m": 6.0},
        geometry=shapely.buffer(points, 5),
        crs=layout.grid.crs,
    )
    full = Layout(layout.grid, drawn, layout.lines, layout.seed)
    assert len(add_houses(full, Density(full), Fill()).areas) == len(drawn)


def test_blocks_of_the_ground_fit_together(layout: Layout) -> None:
    density = Density(layout)
    painter = Painter(add_houses(layout, density, Fill()), density, draw_climate(49, 5), Fill())
    whole = layout.grid.window
    part = whole.grow(-30)
    a, b = painter.paint(whole), painter.paint(part)
    rows, cols = (slice(30 * 5, n - 30 * 5) for n in a.material.shape)
    same = a.material[rows, cols] == b.material
    assert same.mean() > 0.9999  # GDAL may decide otherwise where an edge hits a cell's centre
    np.testing.assert_allclose(a.tone[rows, cols][same], b.tone[same], rtol=1e-4)
    np.testing.assert_array_equal(a.height_m[rows, cols][same], b.height_m[same])
    for name in ("asphalt", "water", "gravel"):
        assert (a.material == CODE[name]).any()
    assert (a.height_m[a.material == CODE["water"]] == 0).all()
    assert 0.05 < a.paved.mean() < 0.4


def test_the_map_lacks_roads_and_lies_a_little_off(layout: Layout) -> None:
    truth = draw_truth(layout)
    assert (
        draw_map(truth, layout, Mapper((), 0.0, 50, 0.0))
        .geometry.geom_equals_exact(truth.geometry, 1e-6)
        .all()
    )
    careless = Mapper((("residential", 0.5),), 4.0, 50, 1.5)
    drawn = draw_map(truth, layout, careless)
    roads, kept = (t["highway"].eq("residential").sum() for t in (truth, drawn))
    assert 4 <= kept <= 16 < roads
    off = shapely.distance(
        shapely.centroid(drawn.geometry.values),
        shapely.centroid(truth.geometry.loc[truth["natural"].eq("water")].values[0]),
    )
    assert 0 < off.min() < 20
    # Streets that meet in the truth meet on the map: jitter hangs on the place.
    lines = draw_map(truth, layout, Mapper((), 4.0, 50, 1.5)).geometry.values
    assert not np.allclose(shapely.get_coordinates(lines), shapely.get_coordinates(truth.geometry))


def test_the_command_leaves_what_build_reads(made: Path, tmp_path: Path) -> None:
    sites = read_sites_file(made / "sites.yaml")
    assert "OpenStreetMap contributors" in sites.attribution
    assert list(sites.sites) == ["little_town"]
    images = sorted(made.glob("*.tif"))
    assert len(images) == 2
    with rasterio.open(images[0]) as image:
        assert image.descriptions == ("B02", "B03", "B04", "B08")
        assert "OpenStreetMap contributors" in image.tags()["TIFFTAG_IMAGEDESCRIPTION"]
        grid = Grid(image.crs.to_string(), image.transform, image.shape)
        assert image.read().min() >= 1
    assert grid == Grid.from_lonlat((WEST, SOUTH, EAST, NORTH))
    assert [p.name for p in made.glob("cloud/*.tif")] == [images[-1].name]
    assert cli.run(["build", str(made / "sites.yaml"), "--out", str(tmp_path / "dataset")]) == 0
    site = read_dataset(tmp_path / "dataset").sites[0]
    assert site.grid == grid
    assert 0.1 < (read_labels(site) == 1).mean() < 0.7


def test_truth_and_map_keep_the_attribution(made: Path) -> None:
    for name in ("truth", "labels"):
        table = gpd.read_parquet(made / f"{name}.parquet")
        assert "OpenStreetMap contributors" in table.attrs["attribution"]
        assert {"highway", "building", "natural"} <= set(table.columns)


def test_same_seed_same_files_and_json(
    made: Path, town_file: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    out = tmp_path / "again"
    arguments = ["simulate", str(town_file), "--out", str(out), "--bounds", BOUNDS, "--json"]
    assert cli.run([*arguments, "--dates", "2", "--seed", "5", "--cloud", "0.3"]) == 0
    result = json.loads(capsys.readouterr().out)
    assert result["site"] == "little_town"
    assert result["dates"] == sorted(p.stem for p in made.glob("*.tif"))
    for path in sorted(p.relative_to(made) for p in made.rglob("*") if p.is_file()):
        assert (out / path).read_bytes() == (made / path).read_bytes(), path


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["--bounds", "1,2,3"], "WEST,SOUTH,EAST,NORTH"),
        (["--bounds", "20,50,20.01,50.01"], "do not overlap"),
        (["--bounds", "12,50,11,51"], "bounds must be"),
        (["--bounds", "10,48,14,51"], "smaller box"),
        (["--bands", "B02,B10"], "B10"),
        (["--split", "most"], "train, validation or test"),
    ],
)
def test_bad_input_is_one_line(
    town_file: Path,
    tmp_path: Path,
    capsys: pytest.CaptureFixture[str],
    arguments: list[str],
    message: str,
) -> None:
    out = tmp_path / "out"
    assert cli.run(["simulate", str(town_file), "--out", str(out), *arguments]) == 2
    error = capsys.readouterr().err
    assert message in error
    assert error.count("\n") == 1
    assert not out.exists()


def test_a_file_without_roads_is_refused(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    path = tmp_path / "lake.geojson"
    street_map().iloc[[-3]].drop(columns="highway").to_file(path, driver="GeoJSON", engine="pyogrio")
    assert cli.run(["simulate", str(path), "--out", str(tmp_path / "out")]) == 2
    assert "highway" in capsys.readouterr().err


@pytest.mark.parametrize(
    ("crs", "why"), [(4326, "no zone of UTM"), (4978, "in WGS 84; expected degrees, or a projection")]
)
def test_roads_where_no_map_is_are_refused(tmp_path: Path, crs: int, why: str) -> None:
    line = LineString([(10, 85), (10.1, 85)])
    path = tmp_path / "roads.parquet"
    gpd.GeoDataFrame({"highway": ["residential"]}, geometry=[line], crs=crs).to_parquet(path)
    with pytest.raises(InputError, match=why):
        read_layout(path, None, 0)


@pytest.mark.data
def test_a_real_extract_by_itself(data_dir: Path, tmp_path: Path) -> None:
    path = data_dir / "osm/full/moscow-crop.osm.gz"
    layout = read_layout(path, None, 1)
    assert layout.grid.crs == "EPSG:32637"
    assert {"road", "railway", "path"} <= set(layout.lines["kind"])
    assert (layout.areas["kind"] == "building").sum() > 500
    bounds = "37.60,55.810,37.61,55.815"
    arguments = ["simulate", str(path), "--out", str(tmp_path / "out"), "--bounds", bounds]
    assert cli.run([*arguments, "--dates", "1", "--bands", "B04,B8A,B11"]) == 0
    with rasterio.open(next((tmp_path / "out").glob("*.tif"))) as image:
        assert image.descriptions == ("B04", "B8A", "B11")
        medians = np.median(image.read(), axis=(1, 2))
    assert 400 < medians.min() < medians.max() < 3500


def test_roads_around_the_world_are_looked_through_in_coarse_cells(tmp_path: Path) -> None:
    # A line of 180 degrees, and a village: 29 streets of 1 km around 48.1 N.
    street = [LineString([(-1.67, 48.1 + at / 1e4), (-1.657, 48.1 + at / 1e4)]) for at in range(29)]
    far = LineString([(-1.67, 48.11), (179.9, 48.11), (-179.9, 48.11)])
    frame = gpd.GeoDataFrame({"highway": "residential"}, index=range(30), geometry=[*street, far], crs=4326)
    frame.to_file(tmp_path / "roads.gpkg")
    layout = read_layout(tmp_path / "roads.gpkg", None, 0)
    west, south, east, north = layout.grid.lonlat_bounds
    assert west < -1.66 < east
    assert south < 48.101 < north
    assert max(layout.grid.shape) <= 1024
