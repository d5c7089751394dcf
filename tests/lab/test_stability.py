"""Robustness and day variance: the plans, the painted clouds, and both commands on real files."""

import dataclasses
import datetime as dt
import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from numpy.typing import NDArray

from support.drawn_maps import row
from support.saved_runs import save_mixed_run, save_run
from swath.cli import run
from swath.dataset.site import Dataset, read_image
from swath.evaluation.candidate import Candidate
from swath.evaluation.evaluate import evaluate
from swath.lab.stability.imagery import CLOUD_SHARE, Pictures, move, paint_clouds
from swath.lab.stability.inmemory import InMemoryMapper
from swath.lab.stability.perturbation import Frame, plan_perturbations
from swath.lab.stability.variance import differences
from swath.mapping.predict import Predictor
from swath.mapping.sources import site_series
from swath.mapping.stages import map_site
from swath.maps.sitemaps import read_codes
from swath.models.registry import ARCHITECTURES, TwoStages, architecture
from swath.models.spec import ModelSpec
from swath.models.trained import TrainedModel, build_series, load_model, save_model
from swath.sentinel2 import ImageSettings, tci_from_reflectance
from swath.simulate.day import Day

SPLITS = {"train": ["sim_train"], "validation": ["sim_validation"], "test": ["sim_test"]}
DAY = Day(dt.date(2021, 6, 21), 45.0, cloud=CLOUD_SHARE, seed=3)


@pytest.fixture(scope="module")
def mixed_run(dataset: Dataset, tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("runs") / "mixed"
    images = [read_image(a) for a in dataset.site("sim_test").acquisitions]
    model = save_mixed_run(folder, np.stack(images).astype(np.uint8))
    model.spec = model.spec.model_copy(update={"splits": SPLITS})
    save_model(folder, model)
    return folder


@given(st.integers(1, 8), st.integers(0, 99))
def test_every_perturbation_is_what_its_name_says(dates: int, seed: int) -> None:
    plain = tuple(Frame(at) for at in range(dates))
    found = plan_perturbations(dates, seed)
    assert all(p.frames != plain for p in found if dates > 1 or p.name != "one date only, T times")
    for p in found:
        shown = [frame.date for frame in p.frames]
        changed = [frame for frame in p.frames if frame.change != "none"]
        if p.name.startswith("order"):
            assert not changed
            assert sorted(shown) == list(range(dates))
        elif p.name == "a date missing":
            assert (len(set(shown)), shown) == (dates - 1, sorted(shown))
        elif p.name == "one date only, T times":
            assert (len(set(shown)), len(shown)) == (1, dates)
        elif p.name == "last date twice":
            assert shown == [*range(dates), dates - 1]
        else:  # exactly one date is another
            assert (shown, len(changed)) == (list(range(dates)), 1)
    assert len({p.frames for p in found if p.name == "order shuffled"}) == (0 if dates < 3 else 3)


def test_content_moves_north_by_one_row() -> None:
    image = np.arange(1, 13, dtype=np.uint16).reshape(1, 3, 4)
    north = move(image, (-1, 0))
    np.testing.assert_array_equal(north[0, :2], image[0, 1:])
    np.testing.assert_array_equal(north[0, 2], image[0, 2])  # what enters repeats the edge
    np.testing.assert_array_equal(move(image, (0, 1))[0, :, 1:], image[0, :, :-1])


def test_clouds_are_bright_their_shadows_dark_and_the_rest_is_as_it_was() -> None:
    image = np.full((3, 200, 220), 1500, np.uint16)
    image[:, :, :20] = 600  # the darkest thousandth: what the air adds
    image[:, :, -20:] = 0  # no data
    settings = ImageSettings(bands=("B04", "B03", "B02"), encoding="reflectance")
    painted, hidden = paint_clouds(image, DAY, settings)
    assert (painted[:, :, -20:] == 0).all()
    assert not hidden[:, -20:].any()
    ground = painted[0, :, 20:-20].astype(int)
    assert ground.max() == pytest.approx(6200, abs=60)  # thick cloud: reflectance 0.62
    # A shadow takes 0.65 of the light of the ground, and none of the 600 of the air.
    assert ground.min() == pytest.approx(600 + 0.35 * 900, abs=5)
    assert (ground[~hidden[:, 20:-20]] >= 600 + 0.8 * 900 - 1).all()
    assert (ground[~hidden[:, 20:-20]] <= 1500 + 0.1 * 4700 + 1).all()
    assert (painted == image).mean() > 0.3
    bright = (painted[0, :, :-20] > 3000).mean()
    assert bright == pytest.approx(CLOUD_SHARE, abs=0.12)
    # The same day over the 8-bit view hides the same pixels.
    tci, also = paint_clouds(tci_from_reflectance(image), DAY, ImageSettings())
    np.testing.assert_array_equal(hidden, also)
    assert tci.dtype == np.uint8
    assert (tci[:, painted[0] > 3558] == 255).all()


def standardised_ground() -> NDArray[np.uint16]:
    """A town's numbers after standardisation: median 10000, spread 1000; one strip has no data."""
    ground = np.random.default_rng(3).normal(10_000, 1000, (3, 200, 220))
    ground -= np.median(ground, axis=(1, 2), keepdims=True) - 10_000
    image = np.clip(np.rint(ground), 6500, 60_000).astype(np.uint16)
    image[:, :, -20:] = 0
    return image


def test_a_standardised_scene_is_standardised_anew_with_its_clouds() -> None:
    image = standardised_ground()
    settings = ImageSettings(encoding="standardised")
    same, nowhere = paint_clouds(image, dataclasses.replace(DAY, cloud=0.0), settings)
    assert not nowhere.any()
    np.testing.assert_allclose(same.astype(float), image, rtol=0.03)
    clouded, hidden = paint_clouds(image, DAY, settings)
    known = image[0] > 0
    # Levels overlook them, so the ground beside them is nearly as it was.
    beside = known & ~hidden
    assert np.abs(clouded[:, beside].astype(int) - image[:, beside]).mean() < 300
    assert (clouded[0][known] > 20_000).mean() == pytest.approx(CLOUD_SHARE, abs=0.12)
    # A mask takes the clouds away before that, so what is left is as it was.
    masked, also = paint_clouds(image, DAY, settings, masked=True)
    np.testing.assert_array_equal(hidden, also)
    left = known & ~hidden
    assert (masked[:, ~left] == 0).all()
    clear = left & (np.abs(clouded[0].astype(int) - 10_000) < 3000)
    assert np.abs(masked[0].astype(int) - image[0])[clear].mean() < 500


def test_what_a_cloud_hides_is_no_data_where_it_is_masked(dataset: Dataset) -> None:
    site = dataset.site("sim_test")
    images = tuple(read_image(a) for a in site.acquisitions)
    pictures = Pictures("sim_test", site.grid, dataset.image, site.dates, images, 0)
    clouded, hidden = pictures.show(Frame(1, "cloud"))
    masked, same = pictures.show(Frame(1, "masked cloud"))
    whole = site.grid.window
    empty = (masked.read(whole) == 0).all(axis=0)
    assert same == hidden == pytest.approx(empty.mean())
    assert 0.1 < hidden < 0.9
    np.testing.assert_array_equal(masked.read(whole)[:, ~empty], clouded.read(whole)[:, ~empty])
    assert (clouded.read(whole) != images[1])[:, empty].any()


def test_a_sequence_maps_as_swath_map_does(dataset: Dataset, mixed_run: Path, tmp_path: Path) -> None:
    predictor = Predictor(load_model(mixed_run), "cpu", "fp32")
    series = site_series(dataset.site("sim_test"), dataset, 2, ())
    maps = map_site(predictor, mixed_run, series, tmp_path).maps
    mapper = InMemoryMapper(predictor, series.grid.shape)
    images = [source.prepare(tmp_path) for source in series.sources]
    pmaps = [mapper.pmap(image) for image in images]
    for date, pmap in zip(series.dates, pmaps, strict=True):
        np.testing.assert_array_equal(pmap, read_codes(maps.pmap_path(date)))
    np.testing.assert_array_equal(mapper.fuse(images, pmaps), read_codes(maps.fused_path))


def robustness(dataset: Dataset, folder: Path, out: Path, *more: str) -> dict[str, Any]:
    arguments = [
        "lab",
        "robustness",
        str(folder),
        "--dataset",
        str(dataset.root),
        "--out",
        str(out),
    ]
    assert run([*arguments, *more]) == 0
    found: dict[str, Any] = json.loads((out / "robustness.json").read_text())
    return found


def test_robustness_of_a_run(
    dataset: Dataset, mixed_run: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    out = tmp_path / "report"
    found = robustness(dataset, mixed_run, out, "--json", "--precision", "fp32")
    printed = json.loads(capsys.readouterr().out)
    assert printed["summary"] == found["summary"]
    assert found["sites"] == ["sim_test"]
    assert found["thresholds_from_validation"]
    assert found["names"] == {"fused": "U-NET + ConvLSTM", "mean": "mean of the dates"}
    assert found["outputs"] == list(found["names"])
    rows = {(r["perturbation"], r["variant"], r["output"]): r for r in found["rows"]}
    mean = {key[:2]: row for key, row in rows.items() if key[2] == "mean"}
    # The undisturbed maps are scored as `swath evaluate` scores those of `swath map`.
    predictor = Predictor(load_model(mixed_run), "cpu", "fp32")
    for name in ("sim_validation", "sim_test"):
        series = site_series(dataset.site(name), dataset, 2, ())
        map_site(predictor, mixed_run, series, tmp_path / "maps")
    report = evaluate(tmp_path / "maps", dataset).report
    for model in (Candidate.FUSED, Candidate.MEAN):
        ours = rows["undisturbed", "", model.value]
        theirs = row(report, model, "test", "sim_test", "validation")
        assert ours["pr_auc"] == pytest.approx(theirs.pr_auc)
        assert ours["iou"] == pytest.approx(theirs.iou)
        assert theirs.line_f1 is not None
        assert ours["line_f1_2"] == pytest.approx(theirs.line_f1[2])
        assert (ours["changed"], ours["difference"]["iou"]) == (0, 0)
    # The mean knows no order, and a date without data is as none.
    assert mean["order reversed", ""]["changed"] == 0
    for at in (1, 2):
        date = f"date {at} of 2"
        missing, empty = mean["a date missing", date], mean["a date without data", date]
        alone = mean["one date only, T times", f"date {3 - at} of 2"]
        assert missing["pr_auc"] == empty["pr_auc"] == alone["pr_auc"]
        assert missing["changed"] == empty["changed"] == alone["changed"] > 0
    # The ConvLSTM does.
    assert rows["order reversed", "", "fused"]["changed"] > 0
    cloud = rows["cloud", "date 2 of 2", "fused"]
    assert cloud["changed"] > 0
    assert 0 < cloud["hidden"] < 1
    low, high = cloud["ci"]["iou"]
    assert low <= high
    text = (out / "robustness.md").read_text()
    assert "| order reversed |" in text
    assert "## U-NET + ConvLSTM (threshold" in text
    assert "## mean of the dates (threshold" in text
    # Nothing is replaced unasked.
    arguments = [
        "lab",
        "robustness",
        str(mixed_run),
        "--dataset",
        str(dataset.root),
        "--out",
        str(out),
    ]
    assert run(arguments) == 2
    assert "--overwrite" in capsys.readouterr().err


def test_thresholds_come_from_other_days_where_those_of_a_site_are_asked_for(
    dataset: Dataset, mixed_run: Path, tmp_path: Path
) -> None:
    # The validation site has no image of that day.
    days = dataset.site("sim_test").dates
    assert not set(days) & set(dataset.site("sim_validation").dates)
    asked = [value for day in days for value in ("--date", str(day))]
    arguments = [
        "lab",
        "robustness",
        str(mixed_run),
        "--dataset",
        str(dataset.root),
        "--site",
        "sim_test",
    ]
    assert run([*arguments, "--out", str(tmp_path / "report"), *asked]) == 0


ALIKE = {
    "deeplab-convlstm": "segnet-convlstm",
    "tempcnn": "early-fusion",
    "feature-convlstm": "u-tae",
}
"""Architectures that the command treats as another one: two stages, fixed T, any T."""


@pytest.mark.parametrize("name", [name for name in ARCHITECTURES if name not in ALIKE])
def test_robustness_of_every_architecture(dataset: Dataset, tmp_path: Path, name: str) -> None:
    model = save_run_of(tmp_path / "run", name)
    found = robustness(dataset, tmp_path / "run", tmp_path / "report")
    fixed = None if model.series is None else model.series.fixed_dates
    skipped = {row["perturbation"] for row in found["skipped"]}
    assert skipped == (set() if fixed is None else {"last date twice", "a date missing"})
    assert len(found["outputs"]) == 2
    assert {row["perturbation"] for row in found["summary"]} >= {"cloud", "last date 1 px off"}


def save_run_of(folder: Path, name: str) -> Any:
    """An untrained run of any architecture."""
    if isinstance(architecture(name), TwoStages):
        return save_run(folder, SPLITS, name=name)
    sizes = {"width": 8, "decoder_convs": 1, "hidden": 4, "layers": 2}
    spec = ModelSpec(**save_run(folder, SPLITS).spec.model_dump() | {"name": name, "sizes": sizes})
    torch.manual_seed(0)
    model = TrainedModel.of_series(spec, build_series(spec).eval())
    save_model(folder, model)
    return model


def test_differences_by_hand() -> None:
    """Four pixels; the last has no data in one map: 1 of 3 differs, 1 of 2 of the class."""
    one, other = (np.array([v], np.uint8) for v in ([1, 0, 1, 1], [1, 0, 0, 255]))
    found = differences([(one, other), (one, one)], 1)
    assert found is not None
    assert found.as_json() == {
        "pairs": 2,
        "differ": pytest.approx((1 / 3 + 0) / 2),
        "most": pytest.approx(1 / 3),
        "of_class": pytest.approx((1 / 2 + 0) / 2),
    }
    nothing: NDArray[np.uint8] = np.full((1, 4), 255, np.uint8)
    assert differences([(one, nothing)], 1) is None


def test_variance_of_unlabelled_sites(
    mixed_run: Path, tiny_world: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    images = sorted((tiny_world.parent / "sim_test").glob("*.tif"))
    sites = tmp_path / "sites.yaml"
    scenes = ", ".join(f"{{path: {path}}}" for path in images)
    sites.write_text(f"sites: {{sim_test: {{scenes: [{scenes}], split: test}}}}")

    def variance(*more: str) -> dict[str, Any]:
        assert run(["lab", "variance", str(sites), str(mixed_run), "--json", *more]) == 0
        (site,) = json.loads(capsys.readouterr().out)["sites"]
        assert isinstance(site, dict)
        return site

    two = variance()
    assert two["split_of_run"] == ["test"]
    assert two["days"]["one date"]["pairs"] == 1
    assert two["days"]["fused"] is two["days"]["mean"] is None  # two dates, T = 2
    assert two["days"]["one date"] == two["next"]["one date"]
    assert two["order"]["mean"]["differ"] == 0
    assert two["order"]["fused"]["differ"] > 0
    one = variance("--dates", "1")
    assert one["days"]["mean"] == one["days"]["one date"] == two["days"]["one date"]
    assert one["days"]["fused"]["pairs"] == 1
    assert run(["lab", "variance", str(sites), str(mixed_run)]) == 0
    assert "| sim_test | test | 2 |" in capsys.readouterr().out
    sites.write_text(f"sites: {{alone: {{scenes: [{{path: {images[0]}}}], split: test}}}}")
    assert run(["lab", "variance", str(sites), str(mixed_run)]) == 2
    assert "one date only" in capsys.readouterr().err
