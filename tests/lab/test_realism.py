"""The measures of realism: do they find what is there, and nothing else?"""

import json
from pathlib import Path

import numpy as np
import pytest
import yaml

from conftest import SceneWriter
from swath import cli
from swath.errors import InputError
from swath.grid import Grid, Window
from swath.lab.realism import twosample
from swath.lab.realism.land import land_classes
from swath.lab.realism.siteimages import BANDS, SiteImages, read_places
from swath.lab.realism.texture import PATCH_PX, cut_patches, feature_names, texture_features
from swath.lab.realism.traits import describe, radial_power
from swath.lab.realism.twosample import tell_apart
from swath.simulate.pattern import hills


@pytest.fixture(autouse=True)
def _small_forests(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(twosample, "_TREES", 15)


def place(seed: int, scale: float = 3.0, side: int = 96, dates: int = 2) -> SiteImages:
    """Hills of a size as an image; the dates share them and differ by noise."""
    window = Window(0, 0, side, side)
    ground = np.stack([hills(window, scale, 10 * seed + band) for band in range(4)])
    rng = np.random.default_rng(seed)
    images = [0.2 + 0.02 * (ground + 0.3 * rng.standard_normal(ground.shape)) for _ in range(dates)]
    return SiteImages(
        name=f"place{seed}",
        images=np.stack(images).astype(np.float32),
        valid=np.ones((dates, side, side), np.bool_),
        roads=None,
        complete=np.ones((side, side), np.bool_),
    )


def test_places_of_one_kind_are_not_told_apart() -> None:
    found = tell_apart([place(n) for n in range(6)], [place(n) for n in range(6, 12)], 0)
    assert found.texture.accuracy == pytest.approx(0.5, abs=0.15)
    assert found.real_against_real == pytest.approx(0.5, abs=0.2)
    assert found.patches == (6 * 2 * 9, 6 * 2 * 9)


def test_smoother_places_are_told_apart_by_their_steps() -> None:
    smooth, rough = ([place(n, scale) for n in range(6)] for scale in (6.0, 2.5))
    found = tell_apart(smooth, rough, 0)
    assert found.texture.accuracy > 0.95
    best = found.texture.important[:4]
    assert all(("step" in name) or ("spots" in name) or ("patch" in name) for name, _, _ in best)
    steps = [gap for name, _, gap in best if "step" in name or "spots" in name]
    assert steps
    assert max(steps) < -0.5  # the simulated ones have the smaller steps


def test_too_few_places_are_refused() -> None:
    with pytest.raises(InputError, match="at least 5"):
        tell_apart([place(1)], [place(n) for n in range(6)], 0)


def test_figures_of_known_images() -> None:
    one = place(3, side=128)
    found = describe([one])
    # Noise of 0.3 on hills of 1, on both dates: correlation and slope 1 / (1 + 0.09).
    pairs = found.between_dates["all"]["B03"]
    for figure in (pairs.correlation, pairs.slope):
        assert figure is not None
        assert figure[0] == pytest.approx(0.917, abs=0.03)
    median = found.quantiles["B04"]["0.5"]
    assert median is not None
    assert median[0] == pytest.approx(0.2, abs=0.01)
    assert found.road_contrast is None


def test_power_of_white_noise_is_flat_and_of_a_wave_is_a_peak() -> None:
    noise = np.random.default_rng(0).standard_normal((256, 256))
    frequency, power = radial_power(noise)
    slope = np.polyfit(np.log(frequency[5:]), np.log(power[5:]), 1)[0]
    assert abs(slope) < 0.1
    wave = np.sin(2 * np.pi * 32 * np.arange(256) / 256)[None] * np.ones((256, 1))
    frequency, power = radial_power(wave)
    assert frequency[power.argmax()] == pytest.approx(0.125, abs=0.005)


def test_contrast_of_a_drawn_road() -> None:
    base = place(1, side=256)
    roads = np.zeros((256, 256), np.bool_)
    roads[:, 128] = True
    images = np.full((2, 4, 256, 256), 0.2, np.float32)
    images[:, :, 1::2] = 0.1
    images[:, :, roads] = 0.15
    images[0, 2, roads] += 0.02
    images[1, 2, roads] -= 0.01
    found = describe([SiteImages("road", images, base.valid, roads, base.complete)]).road_contrast
    assert found is not None
    red, infrared = found["B04"], found["B08"]
    assert red.contrast is not None
    assert red.between_dates is not None
    assert infrared.contrast is not None
    deviation = images[0, 2].std()
    # Two dates: +0.02 and -0.01 on an image whose deviation is about 0.05.
    assert red.contrast[0] == pytest.approx(0.005 / deviation, rel=0.05)
    assert red.between_dates[0] == pytest.approx(0.015 / deviation, rel=0.05)
    assert infrared.contrast[0] == pytest.approx(0, abs=1e-5)


def test_land_is_told_by_colour() -> None:
    pixels = np.array(
        [
            [0.05, 0.06, 0.03, 0.01],  # water: NDWI 0.71
            [0.05, 0.07, 0.05, 0.35],  # meadow: NDVI 0.75
            [0.08, 0.09, 0.10, 0.20],  # garden: NDVI 0.33
            [0.12, 0.14, 0.16, 0.18],  # roof: NDVI 0.06
        ],
        np.float32,
    )
    assert land_classes(pixels.T[:, None])[0].tolist() == [0, 1, 2, 3]


def test_features_are_named_and_ratios_know_no_brightness() -> None:
    image = place(2).images[0]
    patches = cut_patches(image, np.ones(image.shape[1:], np.bool_))
    assert patches.shape == (9, 4, PATCH_PX, PATCH_PX)
    features, names = texture_features(patches, BANDS), feature_names(BANDS)
    assert features.shape == (9, len(names))
    brighter = texture_features(0.5 * patches + 0.1, BANDS)
    for at, name in enumerate(names):
        if "level" not in name and "NDVI" not in name:
            np.testing.assert_allclose(brighter[:, at], features[:, at], rtol=2e-3, err_msg=name)


def test_patches_without_all_data_are_left_out() -> None:
    valid = np.ones((64, 96), np.bool_)
    valid[40, 70] = False
    assert len(cut_patches(np.zeros((2, 64, 96)), valid)) == 5


def write_places(folder: Path, write_scene: SceneWriter, scale: float, **settings: object) -> Path:
    """A sites file of five places of 64 px and two dates."""
    grid = Grid.from_bounds((500_000, 5_000_000, 500_640, 5_000_640), "EPSG:32631")
    sites = {}
    for n in range(5):
        images = place(n, scale, side=64).images
        for date, image in zip(("2020-05-01", "2020-08-01"), images, strict=True):
            numbers = np.rint(image * 10_000).astype(np.uint16)
            write_scene(folder / f"s{n}" / f"{date}.tif", numbers, grid, BANDS)
        sites[f"s{n}"] = {"scenes": [{"path": f"s{n}/*.tif"}], "split": "train"}
    path = folder / "sites.yaml"
    path.write_text(yaml.safe_dump({"sites": sites, **settings}), "utf-8")
    return path


def test_images_have_the_pixel_size_of_the_sites_file(tmp_path: Path, write_scene: SceneWriter) -> None:
    found = read_places(write_places(tmp_path, write_scene, 3.0, resolution_m=20), "simulated")
    assert [p.images.shape for p in found] == [(2, 4, 32, 32)] * 5


def test_command_on_files(
    tmp_path: Path, write_scene: SceneWriter, capsys: pytest.CaptureFixture[str]
) -> None:
    files = [
        str(write_places(tmp_path / kind, write_scene, scale))
        for kind, scale in (("simulated", 3.0), ("real", 6.0))
    ]
    assert cli.run(["lab", "realism", *files, "--json"]) == 0
    result = json.loads(capsys.readouterr().out)
    assert result["test"]["texture"]["accuracy"] > 0.9
    assert result["real"]["images"] == 10
    assert cli.run(["lab", "realism", *files]) == 0
    text = capsys.readouterr().out
    for word in ("B04 reflectance", "road contrast", "told apart by texture", "real against real"):
        assert word in text
