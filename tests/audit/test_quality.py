"""Label quality: the shift is found where it is known, and nothing is claimed where it is not."""

import datetime as dt
import shutil
from dataclasses import replace
from pathlib import Path

import geopandas
import numpy as np
import pytest
import yaml
from affine import Affine

from conftest import PROJECT, SceneWriter
from support.label_worlds import GRID, UTM, draw_image, draw_lines, write_label_world
from swath.audit.check import check_site
from swath.audit.quality import (
    LineGround,
    SiteCheck,
    block_counts,
    completeness,
    covered,
    empty_share,
)
from swath.audit.response import far_inside
from swath.audit.shift import LAGS, SEARCH_PX, Shift, peaks
from swath.audit.view import WINDOW_PX, plan_windows
from swath.cli import run
from swath.dataset.build import build_dataset
from swath.dataset.catalog import read_dataset
from swath.dataset.catalogfile import write_catalog
from swath.dataset.site import Acquisition, Dataset, Site, read_labels
from swath.files import sha256
from swath.grid import Grid, Window
from swath.legend import IGNORE
from swath.scenes.raster import write_raster

DAY = dt.date(2020, 3, 1)
EXAMPLES = PROJECT / "examples"


@pytest.fixture(scope="module")
def world(tmp_path_factory: pytest.TempPathFactory, write_scene: SceneWriter) -> Dataset:
    folder = tmp_path_factory.mktemp("world")
    return build_dataset(write_label_world(folder / "in", write_scene), folder / "out")


def _moved(site: Site, folder: Path, east_px: float, south_px: float) -> Site:
    """The site with its vectors moved by a known part of a pixel."""
    vectors = geopandas.read_parquet(site.roads)
    x_size, y_size = site.grid.resolution
    vectors["geometry"] = vectors.geometry.translate(east_px * x_size, -south_px * y_size)
    path = folder / "moved.parquet"
    vectors.to_parquet(path)
    return replace(site, roads=path)


# --- the shift -----------------------------------------------------------------------------------


@pytest.mark.parametrize(("east", "south"), [(0.0, 0.0), (0.5, -0.5), (-1.3, 0.7), (4.4, 3.6)])
def test_a_known_shift_is_found_on_simulated_images(
    world: Dataset, tmp_path: Path, east: float, south: float
) -> None:
    found = check_site(_moved(world.sites[0], tmp_path, east, south), world.legend)
    assert found.shift is not None
    # What was moved east must go back west.
    assert found.shift.east == pytest.approx(-east, abs=0.15)
    assert found.shift.south == pytest.approx(-south, abs=0.15)
    assert found.misaligned == ((east, south) != (0.0, 0.0))
    assert all(one is not None for one in found.by_date)


def test_warping_from_degrees_brings_no_shift_of_its_own(tmp_path: Path, write_scene: SceneWriter) -> None:
    # Pixels of about 7 x 10 m in degrees, as the real cities have them.
    west, south, east, north = GRID.lonlat_bounds
    step = 9e-5
    shape = (int((north - south) / step), int((east - west) / step))
    degrees = Grid("EPSG:4326", Affine(step, 0, west, 0, -step, north), shape)
    sites = write_label_world(tmp_path / "in", write_scene, scenes=[{"path": "degrees.tif", "date": DAY}])
    image = draw_image(draw_lines(1), 5, degrees)
    write_scene(tmp_path / "in" / "degrees.tif", image, degrees, ("B04", "B03", "B02"))
    dataset = build_dataset(sites, tmp_path / "out")
    found = check_site(dataset.sites[0], dataset.legend).shift
    assert found is not None
    assert found.length < 0.15


def test_no_shift_is_claimed_for_lines_that_are_not_in_the_image(world: Dataset, tmp_path: Path) -> None:
    others = geopandas.GeoDataFrame({"class_id": [1] * 40}, geometry=draw_lines(99), crs=UTM)
    others.to_parquet(tmp_path / "others.parquet")
    check = check_site(replace(world.sites[0], roads=tmp_path / "others.parquet"), world.legend)
    assert check.shift is None
    assert check.correction_m is None
    assert check.completeness is None
    assert any(text.startswith("misaligned?") for text in check.warnings)


@pytest.mark.data
@pytest.mark.parametrize("city", ["norcia", "brasilia"])
def test_a_known_shift_is_found_on_real_pairs(city: str, data_dir: Path, tmp_path: Path) -> None:
    folder = data_dir / "real" / "cities" / city
    site = {
        "scenes": [{"path": str(folder / "*.tif")}],
        "labels": str(folder / "roads.geojson"),
        "coverage": str(folder / "coverage.geojson"),
        "split": "test",
    }
    sites = tmp_path / "sites.yaml"
    sites.write_text(yaml.safe_dump({"sites": {city: site}}), encoding="utf-8")
    dataset = build_dataset(sites, tmp_path / "out")
    plain = check_site(dataset.sites[0], dataset.legend).shift
    assert plain is not None
    # The README of the data: best shifts are 0-1 px south or east, to about a pixel.
    assert plain.length < 1.5
    for east, south in ((0.5, 0.5), (-0.3, 0.7), (1.25, -0.8)):
        moved = _moved(dataset.sites[0], tmp_path, east, south)
        found = check_site(moved, dataset.legend).shift
        assert found is not None
        assert found.east == pytest.approx(plain.east - east, abs=0.2)
        assert found.south == pytest.approx(plain.south - south, abs=0.2)


def test_peaks_of_a_smooth_surface() -> None:
    true = np.array([(0.0, 0.0), (0.4, -0.3), (-2.5, 3.1), (6.2, -6.4)])
    lag = np.arange(LAGS) - SEARCH_PX
    surfaces = [
        np.exp(-((lag[None, :] - east) ** 2 + (lag[:, None] - south) ** 2) / (2 * 1.5**2))
        for east, south in true
    ]
    assert peaks(np.array(surfaces)) == pytest.approx(true, abs=0.05)


def test_a_tilted_peak_is_not_pulled_along_its_ridge() -> None:
    lag = np.arange(LAGS) - SEARCH_PX
    x, y = lag[None, :] - 0.3, lag[:, None] + 0.2
    surface = 1 - 0.02 * (x**2 + y**2 + 1.2 * x * y)
    assert peaks(surface[None])[0] == pytest.approx((0.3, -0.2), abs=1e-6)


# --- completeness, ground, balance ---------------------------------------------------------------


def test_completeness_falls_with_the_labels_that_are_left(world: Dataset, tmp_path: Path) -> None:
    site = world.sites[0]
    whole = check_site(site, world.legend).completeness
    vectors = geopandas.read_parquet(site.roads)
    vectors[::2].to_parquet(tmp_path / "half.parquet")
    halved = check_site(replace(site, roads=tmp_path / "half.parquet"), world.legend)
    half = halved.completeness
    assert whole is not None
    assert half is not None
    assert whole.low <= whole.least <= whole.high <= 1
    assert whole.least > 0.7
    kept = vectors[::2].length.sum() / vectors.length.sum()
    # A lower bound that a half mapped place must not pass.
    assert half.least < kept + 0.1
    assert half.least < whole.least - 0.2


def test_completeness_of_a_nearly_perfect_score_is_the_share_that_is_labelled() -> None:
    # 4096 line pixels score 1, all else 0; three quarters of them are labelled.
    score = np.zeros((256, 256), np.float32)
    score[:, ::16] = 1
    on = np.zeros((256, 256), bool)
    on[:192, ::16] = True
    noisy = score + np.random.default_rng(0).normal(scale=0.05, size=score.shape).astype("f4")
    found = completeness([LineGround(noisy, on, ~on)])
    assert found is not None
    assert found.least == pytest.approx(0.75, abs=0.02)


def test_completeness_needs_ground() -> None:
    nothing = np.zeros((64, 64), bool)
    assert completeness([LineGround(np.zeros((64, 64), np.float32), nothing, ~nothing)]) is None


def test_ignored_rings_do_not_end_the_ground_but_wide_strips_do() -> None:
    labels = np.zeros((60, 60), np.uint8)
    labels[:, 20] = 1
    labels[:, [19, 21]] = IGNORE
    labels[40:] = IGNORE
    ground = covered(labels)
    assert ground[:38].all()
    assert not ground[42:].any()
    safe = far_inside(ground, SEARCH_PX + 1)
    assert safe[: 40 - SEARCH_PX - 2].all()
    assert not safe[40 - SEARCH_PX :].any()


def test_empty_blocks_are_counted_among_the_labelled() -> None:
    labels = np.zeros((128, 192), np.uint8)
    labels[0, 0] = 1
    labels[64:, 128:] = IGNORE
    counts = block_counts(labels)
    assert counts.sum(axis=0).tolist() == [128 * 192 - 64 * 64, 1]
    assert empty_share(counts) == pytest.approx(4 / 5)


def test_windows_of_a_large_site_are_spread_evenly_and_few() -> None:
    rich = np.full((42, 42), 5000)
    whole = Window(0, 0, 42 * WINDOW_PX, 42 * WINDOW_PX)
    windows = plan_windows(rich, whole)
    assert len(set(windows)) == 48
    assert {w.row // WINDOW_PX // 21 for w in windows} == {0, 1}
    assert plan_windows(np.array([[0, 3]]), whole) == (Window(0, 256, 256, 256),)
    assert plan_windows(np.array([[0]]), whole) == ()


# --- what is said of a site ----------------------------------------------------------------------


def _shift(east: float, south: float, *, significant: bool = True) -> Shift:
    return Shift(east, south, 0.1, 0.1, significant, np.zeros((2, 64)))


DAYS = (dt.date(2019, 3, 1), dt.date(2019, 7, 1))
HERE = Site(
    name="here",
    grid=GRID,
    acquisitions=tuple(Acquisition(day, Path("image.tif"), "") for day in DAYS),
    labels=Path("labels.tif"),
    labels_sha256="",
    roads=None,
    regions=(),
    labels_date=dt.date(2019, 8, 1),
)


def _quality(site: Site = HERE, **changes: object) -> SiteCheck:
    well = SiteCheck(
        site=site,
        by_date=(_shift(0.1, 0.1), _shift(0.1, 0.2)),
        shift=_shift(0.1, 0.15),
        completeness=None,
        class_share={"background": 0.9, "road": 0.1},
        foreground_share=0.1,
        ignore_share=0.0,
        empty_blocks=0.1,
        correlation=np.zeros((17, 17)),
    )
    return replace(well, **changes)  # type: ignore[arg-type]


def test_a_good_site_gets_no_warning() -> None:
    assert _quality().warnings == ()
    assert _quality().correction_m is None


@pytest.mark.parametrize(
    ("changes", "said"),
    [
        ({"shift": _shift(0.6, -0.9)}, "misaligned: the labels must move 0.60 px east and 0.90 px"),
        ({"shift": None}, "misaligned? no shift within 8 px"),
        ({"by_date": (_shift(0.0, 0.0), _shift(0.0, 0.8))}, "the dates lie up to 0.8 px apart"),
        ({"foreground_share": 0.001}, "empty: only 0.10%"),
        ({"foreground_share": 0.0, "shift": None}, "empty: only 0.00%"),
        ({"empty_blocks": 0.6}, "half empty: 60%"),
        (
            {"site": replace(HERE, labels_date=dt.date(2025, 1, 1))},
            "stale: the labels (2025-01-01) are 5.5 years newer",
        ),
        (
            {"site": replace(HERE, labels_date=dt.date(2013, 1, 1))},
            "stale: the labels (2013-01-01) are 6.2 years older",
        ),
    ],
)
def test_what_is_wrong_is_said(changes: dict[str, object], said: str) -> None:
    (warning,) = _quality(**changes).warnings
    assert warning.startswith(said)


def test_points_are_not_called_misaligned(
    world: Dataset, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """Labels of single pixels say nothing of a shift, and that is no fault of theirs."""
    root = tmp_path / "points"
    shutil.copytree(world.root, root)
    copied = read_dataset(root)
    sites = []
    for site in copied.sites:
        labels = read_labels(site)
        sparse = np.full_like(labels, 255)
        sparse[::40, ::40] = labels[::40, ::40]
        sparse[labels == 1] = np.where(np.arange((labels == 1).sum()) % 50, 255, 1)
        write_raster(site.labels, sparse[None], site.grid, nodata=255, names=["class"])
        sites.append(replace(site, labels_sha256=sha256(site.labels)))
    write_catalog(replace(copied, sites=tuple(sites)))
    assert run(["labels", "check", str(root)]) == 0
    said = capsys.readouterr().out
    assert "misaligned" not in said
    assert "alignment is not checked" in said


def test_an_insignificant_or_small_shift_is_no_warning() -> None:
    assert _quality(shift=_shift(0.9, 0.9, significant=False)).warnings == ()
    assert _quality(shift=_shift(0.3, 0.3)).warnings == ()


def test_a_correction_adds_to_what_is_applied_and_north_is_up() -> None:
    found = _quality(replace(HERE, shift_m=(3.0, 2.0)), shift=_shift(0.5, 1.0))
    assert found.correction_m == (8.0, -8.0)


def test_images_move_the_other_way_and_keep_what_is_applied() -> None:
    moved = replace(HERE.acquisitions[0], shift_m=(1.0, 2.0))
    found = _quality(
        replace(HERE, acquisitions=(moved, HERE.acquisitions[1])),
        by_date=(_shift(0.5, 1.0), _shift(-0.2, 0.1)),
    )
    first, second = DAYS
    assert found.image_corrections_m == {first: (-4.0, 12.0), second: (2.0, 1.0)}
    vague = _quality(by_date=(_shift(0.5, 1.0, significant=False), None))
    assert vague.image_corrections_m == {}


def test_the_check_refuses_what_is_no_dataset_and_what_is_there(
    world: Dataset, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert run(["labels", "check", str(tmp_path)]) == 2
    assert "no catalog.json" in capsys.readouterr().err
    (tmp_path / "there").write_text("mine", encoding="utf-8")
    assert run(["labels", "check", str(world.root), "--out", str(tmp_path)]) == 2
    assert "was not made by swath" in capsys.readouterr().err
    assert (tmp_path / "there").read_text("utf-8") == "mine"
