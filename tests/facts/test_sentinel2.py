import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from swath.errors import InputError
from swath.sentinel2 import BANDS, TCI_BANDS, check_bands, tci_from_reflectance, valid_mask


def test_bands_are_those_of_the_instrument() -> None:
    assert len(BANDS) == 13
    assert [BANDS[name].common_name for name in TCI_BANDS] == ["red", "green", "blue"]
    # The four bands of 10 m.
    assert [name for name, band in BANDS.items() if band.resolution_m == 10] == [
        "B02",
        "B03",
        "B04",
        "B08",
    ]


def test_tci_stretch_at_its_ends() -> None:
    # ESA: 0 = no data, 1 = reflectance 0, 255 = reflectance 0.3558; the middle is 1 + 254 / 2.
    dn = np.array([0, 1, 1779, 3558, 3559, 20_000, 65_535], np.uint16)
    assert tci_from_reflectance(dn).tolist() == [0, 1, 128, 255, 255, 255, 255]


@given(st.lists(st.integers(1, 65_535), min_size=2, max_size=50))
def test_tci_never_turns_data_into_no_data_and_keeps_the_order(values: list[int]) -> None:
    tci = tci_from_reflectance(np.array(sorted(values), np.uint16))
    assert tci.min() >= 1
    assert (np.diff(tci.astype(int)) >= 0).all()


def test_valid_where_any_band_holds_a_measurement() -> None:
    image = np.zeros((3, 1, 3), np.uint8)
    image[:, 0, 0] = (9, 8, 7)
    image[2, 0, 1] = 1  # dark water: 0 in two bands
    assert valid_mask(image).tolist() == [[True, True, False]]
    assert valid_mask(np.stack([image, image])).shape == (2, 1, 3)


def test_check_bands() -> None:
    check_bands(TCI_BANDS)
    for bad in (("B04", "B04"), ("B99",), ()):
        with pytest.raises(InputError, match="distinct names"):
            check_bands(bad)
