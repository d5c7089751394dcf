"""What a small piece of an image looks like, in numbers: the features of the two-sample test."""

import numpy as np
from numpy.typing import NDArray

PATCH_PX = 32

_LAGS = (1, 2, 4)


def feature_names(bands: tuple[str, ...]) -> tuple[str, ...]:
    """Names of the columns of `texture_features`; those that start with `level` tell brightness."""
    names: list[str] = []
    for band in bands:
        names += [f"level median {band}", f"level deviation {band}"]
        names += [f"low tail {band}", f"high tail {band}"]
        names += [f"step {lag} px {band}" for lag in _LAGS]
        names += [f"rows against columns {band}", f"diagonal {band}", f"spots {band}"]
        names += [f"patchiness {band}"]
    names += [f"correlation {a} {b}" for at, a in enumerate(bands) for b in bands[at + 1 :]]
    if {"B04", "B08"} <= set(bands):
        names += ["level NDVI", "NDVI deviation", "NDVI step"]
    return tuple(names)


def texture_features(patches: NDArray[np.float32], bands: tuple[str, ...]) -> NDArray[np.float32]:
    """Features of patches.

    All but the levels are ratios, which neither brightness nor contrast changes: tails and steps
    are in units of the patch's deviation, `patchiness` is the spread of the deviation from one
    piece of 8 px to the next.

    Args:
        patches: (n, bands, 32, 32) reflectance.
        bands: Names of the bands.

    Returns:
        (n, features) float32, as `feature_names` names them.
    """
    columns: list[NDArray[np.floating]] = []
    for at in range(len(bands)):
        image = patches[:, at]
        low, middle, high = np.quantile(image, (0.02, 0.5, 0.98), axis=(1, 2))
        deviation = np.maximum(image.std(axis=(1, 2)), 1e-4)
        columns += [middle, deviation, (middle - low) / deviation, (high - middle) / deviation]
        rows = [np.abs(image[:, lag:] - image[:, :-lag]).mean(axis=(1, 2)) for lag in _LAGS]
        cols = [np.abs(image[:, :, lag:] - image[:, :, :-lag]).mean(axis=(1, 2)) for lag in _LAGS]
        columns += [(r + c) / (2 * deviation) for r, c in zip(rows, cols, strict=True)]
        slant = np.abs(image[:, 1:, 1:] - image[:, :-1, :-1]).mean(axis=(1, 2))
        columns += [
            rows[0] / np.maximum(cols[0], 1e-4),
            2 * slant / np.maximum(rows[0] + cols[0], 1e-4),
        ]
        inner = image[:, 1:-1, 1:-1]
        around = image[:, :-2, 1:-1] + image[:, 2:, 1:-1] + image[:, 1:-1, :-2] + image[:, 1:-1, 2:]
        columns.append(np.abs(inner - around / 4).mean(axis=(1, 2)) / deviation)
        parts = image.reshape(len(image), 4, 8, 4, 8).std(axis=(2, 4)).reshape(len(image), -1)
        columns.append(parts.std(axis=1) / np.maximum(parts.mean(axis=1), 1e-4))
    flat = patches.reshape(len(patches), len(bands), -1)
    centred = flat - flat.mean(axis=2, keepdims=True)
    norm = np.maximum(np.sqrt((centred**2).sum(axis=2)), 1e-6)
    for at in range(len(bands)):
        for other in range(at + 1, len(bands)):
            product = (centred[:, at] * centred[:, other]).sum(axis=1)
            columns.append(product / (norm[:, at] * norm[:, other]))
    if {"B04", "B08"} <= set(bands):
        red, nir = patches[:, bands.index("B04")], patches[:, bands.index("B08")]
        ndvi = (nir - red) / np.maximum(nir + red, 1e-4)
        step = np.abs(ndvi[:, 1:] - ndvi[:, :-1]).mean(axis=(1, 2))
        deviation = np.maximum(ndvi.std(axis=(1, 2)), 1e-4)
        columns += [ndvi.mean(axis=(1, 2)), deviation, step / deviation]
    return np.stack(columns, axis=1).astype(np.float32)


def cut_patches(image: NDArray[np.floating], valid: NDArray[np.bool_]) -> NDArray[np.float32]:
    """Cut an image into patches side by side; those without data somewhere are left out.

    Args:
        image: (C, H, W).
        valid: (H, W), True = data.

    Returns:
        (n, C, 32, 32) float32.
    """
    count, height, width = image.shape
    rows, cols = height // PATCH_PX, width // PATCH_PX
    shape = (rows, PATCH_PX, cols, PATCH_PX)
    part = image[:, : rows * PATCH_PX, : cols * PATCH_PX].reshape(count, *shape)
    whole = valid[: rows * PATCH_PX, : cols * PATCH_PX].reshape(shape).all(axis=(1, 3))
    patches = part.transpose(1, 3, 0, 2, 4).reshape(-1, count, PATCH_PX, PATCH_PX)
    return patches[whole.ravel()].astype(np.float32)
