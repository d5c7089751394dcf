"""Land classes, told by the colours of one image."""

import numpy as np
from numpy.typing import NDArray

LAND = ("water", "vegetation", "mixed", "built or bare")
"""Land classes told by one image alone, so that places without labels have them too: water by
NDWI > 0.1; else by NDVI: above 0.45, above 0.2, the rest."""


def land_classes(image: NDArray[np.float32]) -> NDArray[np.uint8]:
    """(H, W) uint8 index into `LAND` of a (4, H, W) image in reflectance."""
    _, green, red, nir = image
    ndvi = (nir - red) / np.maximum(nir + red, 1e-4)
    ndwi = (green - nir) / np.maximum(green + nir, 1e-4)
    classes = np.select([ndwi > 0.1, ndvi > 0.45, ndvi > 0.2], [0, 1, 2], 3)
    return classes.astype(np.uint8)
