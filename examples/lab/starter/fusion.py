"""Teaches the fusion of a run of `unet.py` which dates to trust, and writes the run that maps.

    python fusion.py RUN PLACES OUT [--network unet-attention] [--seed 0] [--set steps=700 ...]

RUN: a U-Net; OUT: the folder of the whole model, for `swath map OUT ...`. Scores are printed: of places that
are never learnt from, for the mean and the median of the dates and for the fusion; and of simulated places
that no network has seen, how soon roads that were built or vanished are so on the map.
"""

import argparse
import sys
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch
from numpy.typing import NDArray
from recipe import FAR_M, FusionRecipe
from samples import Place, distance_m, read_place, spreads
from scipy.ndimage import distance_transform_edt, gaussian_filter
from scores import ROAD_M, score
from torch import Tensor
from torch.nn import functional
from unet import Learner, device_of, loss_of, pmap
from weather import weathered

from swath.dataset.augment import transform
from swath.grid import refine
from swath.metrics.histogram import class_score
from swath.models.network import FusionNetwork, ImageNetwork
from swath.models.trained import TrainedModel, build_fusion, load_model, save_model

PMAP_STEPS = 254
"""MAPS keep PMaps in so many steps; the fusion reads what is kept."""

FILL_PX = 2.0
"""Erased ground is the mean of what lies about so far away."""

SURE = 0.4
"""What a map must say for a road to be drawn where changes are scored."""

THREES = ((0, 2, 5), (1, 4, 6), (0, 4, 7), (2, 5, 6))
"""Of eight dates, the series of three that are scored."""

FOURS = ((0, 1, 2, 3), (1, 2, 3, 4), (2, 3, 4, 5), (0, 2, 3, 5), (0, 1, 4, 5))
"""Of six dates, the series in which changes are scored."""


@dataclass(frozen=True, eq=False)
class Seen:
    """A place as a U-Net saw it: (T, nH, nW) uint8 shares of road x 254.

    Attributes:
        place: What it is.
        plain: Of each date.
        other_day: On other days; of simulated places, whose own days differ, and of such as are not learnt
            from: `plain`.
        erased, erased_other_day: The same where roads were erased.
    """

    place: Place
    plain: NDArray[np.uint8]
    other_day: NDArray[np.uint8]
    erased: NDArray[np.uint8]
    erased_other_day: NDArray[np.uint8]


def erase(place: Place, recipe: FusionRecipe) -> NDArray[np.uint8]:
    """A place's images without its roads: there lies the ground beside them, and noise."""
    shape = place.images.shape[1:3]
    every = np.ones(len(place.offsets) - 1, bool)
    road = distance_m(place.xy, place.offsets, every, shape, 1) <= recipe.erase_m
    rng = np.random.default_rng(0)
    images = place.images.copy()
    for image, known in zip(images, place.known, strict=True):
        ground = known & ~road
        if not ground.any():
            continue
        rows, columns = distance_transform_edt(~ground, return_distances=False, return_indices=True)
        weight = gaussian_filter(ground.astype(np.float32), FILL_PX)
        for band in range(image.shape[-1]):
            one = image[..., band].astype(np.float32)
            mean = gaussian_filter(one * ground, FILL_PX) / np.maximum(weight, 1e-6)
            fill = np.where(weight > 0.01, mean, one[rows, columns])
            fill = np.clip(np.rint(fill + rng.normal(0, recipe.erase_noise, shape)), 1, 255)
            image[..., band] = np.where(road & known, fill, image[..., band])
    return images


def look(network: ImageNetwork, images: NDArray[np.uint8], recipe: FusionRecipe | None) -> NDArray[np.uint8]:
    """The U-Net's shares of road of each date (T, H, W, 4); on another day where a recipe is given."""
    device = next(network.parameters()).device
    maps = []
    for image in images:
        bits = torch.as_tensor(image, device=device)
        known, x = (bits != 0).any(-1)[None], spreads(bits).permute(2, 0, 1)[None]
        if recipe is not None:
            height, width = x.shape[-2:]
            side = max(height, width)  # weather falls on squares
            x = functional.pad(x, (0, side - width, 0, side - height))
            x = weathered(x, recipe.clouds, recipe.missing)[..., :height, :width]
        road = class_score(pmap(network, x, known).cpu().numpy(), 1)
        maps.append(np.rint(road * PMAP_STEPS).astype(np.uint8))
    return np.stack(maps)


def see(network: ImageNetwork, place: Place, recipe: FusionRecipe) -> Seen:
    """All that the fusion learns from of a place."""
    plain = look(network, place.images, None)
    if place.split != "train":
        return Seen(place, plain, plain, plain, plain)
    erased = erase(place, recipe)
    other_days = look(network, place.images, recipe), look(network, erased, recipe)
    return Seen(place, plain, other_days[0], look(network, erased, None), other_days[1])


@dataclass(frozen=True, eq=False)
class Series:
    """A patch: road, known (T, s, s), distance_m to the line, use and changes (s, s)."""

    road: NDArray[np.float32]
    known: NDArray[np.bool_]
    distance_m: NDArray[np.float32]
    use: NDArray[np.bool_]
    changes: NDArray[np.bool_]


def draw_series(seen: Seen, dates: int, recipe: FusionRecipe, rng: np.random.Generator) -> Series:
    """A patch of some dates of a place, oldest first; those of a place that has fewer come again."""
    place = seen.place
    images, height, width = place.known.shape
    which = np.sort(rng.choice(images, dates, replace=dates > images))
    side = min(recipe.patch_px, height, width)
    row, column = rng.integers(0, height - side + 1), rng.integers(0, width - side + 1)
    inner = np.s_[row : row + side, column : column + side]
    finer = seen.plain.shape[-1] // width
    window = tuple(slice(part.start * finer, part.stop * finer) for part in inner)
    known = refine(place.known[which][:, *inner], finer).copy()
    line = place.line_m[which[-1] if len(place.line_m) > 1 else 0][window].astype(np.float32)
    if place.simulated:
        before = place.line_m[which[0] if len(place.line_m) > 1 else 0][window]
        changes = (before <= ROAD_M / 2) != (line <= ROAD_M / 2)
        road = seen.plain[which][:, *window]
    else:
        changes = blob(side * finer, rng)
        changes &= dates > 1 and rng.random() < recipe.changed_share
        old = np.arange(dates) < rng.integers(1, max(dates, 2))
        gone = rng.random() < recipe.gone
        road = np.stack(
            [
                np.where(
                    changes & (before != gone),
                    (seen.erased_other_day if other else seen.erased)[date][window],
                    (seen.other_day if other else seen.plain)[date][window],
                )
                for date, before, other in zip(which, old, rng.random(dates) < recipe.day, strict=True)
            ]
        )
        line = np.where(changes & gone, FAR_M, line)
    road = road.astype(np.float32) / PMAP_STEPS
    for at in range(dates - 1):  # the newest date is what is mapped
        if rng.random() < recipe.lost:
            known[at] = False
        if rng.random() < recipe.moved:
            move = tuple(rng.integers(-recipe.move_px, recipe.move_px + 1, 2))
            road[at] = np.roll(road[at], move, (0, 1))
    turn = int(rng.integers(8))
    return Series(
        *(transform(part, turn).copy() for part in (road, known, line, place.cover[window], changes))
    )


def blob(side: int, rng: np.random.Generator) -> NDArray[np.bool_]:
    """(side, side) a smooth part of a patch, from a little to nearly all of it."""
    knots = torch.from_numpy(rng.normal(size=(1, 1, 4, 4)).astype(np.float32))
    field = functional.interpolate(knots, size=(side, side), mode="bicubic", align_corners=True)
    return field[0, 0].numpy() > rng.uniform(-0.2, 1.0)


def stacked(road: Tensor) -> Tensor:
    """(..., nH, nW) shares of road as PMaps (..., 2, nH, nW)."""
    return torch.stack([1 - road, road], dim=-3)


def learn_fusion(
    fusion: FusionNetwork, real: list[Seen], simulated: list[Seen], recipe: FusionRecipe, seed: int
) -> FusionNetwork:
    """A fusion that has learnt which dates to trust where."""
    rng, device = np.random.default_rng(seed), device_of()
    learner = Learner(fusion.to(device), recipe)
    for step in range(recipe.steps):
        dates = 1 + int(rng.choice(len(recipe.lengths), p=recipe.lengths))
        drawn = []
        for _ in range(max(3, recipe.dates_a_batch // dates)):
            group = real if not simulated or (real and rng.random() < recipe.real) else simulated
            drawn.append(draw_series(group[rng.integers(len(group))], dates, recipe, rng))
        road, known, line, use, changes = (
            torch.from_numpy(np.stack([getattr(one, part) for one in drawn])).to(device)
            for part in ("road", "known", "distance_m", "use", "changes")
        )
        weight = (use & known.any(1)).float() * (1 + recipe.weight * changes.float())
        logits = fusion(stacked(road), known)
        loss = loss_of(logits, (line <= ROAD_M / 2).float(), weight, recipe.loss_weight)
        learner.step(loss)
        if step % 100 == 0:
            sys.stderr.write(f"{step} of {recipe.steps}: loss {float(loss.detach()):.3f}\n")
    return learner.learnt()


@torch.no_grad()
def sober(fusion: FusionNetwork, recipe: FusionRecipe) -> FusionNetwork:
    """A `unet-since` that needs more to see a change, and is the very mean where it sees none."""
    parameters = dict(fusion.named_parameters())
    if "score.bias" in parameters:  # other fusions have no score of a change
        parameters["score.bias"] -= recipe.prior
        parameters["gain"].fill_(1)
        parameters["shift"].fill_(0)
    return fusion


@torch.inference_mode()
def fused(fusion: FusionNetwork, seen: Seen, dates: tuple[int, ...]) -> dict[str, NDArray[np.float32]]:
    """(nH, nW) road, 0..1, of some dates of a place: by their mean, their median and the fusion."""
    device = next(fusion.parameters()).device
    road = seen.plain[list(dates)].astype(np.float32) / PMAP_STEPS
    known = refine(seen.place.known[list(dates)], road.shape[-1] // seen.place.images.shape[2])
    given = stacked(torch.from_numpy(road).to(device))[None], torch.from_numpy(known).to(device)[None]
    learnt = torch.sigmoid(fusion(*given))[0].cpu().numpy()
    mean = (road * known).sum(0) / np.maximum(known.sum(0), 1)
    return {"mean": mean, "median": np.median(road, 0), "fusion": class_score(learnt, 1)}


def score_places(fusion: FusionNetwork, places: list[Seen]) -> None:
    """Print the scores of `scores.score` of series of real places."""
    for seen in places:
        every = tuple(range(len(seen.plain)))
        for name, sets in {"all": (every,), "3": THREES if len(every) >= 8 else ()}.items():
            rows: dict[str, list[list[float]]] = {}
            for dates in sets:
                known = seen.place.known[list(dates)].all(axis=0)
                for model, road in fused(fusion, seen, dates).items():
                    rows.setdefault(model, []).append(score(road, seen.place, known, dates[-1]))
            for model, row in rows.items():
                sys.stdout.write(
                    f"{seen.place.name}/{name} {model} {np.round(np.mean(row, 0), 3).tolist()}\n"
                )


def score_changes(fusion: FusionNetwork, places: list[Seen]) -> None:
    """Print, of series of four dates, how a map shows what changed `after` dates before the last.

    Recall of roads that were built; the share of vanished ones that is still drawn; F1 of unchanged pixels.
    """
    sums: dict[tuple[str, int], NDArray[np.int64]] = {}
    for seen in places:
        if len(seen.place.line_m) < 6:
            continue
        for dates in FOURS:
            line_m = seen.place.line_m[list(dates)]
            road, off = line_m <= ROAD_M / 2, line_m > ROAD_M
            known = refine(seen.place.known[list(dates)].all(0), len(line_m[0]) // seen.place.known.shape[1])
            same = known & (road == road[-1]).all(0)
            maps = fused(fusion, seen, dates)
            for after in (1, 2, 3):
                built = known & road[-after] & ~road[-after - 1] & road[-1]
                vanished = known & road[0] & road[-after - 1] & off[-after] & off[-1]
                for model, shown in maps.items():
                    drawn = shown > SURE
                    counts = [
                        (drawn & built, built),
                        (drawn & vanished, vanished),
                        (drawn & road[-1] & same, drawn & same),
                        (road[-1] & same, same),
                    ]
                    numbers = np.array([[part.sum() for part in pair] for pair in counts])
                    sums[model, after] = sums.get((model, after), 0) + numbers
    for (model, after), ((new, built), (still, vanished), (hits, drawn), (roads, _)) in sorted(sums.items()):
        sys.stdout.write(
            f"{model}, {after} dates since: built {new / max(built, 1):.3f}, vanished but drawn "
            f"{still / max(vanished, 1):.3f}, F1 unchanged {2 * hits / max(drawn + roads, 1):.3f}\n"
        )


def main(argv: list[str] | None = None) -> None:
    """Learn, keep and score the fusion of one U-Net."""
    parser = argparse.ArgumentParser(description="A fusion of the recipe; see the head of this file.")
    parser.add_argument("run", type=Path)
    parser.add_argument("places", type=Path)
    parser.add_argument("out", type=Path)
    parser.add_argument("--network", default="unet-attention")
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--set", nargs="*", default=[], dest="settings")
    a = parser.parse_args(argv)
    recipe, model = FusionRecipe().changed(a.settings), load_model(a.run)
    unet = model.fcn.to(device_of()).eval()
    torch.manual_seed(a.seed)
    places = [read_place(path, model.spec.finer, str(ROAD_M)) for path in sorted(a.places.glob("*.npz"))]
    seen: dict[str, list[Seen]] = {}
    for place in places:
        if place.line_m is not None:
            seen.setdefault(place.split, []).append(see(unet, place, recipe))
    # Ground that the U-Net learnt from shows itself too well: half of it is enough.
    simulated = seen.get("simulated fusion", []) + seen.get("simulated train", [])[::2]
    real = seen.get("train", [])
    sizes = model.spec.sizes | {"hidden": recipe.hidden, "layers": recipe.layers}
    spec = model.spec.model_copy(update={"name": a.network, "sizes": sizes, "dates": len(recipe.lengths)})
    fusion = sober(learn_fusion(build_fusion(spec), real, simulated, recipe, a.seed), recipe)
    a.out.mkdir(parents=True, exist_ok=True)
    save_model(a.out, TrainedModel(spec, unet, fusion), half=True)
    score_places(
        fusion, [s for split in ("validation", "test") for s in seen.get(split, []) if len(s.plain) > 1]
    )
    score_changes(fusion, seen.get("simulated test", []))


if __name__ == "__main__":
    main()
