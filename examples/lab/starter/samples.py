"""Places as tensors on a device, and patches gathered from them at any turn, flip and scale."""

import math
from dataclasses import dataclass
from pathlib import Path
from typing import NamedTuple

import numpy as np
import torch
from numpy.typing import NDArray
from recipe import FAR_M, PIXEL_M, SPREADS, Recipe
from scipy.spatial import cKDTree
from torch import Tensor

from swath.grid import refine

NEAR_M = 60.0
"""Distances are measured up to here; beyond is `FAR_M`."""

UNSURE_M = 15.0
"""So near to an unsure line nothing counts."""

POINT_EVERY_M = 1.0
POINTS = 2048
"""Of so many points of its lines, or of anywhere, a place offers one for a patch to lie about."""


@dataclass(frozen=True, eq=False)
class Place:
    """A place in memory, lines turned into distances.

    Attributes:
        name, split, attribution: As of `places.py`.
        images: (T, H, W, 4) uint8, 0 = no data.
        xy, offsets: Its lines; none of a place without labels.
        line_m: (T or 1, nH, nW) float16, metres from a map pixel's centre to the nearest line's middle:
            of each date, or of all where no line changes. None: no labels.
        edge_m: The same to the road's edge with the target `class`, below 0 inside; else `line_m`.
        cover: (nH, nW) bool, where labels count.
    """

    name: str
    split: str
    attribution: str
    images: NDArray[np.uint8]
    xy: NDArray[np.float32]
    offsets: NDArray[np.int64]
    line_m: NDArray[np.float16] | None
    edge_m: NDArray[np.float16] | None
    cover: NDArray[np.bool_] | None

    @property
    def known(self) -> NDArray[np.bool_]:
        """(T, H, W), where there is data."""
        return self.images.any(axis=-1)

    @property
    def simulated(self) -> bool:
        """Whether it is no real place."""
        return self.split.startswith("simulated")


def read_place(path: Path, finer: int, target: str) -> Place:
    """Read a place of `places.py`, for maps of `finer` pixels to the side of an image pixel."""
    with np.load(path) as file:
        z = {name: file[name] for name in file.files}
    head = path.stem, str(z["split"]), str(z["attribution"]), z["images"]
    if "xy" not in z:
        return Place(*head, np.zeros((0, 2), np.float32), np.zeros(1, np.int64), None, None, None)
    xy, offsets, shape = z["xy"], z["offsets"], z["cover"].shape

    def shown(date: int) -> tuple[NDArray[np.float16], NDArray[np.float16]]:
        there = (z["since"] <= date) & (date < z["until"])
        line = distance_m(xy, offsets, there, shape, finer)
        if target != "class":
            return line, line
        edges = [
            distance_m(xy, offsets, there & (z["half_m"] == half), shape, finer) - half
            for half in np.unique(z["half_m"][there])
        ]
        return line, np.minimum.reduce(edges).astype(np.float16) if edges else line

    dates = len(z["images"])
    constant = bool(((z["since"] == 0) & (z["until"] >= dates)).all())
    lines, edges = zip(*(shown(date) for date in range(1 if constant else dates)), strict=True)
    unsure = np.ones(len(z["unsure_offsets"]) - 1, bool)
    doubt_m = distance_m(z["unsure_xy"], z["unsure_offsets"], unsure, shape, finer)
    cover = refine(z["cover"], finer) & (doubt_m > UNSURE_M)
    return Place(*head, xy, offsets, np.stack(lines), np.stack(edges), cover)


def points_along(
    xy: NDArray, offsets: NDArray, which: NDArray[np.bool_], every_m: float
) -> NDArray[np.float64]:
    """(N, 2) points on lines (column, row in image pixels), about `every_m` from one to the next."""
    owner = np.repeat(np.arange(len(offsets) - 1), np.diff(offsets))
    starts = np.flatnonzero((owner[:-1] == owner[1:]) & which[owner[:-1]]) if len(owner) else owner
    if not len(starts):
        return np.zeros((0, 2))
    first, step = xy[starts].astype(float), np.diff(xy.astype(float), axis=0)[starts]
    counts = np.maximum(1, np.hypot(*step.T) * PIXEL_M / every_m).astype(int)
    number = np.arange(counts.sum()) - np.repeat(np.cumsum(counts) - counts, counts)
    share = (number + 0.5) / np.repeat(counts, counts)
    return np.repeat(first, counts, axis=0) + np.repeat(step, counts, axis=0) * share[:, None]


def distance_m(
    xy: NDArray, offsets: NDArray, which: NDArray[np.bool_], shape: tuple[int, int], finer: int
) -> NDArray[np.float16]:
    """(nH, nW) metres from a map pixel's centre to the nearest of some lines; `FAR_M` beyond `NEAR_M`."""
    points = points_along(xy, offsets, which, POINT_EVERY_M)
    height, width = (finer * side for side in shape)
    if not len(points):
        return np.full((height, width), FAR_M, np.float16)
    centres = (np.stack(np.mgrid[:height, :width][::-1], axis=-1) + 0.5) / finer
    found, _ = cKDTree(points).query(centres.reshape(-1, 2), distance_upper_bound=NEAR_M / PIXEL_M)
    metres = np.where(np.isfinite(found), found * PIXEL_M, FAR_M)
    return metres.reshape(height, width).astype(np.float16)


def spreads(images: Tensor) -> Tensor:
    """8 bits of a place as spreads from the median."""
    low, high = SPREADS
    return (images.float() - 1) * ((high - low) / 254) + low


class Batch(NamedTuple):
    """Patches, each of its image pixels (s) and its map pixels (ns).

    Attributes:
        images: (B, 4, s, s) in spreads.
        known: (B, s, s) bool.
        distance_m: (B, ns, ns) to the road, as of `Place.edge_m`.
        use: (B, ns, ns) bool, where labels count.
        taught: (B, ns, ns) what teachers see, 0..1; -1 where they saw nothing.
    """

    images: Tensor
    known: Tensor
    distance_m: Tensor
    use: Tensor
    taught: Tensor


class Frame(NamedTuple):
    """Where patches lie: centres (B, 2) in pixels, and cos and sin (B,) of their turns times their zoom."""

    centre: Tensor
    cos: Tensor
    sin: Tensor
    flip: Tensor
    px: int

    def coordinates(self, finer: int) -> tuple[Tensor, Tensor]:
        """(B, ns, ns) rows and columns of the pixels' centres, counted in map pixels of the place."""
        column, row = (part.view(-1, 1, 1) for part in self.centre.unbind(1))
        cos, sin, flip = (part.view(-1, 1, 1) for part in (self.cos, self.sin, self.flip))
        along = (torch.arange(self.px * finer, device=cos.device) + 0.5) / finer - 0.5 - (self.px - 1) / 2
        down, right = along.view(1, -1, 1), along.view(1, 1, -1) * flip
        rows, columns = row - 0.5 + down * cos - right * sin, column - 0.5 + down * sin + right * cos
        return (rows + 0.5) * finer - 0.5, (columns + 0.5) * finer - 0.5


class Corpus:
    """Places one after another in flat tensors, so that a batch of any of them is one gathering."""

    def __init__(self, places: list[Place], finer: int, device: torch.device) -> None:
        self.places, self.finer, self.device = places, finer, device
        self.dates = self._tensor([len(place.images) for place in places])
        self.shape = self._tensor([place.images.shape[1:3] for place in places])
        self.images, self.image_at = self._flat([list(place.images) for place in places])
        labels = [[] if place.edge_m is None else list(place.edge_m) for place in places]
        # A label of all dates is that of each.
        labels = [
            maps * len(place.images) if len(maps) == 1 else maps
            for maps, place in zip(labels, places, strict=True)
        ]
        self.labels, self.label_at = self._flat(labels)
        self.cover, self.cover_at = self._flat([[] if p.cover is None else [p.cover] for p in places])
        self.points = self._tensor(np.stack([_points(place) for place in places]))
        self.teach([None] * len(places))

    def _tensor(self, values: object) -> Tensor:
        return torch.as_tensor(values, device=self.device)

    def _flat(self, layers: list[list[NDArray]]) -> tuple[Tensor | None, Tensor]:
        """Layers (h, w, ...) of each place in one tensor; (places, T) where each begins, -1: none."""
        begins = np.full((len(layers), max(len(place.images) for place in self.places)), -1, np.int64)
        parts: list[NDArray] = []
        at, where = 0, {}
        for number, maps in enumerate(layers):
            for layer, one in enumerate(maps):
                if id(one) not in where:
                    where[id(one)] = at
                    parts.append(one.reshape(-1, *one.shape[2:]))
                    at += len(parts[-1])
                begins[number, layer] = where[id(one)]
        return (self._tensor(np.concatenate(parts)) if parts else None), self._tensor(begins)

    def teach(self, maps: list[NDArray[np.floating] | None]) -> None:
        """What teachers see of each place: (nH, nW) 0..1, or None."""
        layers = [[] if seen is None else [np.rint(seen * 255).astype(np.uint8)] for seen in maps]
        self.taught, self.taught_at = self._flat(layers)

    def image(self, number: int, date: int) -> tuple[Tensor, Tensor]:
        """A date of a place: (1, 4, H, W) in spreads, and (1, H, W) bool, where it is known."""
        bits = self._tensor(self.places[number].images[date])
        return spreads(bits).permute(2, 0, 1)[None], (bits != 0).any(-1)[None]

    def sample(self, places: Tensor, recipe: Recipe) -> Batch:
        """One patch of a random date of each of some places (B,), given by number."""
        frame = self._frames(places, recipe)
        date = (torch.rand(len(places), device=self.device) * self.dates[places]).long()
        date = date.minimum(self.dates[places] - 1)
        images, known = self._images(places, self.image_at[places, date], frame)
        height, width = (self.finer * side.view(-1, 1, 1) for side in self.shape[places].unbind(1))
        rows, columns = frame.coordinates(self.finer)
        inside = (rows >= 0) & (columns >= 0) & (rows <= height - 1) & (columns <= width - 1)

        def flat(row: Tensor, column: Tensor) -> Tensor:
            row, column = row.long().clamp_min(0), column.long().clamp_min(0)
            return row.minimum(height - 1) * width + column.minimum(width - 1)

        nearest = flat(rows.round(), columns.round())
        distance, use = torch.zeros_like(rows), torch.zeros_like(inside)
        if self.labels is not None:
            begin = self.label_at[places, date].view(-1, 1, 1)
            top, left = rows.floor().clamp_min(0), columns.floor().clamp_min(0)
            down, right = (rows - top).clamp(0, 1), (columns - left).clamp(0, 1)
            for r, dr in ((0, 1 - down), (1, down)):
                for c, dc in ((0, 1 - right), (1, right)):
                    distance += self.labels[begin.clamp_min(0) + flat(top + r, left + c)].float() * dr * dc
            # Ground that is shown larger or smaller has its roads at their own width all the same.
            distance /= torch.hypot(frame.cos, frame.sin).view(-1, 1, 1)
            cover = self.cover_at[places, 0].view(-1, 1, 1).clamp_min(0)
            use = inside & (begin >= 0) & self.cover[cover + nearest]
        taught = torch.full_like(rows, -1)
        if self.taught is not None:
            begin = self.taught_at[places, 0].view(-1, 1, 1)
            seen = self.taught[begin.clamp_min(0) + nearest].float() / 255
            taught = torch.where(inside & (begin >= 0), seen, taught)
        return Batch(images, known, distance, use, taught)

    def _frames(self, places: Tensor, recipe: Recipe) -> Frame:
        count, px = len(places), recipe.patch_px

        def rand(*shape: int) -> Tensor:
            return torch.rand(*shape, device=self.device)

        sides = self.shape[places].flip(1)  # width, height
        point = self.points[places, torch.randint(0, POINTS, (count,), device=self.device)]
        about = point + (rand(count, 2) - 0.5) * px * 0.8
        anywhere = px * 0.3 + rand(count, 2) * (sides - px * 0.6).clamp_min(1)
        centre = torch.where((rand(count) < recipe.near)[:, None], about, anywhere)
        free = rand(count) < recipe.free
        quarters = torch.randint(0, 4, (count,), device=self.device) * (math.pi / 2)
        turn = torch.where(free, rand(count) * 2 * math.pi, quarters)
        zoom = torch.exp((rand(count) * 2 - 1) * math.log(recipe.zoom)).where(free, torch.ones_like(turn))
        centre = torch.where(free[:, None], centre, centre.floor() + recipe.offset_px)
        flip = torch.where(rand(count) < 0.5, -1.0, 1.0)
        return Frame(centre, torch.cos(turn) * zoom, torch.sin(turn) * zoom, flip, px)

    def _images(self, places: Tensor, begin: Tensor, frame: Frame) -> tuple[Tensor, Tensor]:
        """Between pixels as by their distance; known where all that weigh are."""
        height, width = (side.view(-1, 1, 1) for side in self.shape[places].unbind(1))
        (top, down), (left, right) = (_whole(part) for part in frame.coordinates(1))
        images, known = torch.zeros(()), torch.ones((), dtype=torch.bool, device=self.device)
        images = images.to(self.device)
        for r, dr in ((0, 1 - down), (1, down)):
            for c, dc in ((0, 1 - right), (1, right)):
                row, column = (top + r).long(), (left + c).long()
                inside = (row >= 0) & (column >= 0) & (row < height) & (column < width)
                at = row.clamp_min(0).minimum(height - 1) * width + column.clamp_min(0).minimum(width - 1)
                bits = self.images[begin.view(-1, 1, 1) + at]
                weight = dr * dc
                images = images + spreads(bits) * weight[..., None]
                known = known & (((bits != 0).any(-1) & inside) | (weight == 0))
        return images.permute(0, 3, 1, 2), known


def _whole(position: Tensor) -> tuple[Tensor, Tensor]:
    """The pixel before each position and how far beyond; what is almost at a pixel is there."""
    before = position.floor()
    beyond = position - before
    before, beyond = torch.where(beyond > 0.999, before + 1, before), torch.where(beyond > 0.999, 0.0, beyond)
    return before, torch.where(beyond < 0.001, 0.0, beyond)


def _points(place: Place) -> NDArray[np.float32]:
    """(`POINTS`, 2) points of a place's lines within it, or of anywhere, as column and row."""
    rng = np.random.default_rng(0)
    height, width = place.images.shape[1:3]
    within = (place.xy > 0).all(axis=1) & (place.xy < (width, height)).all(axis=1)
    points = place.xy[within]
    if not len(points):
        points = rng.uniform(0, 1, (64, 2)) * (width, height)
    return points[rng.integers(0, len(points), POINTS)].astype(np.float32)
