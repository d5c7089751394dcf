"""A layout becomes a series of pictures: the ground in blocks, then each day's light and air."""

from collections.abc import Iterator, Sequence
from itertools import product

import numpy as np
from numpy.typing import NDArray

from swath.grid import Window
from swath.sentinel2 import check_bands
from swath.simulate.air import through_air
from swath.simulate.climate import Climate
from swath.simulate.day import Day
from swath.simulate.ground import Ground, Painter
from swath.simulate.houses import Density, add_houses
from swath.simulate.layout import Layout, exists
from swath.simulate.light import illuminate
from swath.simulate.materials import BANDS
from swath.simulate.parameters import BLOCK_PX, CELLS_PER_PX, HALO_PX, Parameters
from swath.simulate.sensor import band_shifts, gather, measure


def plan_blocks(shape: tuple[int, int]) -> list[Window]:
    """The blocks that a picture is drawn in; they touch and do not overlap."""
    whole = Window(0, 0, *shape)
    corners = product(range(0, shape[0], BLOCK_PX), range(0, shape[1], BLOCK_PX))
    return [Window(*corner, BLOCK_PX, BLOCK_PX).intersect(whole) for corner in corners]


class Renderer:
    """Draws the surface of a layout block by block, then pictures of it day by day."""

    def __init__(
        self,
        layout: Layout,
        climate: Climate,
        days: Sequence[Day],
        bands: Sequence[str],
        parameters: Parameters,
    ) -> None:
        """Prepare a layout; nothing is drawn yet.

        Raises:
            InputError: A band that is not simulated, or one twice.
        """
        check_bands(bands, BANDS)
        self._bands = tuple(map(BANDS.index, bands))
        self._climate, self._days, self._parameters = climate, tuple(days), parameters
        density = Density(layout)
        self.layout = add_houses(layout, density, parameters.fill)
        self._painter = Painter(self.layout, density, climate, parameters.fill)
        # Dates at which the same things exist share their ground.
        tables = [t for t in (layout.lines, layout.scenery) if t is not None]
        self._states = [
            b"".join(exists(table, at).tobytes() for table in tables) for at in range(len(self._days))
        ]
        shape = layout.grid.shape
        self.blocks = plan_blocks(shape)
        # Reflectance x 20000 as uint16 keeps a quarter of what float64 would take, and loses less
        # than the noise.
        self._surface = np.zeros((len(self._days), len(self._bands), *shape), np.uint16)

    def draw(self, block: Window) -> None:
        """Draw the surface of one of `blocks` on all days."""
        wide = block.grow(HALO_PX)
        n = CELLS_PER_PX
        cells = Window(wide.row * n, wide.col * n, wide.height * n, wide.width * n)
        rows, cols = block.slices
        grounds: dict[bytes, Ground] = {}
        for at, day in enumerate(self._days):
            state = self._states[at]
            if state not in grounds:
                grounds[state] = self._painter.paint(wide, at)
            ground = grounds[state]
            lit = illuminate(ground, cells, day, self._climate, self._bands, self._parameters)
            optics = self._parameters.optics
            shifts = band_shifts(day.shift_px, len(BANDS), day.seed, optics)[list(self._bands)]
            pixels = gather(lit, shifts, optics)
            self._surface[at, :, rows, cols] = np.clip(np.rint(pixels * 20_000), 0, 65_535)

    def pictures(self) -> Iterator[tuple[Day, NDArray[np.uint16], NDArray[np.bool_]]]:
        """The pictures, once all blocks are drawn.

        Yields:
            The day; (bands, H, W) uint16 reflectance x 10000 at the top of the atmosphere; (H, W)
            bool where cloud or its shadow hides the ground.
        """
        for at, day in enumerate(self._days):
            surface = self._surface[at].astype(np.float32) / np.float32(20_000)
            seen, hidden = through_air(surface, day, self._bands, self._parameters.air)
            yield day, measure(seen, day.seed, self._parameters.optics), hidden
