"""What files can hold."""

import math

import numpy as np
import pytest

from swath.files import finite


@pytest.mark.parametrize("value", [None, math.nan, math.inf, np.float32("nan"), np.float64("-inf")])
def test_what_json_cannot_hold_becomes_none(value: float | None) -> None:
    assert finite(value) is None


def test_numbers_become_plain_floats() -> None:
    assert finite(np.float32(0.5)) == 0.5
    assert type(finite(np.float64(0.5))) is float
    assert finite(0) == 0.0
