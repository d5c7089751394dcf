"""The instrument: optics, pixels, aim and noise."""

import numpy as np
from numpy.typing import NDArray
from scipy import sparse
from scipy.special import erf

from swath.sentinel2 import QUANTIFICATION
from swath.simulate.parameters import CELLS_PER_PX, HALO_PX, Optics


def gather(cells: NDArray[np.float32], shifts_px: NDArray[np.float64], optics: Optics) -> NDArray[np.float32]:
    """Gather cells into pixels, as the optics and the detector do.

    The response of a pixel is its square of 10 m blurred by a Gaussian; the day's registration
    error moves all responses by a part of a pixel, so that nothing is interpolated twice.

    Args:
        cells: (bands, h, w) reflectance, with `HALO_PX` pixels around what is wanted.
        shifts_px: (bands, 2): (down, right) by which a band is moved on its grid; cut at 3 px.
        optics: How much they blur.

    Returns:
        (bands, H, W) float32, H = h / 5 - 2 * `HALO_PX`.
    """
    bands = []
    for band, shifts in zip(cells, shifts_px, strict=True):
        rows, columns = map(_responses, band.shape, shifts, (optics.blur_px,) * 2)
        bands.append((columns @ (rows @ band).T).T)
    return np.stack(bands)


def band_shifts(shift_px: tuple[float, float], count: int, seed: int, optics: Optics) -> NDArray[np.float64]:
    """(count, 2) shift of every band: the day's own (down, right), and a little more."""
    rng = np.random.default_rng((seed, 505))
    return np.array(shift_px) + optics.between_bands_px * rng.standard_normal((count, 2))


def _responses(cells: int, shift_px: float, blur_px: float) -> sparse.csr_array:
    """(pixels, cells) weights of the cells in every pixel; each row sums to 1."""
    pixels = cells // CELLS_PER_PX - 2 * HALO_PX
    shift = float(np.clip(shift_px, -3, 3))
    centre = HALO_PX + 0.5 + np.arange(pixels) - shift
    reach = int(np.ceil((0.5 + 4 * blur_px) * CELLS_PER_PX)) + 1
    first = np.floor(centre * CELLS_PER_PX).astype(np.int64) - reach
    columns = first[:, None] + np.arange(2 * reach + 1)
    away = (columns + 0.5) / CELLS_PER_PX - centre[:, None]
    width = np.sqrt(2) * max(blur_px, 1e-3)
    weights = erf((away + 0.5) / width) - erf((away - 0.5) / width)
    weights /= weights.sum(axis=1, keepdims=True)
    rows = np.arange(pixels + 1) * columns.shape[1]
    return sparse.csr_array(
        (weights.astype(np.float32).ravel(), columns.ravel(), rows), shape=(pixels, cells)
    )


def measure(seen: NDArray[np.float32], seed: int, optics: Optics) -> NDArray[np.uint16]:
    """Reflectance (bands, H, W) as uint16 x 10000 with noise, at least 1 (0 is no data)."""
    rng = np.random.default_rng((seed, 303))
    floor, slope = optics.noise
    noise = rng.standard_normal(seen.shape, dtype=np.float32)
    noisy = seen + noise * np.sqrt(floor**2 + slope**2 * np.maximum(seen, 0), dtype=np.float32)
    return np.asarray(np.clip(np.rint(noisy * QUANTIFICATION), 1, 30_000), np.uint16)
