"""What STAC items share: outlines that lie where the grid lies, and checksums that read back."""

import numpy as np
import pytest
from affine import Affine
from pyproj import Transformer

from swath import stacfields as stac
from swath.grid import Grid


@pytest.mark.parametrize(("zone", "top"), [(32631, 300_000), (32631, 5_300_040), (32733, 2_500_000)])
def test_a_footprint_lies_on_the_edge_of_the_grid(zone: int, top: float) -> None:
    """Between its corners too: a whole tile's, at the equator, at 48 degrees and at 67 south."""
    grid = Grid(f"EPSG:{zone}", Affine(10, 0, 300_000, 0, -10, top), (10_980, 10_980))
    outline = stac.footprint(grid)
    (ring,) = np.asarray(outline["coordinates"])
    assert outline["type"] == "Polygon"
    assert (ring[0] == ring[-1]).all()
    middles = (ring[1:] + ring[:-1]) / 2
    back = Transformer.from_crs("EPSG:4326", grid.crs, always_xy=True)
    x, y = back.transform(*np.concatenate([ring, middles]).T)
    left, bottom, right, top = grid.bounds
    off = np.min(np.abs([x - left, x - right, y - bottom, y - top]), axis=0)
    assert off.max() < 1.5  # metres
    # Counter-clockwise, as GeoJSON has it.
    assert ((ring[1:, 0] - ring[:-1, 0]) * (ring[1:, 1] + ring[:-1, 1])).sum() < 0


@pytest.mark.parametrize("lat", [0.0, -17.2, 65.0])
def test_a_footprint_across_the_180th_meridian_is_split(lat: float) -> None:
    """As RFC 7946 asks: two polygons within -180..180, which touch the meridian from both sides."""
    grid = Grid.from_lonlat((179.98, lat, -179.99, lat + 0.01))
    outline = stac.footprint(grid)
    rings = [np.asarray(polygon[0]) for polygon in outline["coordinates"]]
    assert outline["type"] == "MultiPolygon"
    west, east = sorted(rings, key=lambda ring: -ring[:, 0].min())
    assert west[:, 0].max() == 180
    assert east[:, 0].min() == -180
    assert west[:, 0].min() == pytest.approx(179.98, abs=2e-3)
    assert east[:, 0].max() == pytest.approx(-179.99, abs=2e-3)
    left, _, right, _ = grid.bbox
    assert -180 <= right < 0 < left <= 180


@pytest.mark.parametrize(("epsg", "north"), [(5041, True), (5042, False)])
def test_a_footprint_round_a_pole_reaches_it(epsg: int, north: bool) -> None:
    """Polar stereographic, pole at (2,000,000, 2,000,000); the corners lie 640 m * sqrt(2) from it."""
    grid = Grid(f"EPSG:{epsg}", Affine(10, 0, 2_000_000 - 640, 0, -10, 2_000_000 + 640), (128, 128))
    outline = stac.footprint(grid)
    (ring,) = np.asarray(outline["coordinates"])
    lowest, highest = sorted(abs(ring[:, 1]))[0], sorted(abs(ring[:, 1]))[-1]
    assert (ring[:, 0].min(), ring[:, 0].max(), highest) == (-180, 180, 90)
    assert (ring[:, 1] > 0).all() == north
    assert lowest == pytest.approx(90 - 640 * 2**0.5 / 111_694, abs=1e-3)
    assert ((ring[1:, 0] - ring[:-1, 0]) * (ring[1:, 1] + ring[:-1, 1])).sum() < 0


def test_a_system_without_a_code_is_told_as_text() -> None:
    grid = Grid("EPSG:32630", Affine(10, 0, 600_000, 0, -10, 5_330_400), (40, 50))
    assert stac.projection(grid) == {
        "proj:code": "EPSG:32630",
        "proj:shape": [40, 50],
        "proj:transform": [10, 0, 600_000, 0, -10, 5_330_400],
    }
    own = Grid("+proj=laea +lat_0=45 +lon_0=10 +type=crs", grid.transform, grid.shape)
    fields = stac.projection(own)
    assert fields["proj:code"] is None
    assert Grid(str(fields["proj:wkt2"]), own.transform, own.shape) == own


def test_checksums_read_back() -> None:
    fields = stac.checksum_fields("ab" * 32)
    assert fields == {"file:checksum": "1220" + "ab" * 32}
    assert stac.read_checksum(fields) == "ab" * 32
