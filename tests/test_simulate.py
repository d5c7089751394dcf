"""The simulated world: repeatable, on its grid, and neither trivial nor absurd."""

import datetime as dt
from pathlib import Path

import geopandas as gpd
import numpy as np
import pytest
import rasterio
from rasterio.features import rasterize

from swath.errors import OutputExistsError
from swath.legend import read_legend
from swath.settings import read_sites_file
from swath.simulate.cover import CODE, Cover, cover_town, smooth_noise
from swath.simulate.light import BANDS, Day, expose, plan_days
from swath.simulate.site import ATTRIBUTION, SimulatedSite, simulate_site, write_world
from swath.simulate.town import lay_out


@pytest.fixture(scope="module")
def site() -> SimulatedSite:
    return simulate_site(seed=3, index=1, size_px=256, dates=3)


def plain_day(**changes: object) -> Day:
    clear = {"haze": 0.0, "shaded": 0.0, "wet": 1.0, "gain": 1.0, "shift": (0, 0), "seed": 1}
    return Day(dt.date(2021, 6, 21), **(clear | changes))


def flat(material: str, height: float = 0.0) -> Cover:
    shape = (256, 256)
    return Cover(
        np.full(shape, CODE[material], np.uint8),
        np.ones(shape, np.float32),
        np.full(shape, height, np.float32),
    )


def test_same_seed_same_site(site: SimulatedSite) -> None:
    again = simulate_site(seed=3, index=1, size_px=256, dates=3)
    assert again.days == site.days
    assert [w.line.wkb for w in again.ways] == [w.line.wkb for w in site.ways]
    for a, b in zip(again.images, site.images, strict=True):
        np.testing.assert_array_equal(a, b)


@pytest.mark.parametrize(("seed", "index"), [(4, 1), (3, 2)])
def test_other_seed_or_index_other_town(site: SimulatedSite, seed: int, index: int) -> None:
    other = simulate_site(seed=seed, index=index, size_px=64, dates=1)
    assert other.ways[0].line.wkb != site.ways[0].line.wkb
    assert other.days[0] != site.days[0]


def test_images_are_reflectances_on_the_grid(site: SimulatedSite) -> None:
    assert site.grid.resolution == (10.0, 10.0)
    for image in site.images:
        assert image.shape == (len(BANDS), 256, 256)
        assert image.dtype == np.uint16
        assert image.min() >= 1  # 0 is "no data" and nothing is missing
        assert image.max() < 10_000


def test_days_are_in_order_and_in_season() -> None:
    days = plan_days(5, 4)
    assert [d.date for d in days] == sorted({d.date for d in days})
    assert all(3 <= d.date.month <= 10 for d in days)


def test_sun_at_the_solstice_stands_where_the_almanac_says() -> None:
    # Declination 23.44 degrees, latitude 45, hour angle -22.5 degrees:
    # sin h = sin 45 sin 23.44 + cos 45 cos 23.44 cos 22.5 = 0.2813 + 0.5994, h = 61.7 degrees.
    elevation, azimuth = plain_day().sun
    assert np.rad2deg(elevation) == pytest.approx(61.7, abs=0.2)
    # sin A = cos 23.44 sin 22.5 / cos 61.7, in the south-east: A = 180 - 47.8 degrees.
    assert np.rad2deg(azimuth) == pytest.approx(132.2, abs=0.5)


def test_meadow_is_greener_in_summer_than_in_autumn_and_road_is_not() -> None:
    june, october = plain_day(), plain_day(gain=1.0, seed=1)
    object.__setattr__(october, "date", dt.date(2021, 10, 15))

    def ndvi(image: np.ndarray) -> float:
        red, nir = image[2].mean(), image[3].mean()
        return float((nir - red) / (nir + red))

    assert ndvi(expose(flat("meadow"), june)) > ndvi(expose(flat("meadow"), october)) + 0.1
    drift = ndvi(expose(flat("asphalt"), june)) - ndvi(expose(flat("asphalt"), october))
    assert abs(drift) < 0.02


def test_haze_takes_contrast_and_adds_blue() -> None:
    ground = flat("asphalt")
    ground.material[:, 128:] = CODE["metal"]
    clear, hazy = expose(ground, plain_day()), expose(ground, plain_day(haze=1.0))
    contrast = [float(i[2, :, 40:].mean() - i[2, :, :24].mean()) for i in (clear, hazy)]
    assert 0 < contrast[1] < 0.9 * contrast[0]
    assert hazy[0].mean() > clear[0].mean() + 100


def test_cloud_shadow_covers_its_share() -> None:
    dark = expose(flat("fallow"), plain_day(shaded=0.2))[3] < 2000
    bright = expose(flat("fallow"), plain_day())[3] < 2000
    assert not bright.any()
    assert 0.05 < dark.mean() < 0.25


def test_house_throws_its_shadow_away_from_the_morning_sun() -> None:
    ground = flat("fallow")
    ground.height_m[100:104, 100:104] = 30.0  # one pixel of 10 m at row 25, column 25
    image = expose(ground, plain_day())[3].astype(int)
    assert image[24, 24] < image[26, 26] - 100  # the sun stands in the south-east


def test_wet_roads_are_darker() -> None:
    road = [expose(flat("asphalt"), plain_day(wet=w))[2].mean() for w in (0.7, 1.0)]
    assert road[0] < road[1] - 100


def test_town_stays_in_its_frame_and_has_ways_outside_the_legend() -> None:
    town = lay_out(2, 5120.0)
    kinds = {w.kind for w in town.ways}
    assert {"motorway", "primary", "residential", "track", "rail"} <= kinds
    for way in town.ways:
        left, bottom, right, top = way.line.bounds
        assert min(left, bottom) >= -1e-6
        assert max(right, top) <= 5120 + 1e-6


def test_cover_draws_every_kind_of_ground() -> None:
    town = lay_out(2, 5120.0)
    cover = cover_town(town, 1)
    assert cover.material.shape == cover.texture.shape == cover.height_m.shape == (2048, 2048)
    share = np.bincount(cover.material.ravel(), minlength=len(CODE)) / cover.material.size
    assert (share > 0).all()
    assert share[CODE["asphalt"]] < 0.1
    assert (cover.height_m[cover.material == CODE["water"]] == 0).all()


def test_smooth_noise_is_standard_and_smooth() -> None:
    noise = smooth_noise(np.random.default_rng(0), (200, 120), 40, octaves=2)
    assert noise.shape == (200, 120)
    assert noise.mean() == pytest.approx(0, abs=1e-5)
    assert noise.std() == pytest.approx(1, abs=1e-5)
    assert np.abs(np.diff(noise, axis=0)).max() < 0.5


def test_dates_differ_and_no_band_gives_roads_away(site: SimulatedSite) -> None:
    """A threshold on one band must not find the roads: that would make the demo pointless."""
    legend = read_legend("roads")
    frame = site.roads.to_crs(site.grid.crs)
    frame = frame[[legend.classify(tags) == 1 for tags in frame.to_dict("records")]]
    truth = rasterize(frame.geometry, site.grid.shape, transform=site.grid.transform) > 0
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
    assert len(files) == 1 + 3 * 3
    for file in files:
        assert (again.parent / file).read_bytes() == (tiny_world.parent / file).read_bytes()


def test_world_is_not_overwritten_unasked(tiny_world: Path) -> None:
    with pytest.raises(OutputExistsError, match="--overwrite"):
        write_world(tiny_world.parent, {"a": "train"}, seed=0, size_px=64, dates=1)
