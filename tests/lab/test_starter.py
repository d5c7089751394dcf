"""The recipe of the starter weights: the whole way on tiny places, and its parts by numbers."""

import json
import sys
from collections.abc import Iterator
from importlib import import_module
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest
import torch

from conftest import PROJECT
from swath.models.trained import load_model
from swath.sites.schema import read_sites_file

STARTER = PROJECT / "examples" / "lab" / "starter"
NAMES = ("recipe", "places", "samples", "weather", "scores", "unet", "fusion", "finetune")
SIDE_PX = 64


@pytest.fixture(scope="module")
def starter() -> Iterator[SimpleNamespace]:
    """The scripts, as modules; they find one another as they do when run."""
    with pytest.MonkeyPatch.context() as patch:
        patch.syspath_prepend(STARTER)
        yield SimpleNamespace(**{name: import_module(name) for name in NAMES})
        for name in NAMES:
            sys.modules.pop(name)


def corpus_place(path: Path, dates: int) -> None:
    """A place as `simulated-corpus.py` writes it: a dark road from west to east, built at the last date."""
    rng = np.random.default_rng(1)
    images = rng.integers(900, 1100, (dates, 4, SIDE_PX, SIDE_PX)).astype(np.uint16)
    images[-1, :, 32:34] = 600
    known = np.ones((dates, SIDE_PX, SIDE_PX), bool)
    known[0, :10] = False
    np.savez(
        path,
        images=images,
        known=known,
        lines_xy=np.array([(0, 33), (SIDE_PX, 33), (5, 0), (5, SIDE_PX)], np.float32),
        offsets=np.array([0, 2, 4]),
        width_m=np.array([20, 4], np.float32),
        since=np.array([dates - 1, 0], np.int16),
        until=np.array([dates, dates], np.int16),
        attribution=np.array("Simulated"),
        crs=np.array("EPSG:32631"),
        transform=np.array([10.0, 0, 500_000, 0, -10, 5_000_000]),
        **{"class": np.array(["primary", "track"])},
    )


@pytest.fixture(scope="module")
def places(starter: SimpleNamespace, tiny_world: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Three sites as real places, and two of a corpus, of which no network learns from the second."""
    out = tmp_path_factory.mktemp("places")
    corpus = tmp_path_factory.mktemp("corpus")
    corpus_place(corpus / "000-road.npz", 2)
    corpus_place(corpus / "056-road.npz", 6)
    starter.places.main(["real", str(_with_image(tiny_world)), str(out)])
    starter.places.main(["simulated", str(corpus), str(out)])
    return out


def _with_image(sites: Path) -> Path:
    from swath.sentinel2 import ImageSettings
    from swath.sites.schema import write_sites_file

    image = ImageSettings(bands=("B04", "B03", "B02", "B08"), encoding="standardised", optional=("B08",))
    path = sites.parent / "standardised.yaml"
    write_sites_file(path, read_sites_file(sites).model_copy(update={"image": image}), "")
    return path


TINY = ("width=4", "steps=2", "batch=3", "patch_px=32")


def test_the_whole_way(starter: SimpleNamespace, places: Path, tmp_path: Path) -> None:
    runs = tmp_path / "runs"
    starter.unet.main(["teacher", str(places), str(runs), "--set", *TINY])
    starter.unet.main(
        ["student", str(places), str(runs), "--teachers", str(runs / "teacher"), "--set", *TINY]
    )
    starter.fusion.main(
        [str(runs / "student"), str(places), str(tmp_path / "run"), "--set", "steps=2", "patch_px=16"]
    )

    model = load_model(tmp_path / "run")
    assert model.spec.splits == {"train": ["000-road", "sim_train"]}  # never from validation or test
    assert (model.spec.finer, model.spec.image.optional) == (2, ("B08",))
    rows = [json.loads(line) for line in (runs / "scores.jsonl").read_text("utf-8").splitlines()]
    assert [(row["name"], row["looks"]) for row in rows] == [
        ("teacher", 1),
        ("teachers of student", 8),
        ("student", 1),
    ]
    assert set(rows[0]["scores"]) == {f"sim_{s}/{d}" for s in ("test", "validation") for d in ("1", "all")}


def test_going_on_from_the_starter(starter: SimpleNamespace, places: Path, tmp_path: Path) -> None:
    starter.finetune.main(["on", str(places), str(tmp_path), "--set", *TINY])
    rows = [json.loads(line) for line in (tmp_path / "scores.jsonl").read_text("utf-8").splitlines()]
    assert [row["name"] for row in rows] == ["starter", "on", "on-half"]
    before, after, half = (
        next(iter(torch.load(tmp_path / f"{name}.pt", weights_only=True).values()))
        for name in ("starter", "on", "on-half")
    )
    assert not torch.equal(before, after)
    torch.testing.assert_close(half, (before + after) / 2)


def test_distances_are_those_to_the_line(starter: SimpleNamespace, places: Path) -> None:
    place = starter.samples.read_place(places / "056-road.npz", 2, "class")

    # Row 65 of 5 m has its centre 2.5 m above the line, which lies at row 33 of 10 m; 20 m wide.
    assert place.line_m[-1][65, 40] == pytest.approx(2.5, abs=0.1)
    assert place.edge_m[-1][65, 40] == pytest.approx(2.5 - 10, abs=0.1)
    assert (place.line_m[0] == starter.recipe.FAR_M).all()  # not yet built
    assert not place.cover[:, 10].any()  # a track: neither road nor ground
    assert place.cover[:, 20].all()


def aligned(starter: SimpleNamespace, places: Path, **changes: object) -> tuple[Any, Any]:
    place = starter.samples.read_place(places / "000-road.npz", 2, "15")
    corpus = starter.samples.Corpus([place], 2, torch.device("cpu"))
    recipe = starter.recipe.Recipe(free=0.0, near=0.0, patch_px=16, **changes)
    torch.manual_seed(0)
    return place, corpus.sample(torch.zeros(64, dtype=torch.int64), recipe)


def test_patches_of_quarter_turns_are_the_image(starter: SimpleNamespace, places: Path) -> None:
    place, batch = aligned(starter, places)

    everything = set(np.round(starter.samples.spreads(torch.tensor(range(256))).numpy(), 4).tolist())
    inside = batch.images.permute(0, 2, 3, 1)[batch.known]
    assert set(np.round(inside.numpy(), 4).ravel().tolist()) <= everything
    assert place.images.min() == 0  # the masked rows
    road = batch.distance_m <= 7.5
    assert road.any()
    # The road is 4 map pixels of 5 m wide, whichever way the patch is turned.
    assert int(torch.minimum(road.sum(1).amax(1), road.sum(2).amax(1)).max()) == 4


def test_the_weights_patches_are_the_mean_of_four_pixels(starter: SimpleNamespace, places: Path) -> None:
    _, sharp = aligned(starter, places)
    _, soft = aligned(starter, places, offset_px=0.5)

    # White noise over four pixels has half of the deviation.
    spread = [
        batch.images.permute(0, 2, 3, 1)[batch.known & (batch.distance_m[:, ::2, ::2] > 30)].std()
        for batch in (soft, sharp)
    ]
    assert float(spread[0] / spread[1]) == pytest.approx(0.5, abs=0.1)


def test_weather_changes_days_and_takes_the_infrared(starter: SimpleNamespace) -> None:
    torch.manual_seed(0)
    images = torch.zeros(8, 4, 32, 32)

    without = starter.weather.weathered(images, clouds=0.0, missing=1.0)
    clouded = starter.weather.weathered(images, clouds=1.0, missing=0.0)

    assert (without[:, 3] == 0).all()
    assert without[:, :3].std() > 0.1
    assert clouded.amax() > 4  # spreads: far above any ground


def test_the_loss_of_sure_labels_is_that_of_swath(starter: SimpleNamespace) -> None:
    from swath.training.loss import CrossEntropyLogIoU

    torch.manual_seed(0)
    logits, label = torch.randn(2, 2, 8, 8), torch.randint(0, 2, (2, 8, 8))
    label[0, :3] = 255

    loss = starter.unet.loss_of(logits, (label == 1).float(), label != 255, 0.7)

    torch.testing.assert_close(loss, CrossEntropyLogIoU(0.7)(logits, label))


def test_a_map_of_the_lines_is_perfect(starter: SimpleNamespace, places: Path) -> None:
    place = starter.samples.read_place(places / "056-road.npz", 2, "15")
    road = (place.line_m[-1] <= 7.5).astype(np.float32)

    average, *f1, _ = starter.scores.score(road, place, place.known[-1])

    assert average == 1
    assert min(f1) > 0.95


@pytest.mark.data
def test_places_lead_to_data(starter: SimpleNamespace, data_dir: Path, tmp_path: Path) -> None:
    sites = STARTER / "places.yaml"
    if not (STARTER / "../../../../shared/data/real").is_dir():
        pytest.skip("the data set does not lie beside the project")
    arrays = starter.places.real_place("norcia", read_sites_file(sites), STARTER)

    assert arrays["images"].shape[::3] == (2, 4)
    assert 0.85 < arrays["cover"].mean() < 0.95
    median = np.median(starter.samples.spreads(torch.from_numpy(arrays["images"])), axis=(1, 2))
    np.testing.assert_allclose(median, 0, atol=0.1)
