"""The invented world of the demo: repeatable, on its grid, and neither trivial nor absurd."""

from pathlib import Path

import geopandas as gpd
import numpy as np
import pytest
import rasterio
from rasterio.features import rasterize

from swath.errors import OutputExistsError
from swath.legend import read_legend
from swath.simulate.town import lay_out
from swath.simulate.world import ATTRIBUTION, BANDS, SimulatedSite, simulate_site, write_world
from swath.sites.schema import read_sites_file


@pytest.fixture(scope="module")
def site() -> SimulatedSite:
    return simulate_site(seed=3, index=1, size_px=224, dates=3)


def test_same_seed_same_site(site: SimulatedSite) -> None:
    again = simulate_site(seed=3, index=1, size_px=224, dates=3)
    assert again.days == site.days
    assert list(again.layout.lines.geometry) == list(site.layout.lines.geometry)
    for a, b in zip(again.images, site.images, strict=True):
        np.testing.assert_array_equal(a, b)


@pytest.mark.parametrize(("seed", "index"), [(4, 1), (3, 2)])
def test_other_seed_or_index_other_town(site: SimulatedSite, seed: int, index: int) -> None:
    other = simulate_site(seed=seed, index=index, size_px=32, dates=1)
    assert other.layout.lines.geometry[0] != site.layout.lines.geometry[0]
    assert other.days[0] != site.days[0]


def test_images_are_reflectances_on_the_grid(site: SimulatedSite) -> None:
    assert site.layout.grid.resolution == (10.0, 10.0)
    for image in site.images:
        assert image.shape == (len(BANDS), 224, 224)
        assert image.dtype == np.uint16
        assert image.min() >= 1  # 0 is "no data" and nothing is missing
        assert 300 < np.median(image) < 4000
        assert image.max() < 12_000


def test_town_stays_in_its_frame_and_has_ways_outside_the_legend() -> None:
    town = lay_out(2, 5120.0)
    kinds = {w.kind for w in town.ways}
    assert {"motorway", "primary", "residential", "track", "rail"} <= kinds
    for way in town.ways:
        left, bottom, right, top = way.line.bounds
        assert min(left, bottom) >= -1e-6
        assert max(right, top) <= 5120 + 1e-6


def test_dates_differ_and_no_band_gives_roads_away(site: SimulatedSite) -> None:
    """A threshold on one band must not find the roads: that would make the demo pointless."""
    legend = read_legend("roads")
    grid = site.layout.grid
    frame = site.roads.to_crs(grid.crs)
    frame = frame[[legend.classify(tags) == 1 for tags in frame.to_dict("records")]]
    truth = rasterize(frame.geometry, grid.shape, transform=grid.transform) > 0
    assert 0.01 < truth.mean() < 0.2
    for image in site.images:
        for band in image:
            for cut in np.percentile(band, range(5, 100, 5)):
                for guess in (band > cut, band < cut):
                    assert (guess & truth).sum() / (guess | truth).sum() < 0.3
    first, last = site.images[0].astype(float), site.images[-1].astype(float)
    assert np.abs(first - last).mean() > 50


def test_world_on_disk_is_what_a_user_would_have(tiny_world: Path) -> None:
    sites = read_sites_file(tiny_world)
    assert sites.attribution == ATTRIBUTION
    assert {s.split for s in sites.sites.values()} == {"train", "validation", "test"}
    for name in sites.sites:
        images = sorted((tiny_world.parent / name).glob("*.tif"))
        assert len(images) == 2
        with rasterio.open(images[0]) as image:
            assert image.descriptions == BANDS
            assert image.nodata == 0
            assert image.crs.is_projected
            bounds = image.bounds
        roads = gpd.read_file(tiny_world.parent / name / "roads.geojson")
        assert roads.crs == "EPSG:4326"
        left, bottom, right, top = roads.to_crs("EPSG:32627").total_bounds
        assert bounds.left - 1 < left < right < bounds.right + 1
        assert bounds.bottom - 1 < bottom < top < bounds.top + 1


def test_same_seed_same_files(tiny_world: Path, tmp_path: Path) -> None:
    splits = {name: s.split for name, s in read_sites_file(tiny_world).sites.items()}
    again = write_world(tmp_path / "world", splits, seed=7, size_px=96, dates=2)
    files = sorted(p.relative_to(again.parent) for p in again.parent.rglob("*") if p.is_file())
    assert len(files) == 2 + 3 * 3  # the sites file and the mark
    for file in files:
        assert (again.parent / file).read_bytes() == (tiny_world.parent / file).read_bytes()


def test_world_is_not_overwritten_unasked(tiny_world: Path) -> None:
    with pytest.raises(OutputExistsError, match="exists already"):
        write_world(tiny_world.parent, {"a": "train"}, seed=0, size_px=64, dates=1)
