"""Further days of a place: does the fit find what was put in, and do made days behave like real?"""

import json
from pathlib import Path

import numpy as np
import pytest
import rasterio
import yaml

from swath.cli import run
from swath.dataset.catalog import read_dataset
from swath.errors import InputError
from swath.grid import Window
from swath.lab.days.dayfiles import fit_sites, make_sites
from swath.lab.days.dayfit import Fit, fit_days
from swath.lab.days.makedays import make_days
from swath.lab.days.pair import SCALES, Images
from swath.simulate.pattern import hills
from swath.sites.schema import read_sites_file

SIDE = 128


def known_days(seed: int, rho: float, dates: int, mean: float = 0.5) -> Images:
    """(dates, 4, H, W): one place seen on days that correlate by `rho`; all of it bare ground."""
    window = Window(0, 0, SIDE, SIDE)

    def pattern(salt: int) -> np.ndarray:
        one = np.stack([hills(window, 3.0, 1000 * seed + 10 * salt + band) for band in range(4)])
        return (one - one.mean(axis=(1, 2), keepdims=True)) / one.std(axis=(1, 2), keepdims=True)

    place = pattern(0)
    days = [np.sqrt(rho) * place + np.sqrt(1 - rho) * pattern(day + 1) for day in range(dates)]
    return (mean + 0.02 * np.stack(days)).astype(np.float32)


def places(rho: float, count: int = 4) -> list[tuple[str, Images, np.ndarray]]:
    known = np.ones((2, SIDE, SIDE), np.bool_)
    return [(f"p{n}", known_days(n, rho, 2), known) for n in range(count)]


def correlation(one: Images, other: Images) -> float:
    return float(np.mean([np.corrcoef(a.ravel(), b.ravel())[0, 1] for a, b in zip(one, other)]))  # noqa: B905


@pytest.fixture(scope="module")
def fitted() -> Fit:
    return fit_days(places(0.7))


def test_the_fit_finds_the_correlation_of_days(fitted: Fit) -> None:
    """Days that correlate by 0.7 differ by patterns of variance 0.3, over all scales together."""
    own = sum(np.diag(fitted.patterns["built or bare"][scale]) for scale in SCALES)
    assert own == pytest.approx(0.3, abs=0.05)
    assert fitted.shift_px < 0.25  # nothing was moved; unlike days hide it a little
    changes = np.array([change.level[3] for change in fitted.changes])
    assert changes == pytest.approx(0, abs=0.01)


def test_the_fit_finds_shifts_and_levels() -> None:
    """Second days moved by one pixel down and a fifth brighter."""
    moved = [
        (name, np.stack([images[0], 1.2 * np.roll(images[1], 1, axis=1)]), known)
        for name, images, known in places(0.9)
    ]
    fit = fit_days(moved)
    # (1, 0) over two axes: root mean square 1 / sqrt(2); half of the square of it a day's.
    assert fit.shift_px == pytest.approx(0.5, abs=0.05)
    assert [c.level[3][2] for c in fit.changes] == pytest.approx([np.log(1.2)] * 4, abs=0.02)


def test_made_days_correlate_as_real_ones_do(fitted: Fit) -> None:
    """With both images and with one another, on a place that the fit has not seen."""
    images, known = known_days(77, 0.7, 2), np.ones((2, SIDE, SIDE), np.bool_)
    still = fitted.model_copy(update={"shift_px": 0.0})
    made, where = make_days(images, known, still, 2, seed=3)
    assert where.all()
    pairs = [(images[0], made[0]), (images[1], made[0]), (images[0], made[1]), (made[0], made[1])]
    for one, other in pairs:
        assert correlation(one, other) == pytest.approx(0.7, abs=0.06)
    assert made.std(axis=(2, 3)) == pytest.approx(0.02, rel=0.15)
    assert made.mean(axis=(2, 3)) == pytest.approx(0.5, rel=0.02)
    again, _ = make_days(images, known, still, 2, seed=3)
    other, _ = make_days(images, known, still, 2, seed=4)
    assert np.array_equal(made, again)
    assert not np.array_equal(made, other)


def test_images_that_share_no_ground_are_refused(fitted: Fit) -> None:
    known = np.zeros((2, SIDE, SIDE), np.bool_)
    with pytest.raises(InputError, match="share 0 pixels"):
        make_days(known_days(1, 0.7, 2), known, fitted, 1, 0)
    with pytest.raises(InputError, match="no site has two images"):
        fit_days([("one", known_days(1, 0.7, 1), known[:1])])


def test_dates_without_a_difference_are_refused() -> None:
    """The same pixels, the same but brighter, and nothing but one value: a line that names the site."""
    first, known = known_days(1, 0.7, 1)[0], np.ones((2, SIDE, SIDE), np.bool_)
    flat = np.full_like(first, 0.1)
    for second, why in ((first, "do not differ"), (2 * first, "do not differ"), (flat, "of one value")):
        with pytest.raises(InputError, match=f"site 'twin': .*{why}"):
            fit_days([*places(0.7, 1), ("twin", np.stack([first, second]), known)])
    with pytest.raises(InputError, match="site 'twin': two images share 0 pixels"):
        fit_days([("twin", np.stack([first, first]), ~known)])


def test_made_days_have_the_pixel_size_of_the_sites_file(tiny_world: Path, tmp_path: Path) -> None:
    coarse = yaml.safe_load(tiny_world.read_text("utf-8")) | {"resolution_m": 20}
    (tmp_path / "sites.yaml").write_text(yaml.safe_dump(coarse), "utf-8")
    for site in coarse["sites"]:
        (tmp_path / site).symlink_to(tiny_world.parent / site)
    sites = tmp_path / "sites.yaml"
    fit = fit_sites(sites, ["sim_train"], tmp_path / "fit.json")
    dates = make_sites(sites, fit, tmp_path / "days", count=1, names=["sim_train"])["sim_train"]
    with rasterio.open(tmp_path / "days" / "sim_train" / f"{dates[0]}.tif") as made:
        assert (made.res, made.shape) == ((20, 20), (48, 48))
    assert read_sites_file(tmp_path / "days" / "sites.yaml").resolution_m == 20


def test_from_a_sites_file_to_a_dataset(
    tiny_world: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    world = tiny_world
    content = yaml.safe_load(world.read_text("utf-8"))
    fit, out = tmp_path / "fit.json", tmp_path / "days"
    assert run(["lab", "days", "fit", str(world), "--out", str(fit), "--leave-out", "sim_train"]) == 0
    assert json.loads(fit.read_text())["places"] == ["sim_validation", "sim_test"]
    command = ["lab", "days", "make", str(world), "--fit", str(fit), "--out", str(out)]
    capsys.readouterr()
    assert run([*command, "--days", "2", "--site", "sim_train", "--json"]) == 0
    said = json.loads(capsys.readouterr().out)
    dates = said["days"]["sim_train"]
    assert len(dates) == 2
    with rasterio.open(out / f"sim_train/{dates[0]}.tif") as made:
        assert (made.descriptions, made.dtypes[0]) == (("B02", "B03", "B04", "B08"), "uint16")
        assert "no real day" in made.tags()["TIFFTAG_IMAGEDESCRIPTION"]
    # Real and made days become one series; the other sites are not in the new file.
    assert set(read_sites_file(out / "sites.yaml").sites) == {"sim_train"}
    assert run(["build", str(out / "sites.yaml"), "--out", str(tmp_path / "set"), "--json"]) == 0
    capsys.readouterr()
    (site,) = read_dataset(tmp_path / "set").sites
    assert len(site.dates) == 4
    assert set(dates) < {str(date) for date in site.dates}
    assert content["attribution"] in (out / "sites.yaml").read_text("utf-8")
    for bad, says in (
        (["--site", "nowhere"], "no site 'nowhere'"),
        (["--fit", str(world)], "sites.yaml"),
    ):
        assert run([*command, "--overwrite", *bad]) == 2
        assert says in capsys.readouterr().err
