"""Which number to add to stored values to get reflectance: metadata that contradict each other.

From processing baseline 04.00 (25 January 2022) on, ESA stores reflectance x 10000 + 1000, so that
dark pixels need not be cut off at 0. Catalogues differ in what they do about it, and some say what
is not so: a flag that denies a correction that was made, an offset declared for products that
never had one.
"""

import re
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from swath.sentinel2 import NODATA, QUANTIFICATION, SATURATED

OFFSET_DN = -1000
"""What ESA's products since baseline 04.00 need added."""

FIRST_BASELINE = (4, 0)
"""The first processing baseline with an offset."""

NEGATIVE_SHARE = 0.05
"""Reflectance below 0 is rare: more pixels than this below 0 say that the offset is off."""


@dataclass(frozen=True, slots=True)
class Offset:
    """What to add to the stored numbers of a reflectance band.

    Attributes:
        dn: In units of 1/10000 reflectance; None: the metadata do not say.
        why: How that is known, in words.
        doubt: What contradicts it, in words; empty if nothing does.
    """

    dn: int | None
    why: str
    doubt: str = ""


def decide_offset(baseline: str | None, declared: int | None, applied: bool | None) -> Offset:
    """Weigh what an item says of its offset, never the date.

    In this order: the flag that it is applied already; a processing baseline that has none; what
    its bands declare, in 1/10000 reflectance; the baseline alone.
    """
    number = parse_baseline(baseline)
    contradicted = f"the bands declare {declared}" if declared else ""
    if applied:
        return Offset(0, "the item's flag says that the offset is applied already", contradicted)
    if number is not None and number < FIRST_BASELINE:
        return Offset(0, f"baseline {baseline} has no offset", contradicted)
    if declared is not None:
        missing = "" if number is not None else "the item names no processing baseline"
        if number is not None and declared == 0:
            missing = f"baseline {baseline} usually has {OFFSET_DN}"
        return Offset(declared, "declared by the item's bands", missing)
    if number is not None:
        return Offset(OFFSET_DN, f"baseline {baseline} has it", "the item's bands declare nothing")
    return Offset(None, "the item names neither a processing baseline nor an offset")


def parse_baseline(text: str | None) -> tuple[int, int] | None:
    """`05.09`, `5.9` or `N0509` as (5, 9); None where it is no baseline."""
    match = re.fullmatch(r"N?(\d{1,2})\.?(\d{2}|\d)", text.strip()) if text else None
    return (int(match[1]), int(match[2])) if match else None


def check_offset(offset: Offset, stored: NDArray[np.generic]) -> Offset:
    """Hold a decision against the pixels: numbers as stored, any shape, 0 = no data.

    Returns:
        The same, or, where more than 5 % of the pixels would have a reflectance below 0, an offset
        of 0 with the reason; or with a doubt, where no pixel at all is as dark as it could be.
    """
    values = stored[stored != NODATA]
    if not values.size or offset.dn is None:
        return offset
    if offset.dn < 0:
        below = float((values < -offset.dn).mean())
        if below > NEGATIVE_SHARE:
            why = f"with {offset.dn}, {below:.0%} of the pixels would be below 0: applied already"
            return Offset(0, why, f"the metadata say otherwise ({offset.why})")
    elif offset.dn == 0 and int(values.min()) >= -OFFSET_DN:
        doubt = f"no pixel is below {-OFFSET_DN}: the offset may not have been applied"
        return Offset(0, offset.why, "; ".join(filter(None, (offset.doubt, doubt))))
    return offset


def apply_offset(stored: NDArray[np.generic], scale: float, dn: int) -> NDArray[np.uint16]:
    """Numbers as stored to reflectance x 10000, at least 1; 0 = no data, 65535 = saturated.

    Args:
        stored: Any shape.
        scale: Reflectance of one stored unit, 0.0001 in ESA's products.
        dn: Offset in 1/10000 reflectance.
    """
    values = np.rint(stored.astype(np.float64) * (scale * QUANTIFICATION) + dn)
    out = np.clip(values, 1, SATURATED).astype(np.uint16)
    out[stored == SATURATED] = SATURATED
    out[stored == NODATA] = NODATA
    return out
