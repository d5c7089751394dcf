import numpy as np
import pytest
from affine import Affine
from hypothesis import assume, given
from hypothesis import strategies as st
from pyproj import CRS, Geod, Transformer

from swath.errors import GridError
from swath.grid import (
    Grid,
    Window,
    has_true_metres,
    lonlat_parts,
    normalise_crs,
    transform_bounds,
    true_metres,
    turned,
    utm_crs,
)

UTM = "EPSG:32630"

windows = st.builds(
    Window, st.integers(-50, 50), st.integers(-50, 50), st.integers(0, 40), st.integers(0, 40)
)
metres = st.floats(-1e6, 1e7, allow_nan=False)
sizes = st.floats(0.5, 20_000)


def covered(window: Window) -> set[tuple[int, int]]:
    rows, cols = window.slices
    return {(r, c) for r in range(rows.start, rows.stop) for c in range(cols.start, cols.stop)}


@given(windows, windows)
def test_intersect_is_what_both_windows_cover(a: Window, b: Window) -> None:
    both = a.intersect(b)
    assert covered(both) == covered(a) & covered(b)
    assert both.size == len(covered(a) & covered(b))
    assert covered(b.intersect(a)) == covered(both)


@given(windows, windows)
def test_contains_agrees_with_the_pixels(a: Window, b: Window) -> None:
    assume(b.size)
    assert a.contains(b) == (covered(b) <= covered(a))


@given(windows, windows)
def test_relative_to_can_be_undone_by_shift(a: Window, origin: Window) -> None:
    assert a.relative_to(origin).shift(origin.row, origin.col) == a


@given(windows, st.integers(0, 20))
def test_grow_adds_a_margin_on_every_side(window: Window, margin: int) -> None:
    grown = window.grow(margin)
    assert grown.contains(window)
    assert (grown.height, grown.width) == (window.height + 2 * margin, window.width + 2 * margin)
    assert grown.grow(-margin) == window


def test_grow_by_a_negative_margin_never_turns_inside_out() -> None:
    assert Window(0, 0, 4, 10).grow(-3).height == 0


def test_slices_index_the_last_two_axes() -> None:
    image = np.arange(24).reshape(4, 6)
    rows, cols = Window(1, 2, 2, 3).slices
    assert image[rows, cols].tolist() == [[8, 9, 10], [14, 15, 16]]


def test_window_refuses_a_negative_size() -> None:
    with pytest.raises(GridError, match="0 or more, got 3 x -1"):
        Window(0, 0, -1, 3)


@given(metres, metres, sizes, sizes, st.sampled_from([10.0, 20.0, 2.5]))
def test_from_bounds_is_the_smallest_snapped_grid_that_covers(
    left: float, bottom: float, width: float, height: float, resolution: float
) -> None:
    right, top = left + width, bottom + height
    grid = Grid.from_bounds((left, bottom, right, top), UTM, resolution)
    slack = resolution * 2e-3
    got_left, got_bottom, got_right, got_top = grid.bounds
    assert got_left <= left + slack
    assert got_bottom <= bottom + slack
    assert got_right >= right - slack
    assert got_top >= top - slack
    # One pixel less on any side would not cover; a box inside one pixel still gets that pixel.
    assert left - got_left < resolution + slack
    assert got_top - top < resolution + slack
    assert got_right - right < resolution + slack
    assert bottom - got_bottom < resolution + slack
    for corner in grid.bounds:
        assert corner / resolution == pytest.approx(round(corner / resolution), abs=1e-6)


@given(metres, metres, st.integers(1, 300), st.integers(1, 300))
def test_from_bounds_of_its_own_bounds_is_the_same_grid(
    left: float, bottom: float, height: int, width: int
) -> None:
    grid = Grid.from_bounds((left, bottom, left + 10 * width, bottom + 10 * height), UTM)
    assert Grid.from_bounds(grid.bounds, UTM) == grid


def test_from_bounds_forgives_rounding_noise() -> None:
    # 500000.0000001 is meant as 500000: no extra column for a ten-millionth of a metre.
    grid = Grid.from_bounds((499999.9999999, 4e6 - 1e-7, 500100.0000001, 4000050.0), UTM)
    assert grid.shape == (5, 10)
    assert grid.bounds == (500000.0, 4000000.0, 500100.0, 4000050.0)


@given(st.integers(-30, 30), st.integers(-30, 30), st.integers(1, 40), st.integers(1, 40))
def test_crop_keeps_the_pixels_in_place(row: int, col: int, height: int, width: int) -> None:
    grid = Grid.from_bounds((500_000, 4_000_000, 500_400, 4_000_300), UTM)
    window = Window(row, col, height, width)
    crop = grid.crop(window)
    assert crop.shape == (height, width)
    assert crop.bounds[0] == 500_000 + 10 * col
    assert crop.bounds[3] == 4_000_300 - 10 * row
    # Cropping back to the whole gives the grid again.
    assert crop.crop(grid.window.relative_to(window)) == grid


@given(windows, windows)
def test_crop_of_a_crop_is_one_crop(outer: Window, inner: Window) -> None:
    assume(outer.size and inner.size)
    grid = Grid.from_bounds((500_000, 4_000_000, 500_400, 4_000_300), UTM)
    assert grid.crop(outer).crop(inner) == grid.crop(inner.shift(outer.row, outer.col))


def test_equal_grids_compare_equal_however_their_crs_was_written() -> None:
    transform = Affine(10, 0, 500_000, 0, -10, 4_000_000)
    wkt = CRS.from_epsg(32630).to_wkt()
    assert Grid(wkt, transform, (3, 4)) == Grid("epsg:32630", transform, (3, 4))
    assert normalise_crs(32630) == UTM


@pytest.mark.parametrize(
    ("transform", "shape", "message"),
    [
        (Affine(10, 0, 0, 0, 10, 0), (3, 4), "north-up"),
        (Affine.rotation(10) @ Affine.scale(10, -10), (3, 4), r"north-up.* \(9\.84808, 1\.73648, 0, "),
        (Affine(10, 0, 0, 0, -10, 0), (0, 4), "at least one pixel"),
    ],
)
def test_grid_refuses(transform: Affine, shape: tuple[int, int], message: str) -> None:
    with pytest.raises(GridError, match=message):
        Grid(UTM, transform, shape)


def test_not_a_crs_is_one_clear_error() -> None:
    with pytest.raises(GridError, match="not a coordinate reference system"):
        normalise_crs("EPSG:no")


@pytest.mark.parametrize("bounds", [(10, 0, 10, 5), (0, 5, 10, 4)])
def test_from_bounds_refuses_empty_boxes(bounds: tuple[float, float, float, float]) -> None:
    with pytest.raises(GridError, match="left, bottom, right, top"):
        Grid.from_bounds(bounds, UTM)


@pytest.mark.parametrize(
    ("lon", "lat", "zone"),
    # Topeka, Rennes, Brasilia: zone = floor((lon + 180) / 6) + 1, 326 north, 327 south.
    [(-95.7, 39.05, "EPSG:32615"), (-1.65, 48.1, "EPSG:32630"), (-47.9, -15.8, "EPSG:32723")],
)
def test_utm_crs(lon: float, lat: float, zone: str) -> None:
    assert utm_crs(lon, lat) == zone


def test_utm_crs_says_where_there_is_none() -> None:
    with pytest.raises(GridError, match=r"no UTM zone covers lon 0\.3333, lat 89\.0000; they end at 84 N"):
        utm_crs(1 / 3, 89.0)


def test_from_lonlat_covers_its_box_in_the_zone_of_its_centre() -> None:
    west, south, east, north = -1.70, 48.05, -1.60, 48.15
    grid = Grid.from_lonlat((west, south, east, north))
    assert grid.crs == UTM
    assert grid.resolution == (10.0, 10.0)
    to_utm = Transformer.from_crs("EPSG:4326", UTM, always_xy=True)
    left, bottom, right, top = grid.bounds
    for lon in (west, (west + east) / 2, east):
        for lat in (south, (south + north) / 2, north):
            x, y = to_utm.transform(lon, lat)
            assert left <= x <= right
            assert bottom <= y <= top
    got = grid.lonlat_bounds
    assert got[0] <= west
    assert got[1] <= south
    assert got[2] >= east
    assert got[3] >= north


@pytest.mark.parametrize("bounds", [(10, 0, 5, 5), (-190, 0, 5, 5), (0, 0, 5, 95)])
def test_from_lonlat_refuses(bounds: tuple[float, float, float, float]) -> None:
    with pytest.raises(GridError, match="in degrees"):
        Grid.from_lonlat(bounds)


@given(st.floats(-5.5, -0.5), st.floats(-60, 70), st.floats(0.01, 0.3), st.floats(0.01, 0.3))
def test_transform_bounds_there_and_back_holds_the_box(
    west: float, south: float, width: float, height: float
) -> None:
    box = (west, south, west + width, south + height)
    back = transform_bounds(transform_bounds(box, "EPSG:4326", UTM), UTM, "EPSG:4326")
    assert back[0] <= box[0] + 1e-9
    assert back[1] <= box[1] + 1e-9
    assert back[2] >= box[2] - 1e-9
    assert back[3] >= box[3] - 1e-9


def test_moved_by_metres_whatever_the_system() -> None:
    grid = Grid("EPSG:32630", Affine(10, 0, 500000, 0, -10, 4_400_000), (5, 5))
    assert grid.moved(3.0, -4.0).bounds == (500003.0, 4399946.0, 500053.0, 4399996.0)
    degrees = Grid("EPSG:4326", Affine(1e-4, 0, -3.0, 0, -1e-4, 60.0), (5, 5))
    moved = degrees.moved(30.0, 40.0)
    _, _, length = Geod(ellps="WGS84").inv(
        degrees.bounds[0], degrees.bounds[3], moved.bounds[0], moved.bounds[3]
    )
    assert length == pytest.approx(50.0, rel=0.01)
    assert (moved.bounds[0] > -3.0, moved.bounds[3] > 60.0) == (True, True)


def test_profile_is_what_rasterio_takes() -> None:
    grid = Grid.from_bounds((500_000, 4_000_000, 500_400, 4_000_300), UTM)
    assert grid.profile() == {
        "crs": UTM,
        "transform": Affine(10, 0, 500_000, 0, -10, 4_000_300),
        "height": 30,
        "width": 40,
    }


def test_a_box_across_the_180th_meridian() -> None:
    grid = Grid.from_lonlat((179.95, -17.3, -179.98, -17.2))  # GeoJSON's way to say it
    assert Grid.from_lonlat((179.95, -17.3, 180.02, -17.2)) == grid
    assert grid.crs == "EPSG:32760"
    west, south, east, north = grid.lonlat_bounds
    assert (west, east) == pytest.approx((179.95, 180.02), abs=1e-2)
    assert lonlat_parts(grid.bbox) == lonlat_parts(grid.lonlat_bounds)
    assert lonlat_parts((west, south, east, north)) == (
        (west, south, 180, north),
        (-180, south, pytest.approx(east - 360), north),
    )
    assert utm_crs(358.5, 48) == utm_crs(-1.5, 48) == UTM
    assert turned((358, 0, 359, 1), -2) == (-2, 0, -1, 1)


@pytest.mark.parametrize(
    ("crs", "place", "metres"),
    [
        ("EPSG:32631", (2, 48), 1.0),
        ("EPSG:27700", (-2, 52), 1.0),
        ("EPSG:3857", (2, 48), 0.67),  # 1 / its scale: cos 48 degrees
        ("EPSG:3857", (25, 60.2), 0.5),
        ("EPSG:6933", (2, 48), 1.29),  # equal areas: as wide as cos 30 / cos 48, as high as the inverse
    ],
)
def test_metres_on_the_ground(crs: str, place: tuple[float, float], metres: float) -> None:
    assert true_metres(crs, *place) == pytest.approx(metres, abs=0.005)
    assert has_true_metres(crs, *place) == (metres == 1)


def test_a_local_system_is_one_clear_line() -> None:
    local = 'LOCAL_CS["site",UNIT["metre",1]]'
    with pytest.raises(GridError, match="nobody knows how site and WGS 84 lie to each other"):
        transform_bounds((0, 0, 1, 1), local, "EPSG:4326")


@pytest.mark.parametrize("size", [0.0, -1.0, float("nan"), 1e-320])
def test_pixels_have_a_size(size: float) -> None:
    with pytest.raises(GridError, match="must be finite, that above 0"):
        Grid.from_bounds((0, 0, 100, 100), UTM, size)
