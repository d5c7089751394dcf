"""Rows of the report against plain computations, and what must not change them."""

import json
import subprocess
import sys
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from numpy.typing import NDArray
from sklearn.metrics import average_precision_score

from support.drawn_maps import DATES, MODELS, draw_pmaps, map_all, row, write_maps
from swath.dataset.site import Dataset, Region, read_labels
from swath.errors import InputError
from swath.evaluation.candidate import CONTROLS, UNTRAINED, Candidate, names_of
from swath.evaluation.evaluate import evaluate
from swath.evaluation.evidence import plan_block_px
from swath.evaluation.report import Report
from swath.evaluation.scoremap import read_score_maps
from swath.files import sha256
from swath.grid import Grid, Window
from swath.legend import IGNORE
from swath.maps.sitemaps import read_maps, read_pmap
from swath.models.fusion import FUSIONS
from swath.scenes.raster import write_raster


@pytest.fixture(scope="module")
def maps(dataset: Dataset, tmp_path_factory: pytest.TempPathFactory) -> Path:
    return map_all(tmp_path_factory.mktemp("maps") / "maps", dataset)


@pytest.fixture(scope="module")
def report(dataset: Dataset, maps: Path) -> Report:
    return evaluate(maps, dataset).report


def test_every_row_of_the_contract_is_there(report: Report) -> None:
    got = {(r.model, r.split, r.site, r.threshold_rule) for r in report.rows}
    expected = {
        (model, split, site, rule)
        for model in MODELS
        for split in ("train", "validation", "test")
        for site in ("all", f"sim_{split}")
        for rule in ("half", "validation", "scene")
    }
    assert got == expected
    assert len(report.rows) == len(expected)
    for r in report.rows:
        assert r.line_f1 is not None
        assert set(r.relaxed_f1) == set(r.line_f1) == {1, 2, 3}
        for name in ("accuracy", "iou", "f1", "pr_auc", "line_f1_2"):
            low, high = r.ci[name]
            assert 0 <= low <= high <= 1


def test_scores_agree_with_plain_computations(dataset: Dataset, report: Report, maps: Path) -> None:
    site = dataset.site("sim_test")
    labels = read_labels(site)
    (site_maps,) = (m for m in read_maps(maps) if m.site == "sim_test")
    pmap, _ = read_pmap(site_maps.fused_path)
    known = labels != IGNORE
    truth, score = labels[known] == 1, (pmap[1] / (pmap[0] + pmap[1]))[known]
    predicted = (pmap[1] > pmap[0])[known]
    both, either = (truth & predicted).sum(), (truth | predicted).sum()

    got = row(report, Candidate.FUSED, "test")
    assert (got.pixels, got.positives) == (known.sum(), truth.sum())
    assert got.accuracy == pytest.approx((truth == predicted).mean(), abs=1e-12)
    assert got.iou == pytest.approx(both / either, abs=1e-12)
    assert got.pr_auc == pytest.approx(average_precision_score(truth, score), abs=2e-3)
    assert got.iou > 0.8


def test_controls_that_know_nothing(dataset: Dataset, report: Report) -> None:
    labels = read_labels(dataset.site("sim_test"))
    share = float((labels[labels != IGNORE] == 1).mean())
    nothing, everything = (
        row(report, control, "test") for control in (Candidate.ALL_BACKGROUND, Candidate.ALL_CLASS)
    )
    assert nothing.accuracy == pytest.approx(1 - share)
    assert nothing.iou == nothing.f1 == nothing.recall == nothing.mcc == 0
    assert nothing.precision is None
    assert nothing.line_f1[2] == 0
    assert everything.accuracy == everything.iou == pytest.approx(share)
    assert everything.recall == 1
    assert everything.ece == pytest.approx(1 - share)
    for control in (nothing, everything):
        assert control.pr_auc == pytest.approx(share)
    # Roads of the same density in the wrong place are little better than chance.
    assert row(report, Candidate.SHIFTED, "test").pr_auc < share + 0.15


@pytest.mark.parametrize("rule", ["half", "validation"])
def test_the_unet_is_the_mean_of_its_dates(report: Report, rule: str) -> None:
    dates = [row(report, name, "test", rule=rule) for name in DATES]
    mean = row(report, Candidate.DATES, "test", rule=rule)
    for name in ("accuracy", "iou", "f1", "mcc", "pr_auc", "ece"):
        scores = [getattr(date, name) for date in dates]
        assert getattr(mean, name) == pytest.approx(np.mean(scores))
    assert mean.line_f1[1] == pytest.approx(np.mean([d.line_f1[1] for d in dates]))
    assert len({date.threshold for date in dates} | {mean.threshold}) == 1


def test_fusion_by_mean_is_scored_as_written(report: Report, dataset: Dataset, maps: Path) -> None:
    (site_maps,) = (m for m in read_maps(maps) if m.site == "sim_test")
    loaded = [read_pmap(site_maps.pmap_path(date)) for date in site_maps.dates]
    pmaps, valid = (np.stack(part) for part in zip(*loaded, strict=True))
    labels = read_labels(dataset.site("sim_test"))
    known = labels != IGNORE
    for name in UNTRAINED:
        fused = FUSIONS[name](pmaps, valid)
        right = (fused[1] > fused[0]) == (labels == 1)
        assert row(report, name, "test").accuracy == pytest.approx(right[known].mean())


def test_the_shifted_control_is_the_mean_rolled_down_and_right(maps: Path) -> None:
    candidates = read_score_maps(read_maps(maps)[0], 1)
    mean, shifted = candidates.bins[Candidate.MEAN], candidates.bins[Candidate.SHIFTED]
    np.testing.assert_array_equal(shifted[50:, 50:], mean[:-50, :-50])


def test_the_validation_threshold_is_best_on_validation(report: Report) -> None:
    for model in (Candidate.FUSED, Candidate.MEAN, Candidate.MAX):
        half = row(report, model, "validation")
        chosen = row(report, model, "validation", rule="validation")
        assert chosen.iou >= half.iou
        assert chosen.threshold == report.thresholds["road"][model]
        # The same number on every split: nothing is chosen on the test sites.
        assert row(report, model, "test", rule="validation").threshold == chosen.threshold
        # PR-AUC knows no threshold.
        assert half.pr_auc == chosen.pr_auc


def test_paired_differences(report: Report) -> None:
    test = [p for p in report.paired if (p.split, p.site) == ("test", "all")]
    assert {(p.role, p.threshold_rule) for p in test} == {
        (role, rule) for role in ("dates", "mean", "best control") for rule in ("half", "validation", "scene")
    }
    ours = row(report, Candidate.FUSED, "test")
    for p in test:
        theirs = row(report, p.minus, "test", rule=p.threshold_rule)
        assert p.difference["pr_auc"] == pytest.approx(ours.pr_auc - theirs.pr_auc)
        low, high = p.ci["pr_auc"]
        assert 0 < low <= p.difference["pr_auc"] <= high
    (best,) = (p for p in test if p.role == "best control" and p.threshold_rule == "half")
    assert best.chosen_on == "validation"
    scores = {name: row(report, name, "validation").pr_auc for name in UNTRAINED}
    assert scores[best.minus] == max(scores.values())


def test_equal_maps_differ_by_exactly_nothing(dataset: Dataset, tmp_path: Path) -> None:
    site = dataset.site("sim_test")
    pmap = draw_pmaps(read_labels(site), 0.3, 5, dates=1)
    write_maps(tmp_path / "maps", site.name, site.grid, pmap, pmap[0], dataset.legend)
    report = evaluate(tmp_path / "maps", dataset).report
    for pair in report.paired:
        assert set(pair.difference.values()) == {0.0}
        assert all(bounds == (0.0, 0.0) for bounds in pair.ci.values())
        assert pair.chosen_on in (None, "test")


def test_without_validation_sites_no_threshold_comes_from_labels(dataset: Dataset, tmp_path: Path) -> None:
    only_test = map_all(tmp_path / "maps", dataset, only=["sim_test"])
    report = evaluate(only_test, dataset).report
    assert {r.threshold_rule for r in report.rows} == {"half", "scene"}
    assert tuple(report.splits) == ("test",)
    assert "no threshold could be chosen" in " ".join(report.notes)


def test_a_perfect_map_scores_one(dataset: Dataset, tmp_path: Path) -> None:
    site = dataset.site("sim_test")
    road = (read_labels(site) == 1).astype(np.float32)
    pmap = np.stack([1 - road, road])
    write_maps(tmp_path / "maps", site.name, site.grid, pmap[None], pmap, dataset.legend)
    report = evaluate(tmp_path / "maps", dataset).report
    perfect = row(report, Candidate.FUSED, "test")
    for name in ("accuracy", "iou", "f1", "mcc", "pr_auc"):
        assert getattr(perfect, name) == pytest.approx(1)
    assert perfect.ece == 0
    assert perfect.relaxed_f1[1] == 1
    # The skeleton of the widened lines lies on the lines, but for some corners.
    assert perfect.line_f1[2] > 0.97


def test_what_is_mapped_where_nothing_is_known_changes_no_score(dataset: Dataset, tmp_path: Path) -> None:
    site = dataset.site("sim_test")
    labels = read_labels(site)
    generator = np.random.default_rng(0)
    labels[30:50] = IGNORE
    labels[generator.random(labels.shape) < 0.1] = IGNORE
    path = tmp_path / "labels.tif"
    write_raster(path, labels[None], site.grid, nodata=IGNORE, names=["class"])
    known = replace(dataset, sites=(replace(site, labels=path, labels_sha256=sha256(path)),))

    def spoil(pmaps: NDArray[np.float32]) -> NDArray[np.float32]:
        return np.where(labels == IGNORE, generator.random(pmaps.shape), pmaps).astype(np.float32)

    reports = []
    for name, edit in (("plain", None), ("spoilt", spoil)):
        folder = map_all(tmp_path / name, known, edit=edit)
        reports.append(evaluate(folder, known).report)
    # The shifted control brings what lies on unknown pixels to known ones: that is its purpose.
    # And the scene's own threshold knows no labels: so it cannot know which pixels are unknown.
    plain, spoilt = (
        [r for r in report.rows if r.model != Candidate.SHIFTED and r.threshold_rule != "scene"]
        for report in reports
    )
    assert plain == spoilt
    assert plain[0].pixels == (labels != IGNORE).sum()


def test_dates_are_scored_where_they_saw_the_ground(dataset: Dataset, tmp_path: Path) -> None:
    site = dataset.site("sim_test")
    labels = read_labels(site)
    pmaps = draw_pmaps(labels, 0.3, 1)
    valid = np.ones((3, *labels.shape), bool)
    valid[0, :40] = False
    valid[:, :10] = False
    fused = draw_pmaps(labels, 0.1, 2)[0]
    write_maps(tmp_path / "maps", site.name, site.grid, pmaps, fused, dataset.legend, valid=valid)
    report = evaluate(tmp_path / "maps", dataset).report
    known = labels != IGNORE
    assert row(report, DATES[0], "test").pixels == known[40:].sum()
    assert row(report, DATES[1], "test").pixels == known[10:].sum()
    for name in (Candidate.FUSED, *CONTROLS):
        assert row(report, name, "test").pixels == known[10:].sum()


def test_regions_are_scored_apart_and_pooled_by_split(dataset: Dataset, tmp_path: Path) -> None:
    regions = (
        Region("train", Window(0, 0, 96, 40)),
        Region("test", Window(0, 50, 40, 46)),
        Region("test", Window(60, 50, 36, 46)),
    )
    split = replace(
        dataset,
        sites=tuple(replace(s, regions=regions) for s in dataset.sites if s.name != "sim_test"),
    )
    report = evaluate(map_all(tmp_path / "maps", split), split).report
    assert report.splits == {
        "train": ("sim_train", "sim_validation"),
        "test": ("sim_train", "sim_validation"),
    }
    total = 0
    for site in split.sites:
        known = read_labels(site) != IGNORE
        expected = known[:40, 50:].sum() + known[60:, 50:].sum()
        assert row(report, Candidate.MEAN, "test", site.name).pixels == expected
        total += expected
    assert row(report, Candidate.MEAN, "test").pixels == total
    both = [row(report, Candidate.MEAN, "test", site.name) for site in split.sites]
    assert row(report, Candidate.MEAN, "test").blocks == sum(r.blocks for r in both)


def test_sites_with_other_dates_are_pooled_date_by_date(dataset: Dataset, tmp_path: Path) -> None:
    pooled = dataset.resplit(validation=[], test=[s.name for s in dataset.sites])
    for site, dates in zip(pooled.sites, (1, 2, 2), strict=True):
        pmaps = draw_pmaps(read_labels(site), 0.3, dates, dates=dates)
        write_maps(tmp_path / "maps", site.name, site.grid, pmaps, pmaps[0], pooled.legend)
    report = evaluate(tmp_path / "maps", pooled).report
    models = {r.model for r in report.rows if r.site == "all"}
    assert DATES[0] in models  # all sites have it
    assert DATES[1] not in models
    pixels = sum(int((read_labels(site) != IGNORE).sum()) for site in pooled.sites)
    assert row(report, Candidate.DATES, "test").pixels == pixels


def test_the_run_says_what_was_test(dataset: Dataset, tmp_path: Path) -> None:
    site = dataset.site("sim_test")
    pmaps = draw_pmaps(read_labels(site), 0.3, 0)
    write_maps(
        tmp_path / "maps",
        site.name,
        site.grid,
        pmaps,
        pmaps[0],
        dataset.legend,
        splits={"train": (site.name,), "test": ("elsewhere",)},
    )
    report = evaluate(tmp_path / "maps", dataset).report
    assert tuple(report.splits) == ("train",)
    assert "sim_test counts as train" in report.notes[0]

    both = {"train": (site.name,), "validation": (site.name,)}
    write_maps(
        tmp_path / "both",
        site.name,
        site.grid,
        pmaps,
        pmaps[0],
        dataset.legend,
        splits=both,
    )
    with pytest.raises(InputError, match="the dataset it was trained on"):
        evaluate(tmp_path / "both", dataset)


def test_without_convlstm_there_is_no_such_row(dataset: Dataset, tmp_path: Path) -> None:
    site = dataset.site("sim_test")
    pmaps = draw_pmaps(read_labels(site), 0.3, 0)
    fused = FUSIONS["mean"](pmaps, np.ones(pmaps[:, 0].shape, bool))
    write_maps(tmp_path / "maps", site.name, site.grid, pmaps, fused, dataset.legend, fusion="mean")
    report = evaluate(tmp_path / "maps", dataset).report
    assert {r.model for r in report.rows} == set(MODELS) - {Candidate.FUSED}
    assert report.paired == ()


def test_the_same_seed_gives_the_same_report(dataset: Dataset, tmp_path: Path) -> None:
    maps = map_all(tmp_path / "maps", dataset, only=["sim_test"])
    report = evaluate(maps, dataset).report
    again = evaluate(maps, dataset).report
    assert again.rows == report.rows
    other = evaluate(maps, dataset, seed=1).report
    assert [r.ci for r in other.rows] != [r.ci for r in report.rows]
    assert [r.iou for r in other.rows] == [r.iou for r in report.rows]


def test_a_site_without_labels_under_its_map_is_named(dataset: Dataset, tmp_path: Path) -> None:
    site = dataset.site("sim_train")
    blank = tmp_path / "blank.tif"
    ignored = np.full((1, *site.grid.shape), IGNORE, np.uint8)
    write_raster(blank, ignored, site.grid, nodata=IGNORE, names=["class"])
    sites = (replace(site, labels=blank, labels_sha256=sha256(blank)), dataset.site("sim_test"))
    partly = replace(dataset, sites=sites)
    report = evaluate(map_all(tmp_path / "maps", partly), partly).report
    assert {r.site for r in report.rows} == {"all", "sim_test"}
    assert any("sim_train is left out" in note for note in report.notes)


def test_a_report_names_its_models_when_it_is_printed(report: Report) -> None:
    import swath.lab.baselines  # noqa: F401 (it names its methods)

    names = [report.name(model) for model in dict.fromkeys(r.model for r in report.rows)]
    assert names == [
        *("U-NET 2019-03-11", "U-NET 2019-07-04", "U-NET 2019-10-07", "U-NET", "U-NET + ConvLSTM"),
        *("all-background", "all-road", "shifted mean (50 px)", "mean", "median", "vote", "max"),
    ]
    forest = names_of({"random-forest"}, "road", DATES[:1])
    assert forest[DATES[0]] == "random forest, one date 2019-03-11"
    assert forest[Candidate.FUSED] == "random forest"
    mixed = names_of({"random-forest", "u-tae"}, "road")
    assert (mixed[Candidate.DATES], mixed[Candidate.FUSED]) == ("one date", "fused")


def test_a_report_is_the_same_when_it_is_read_back(report: Report) -> None:
    written = json.loads(json.dumps(report.as_json(), allow_nan=False))
    assert Report.model_validate(written) == report
    assert written["rows"][0]["model"] == "2019-03-11"
    assert set(written["names"]["road"]) == {r["model"] for r in written["rows"]}


def test_scores_need_no_library_that_draws(dataset: Dataset, maps: Path) -> None:
    code = (
        "import sys\n"
        "sys.modules |= {'matplotlib': None, 'jinja2': None}\n"
        "from pathlib import Path\n"
        "from swath.dataset.catalog import read_dataset\n"
        "from swath.evaluation.evaluate import evaluate\n"
        f"dataset = read_dataset(Path({str(dataset.root)!r}))\n"
        f"report = evaluate(Path({str(maps)!r}), dataset).report\n"
        "assert report.table()[1].name == 'U-NET + ConvLSTM'\n"
    )
    subprocess.run([sys.executable, "-c", code], check=True)


def test_blocks_grow_with_the_largest_site() -> None:
    def grid(size: int) -> Grid:
        return Grid.from_bounds((0, 0, size * 10.0, size * 10.0), "EPSG:32630")

    assert plan_block_px([grid(512)], 1) == 64
    assert plan_block_px([grid(512), grid(10980)], 1) == 256
    assert plan_block_px([grid(512)], 2) == 128  # the same 640 m
