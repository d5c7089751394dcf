"""How wide lines are on the ground: from their own tags, or from the legend's table."""

import re
from collections.abc import Mapping
from functools import cache

import geopandas
import numpy as np
from numpy.typing import NDArray

from swath.legend import LineWidth

_UNITS_M = {"": 1.0, "m": 1.0, "km": 1000.0, "cm": 0.01, "mi": 1609.344, "ft": 0.3048, "'": 0.3048}
_LENGTH = re.compile(r"(\d+(?:[.,]\d+)?)\s*(km|cm|mi|ft|m|')?")
_FEET_INCHES = re.compile(r"(\d+(?:\.\d+)?)'\s*(\d+(?:\.\d+)?)\"")
_INCH_M = 0.0254
_MOST_LANES = 16


def line_widths_m(features: geopandas.GeoDataFrame, rule: LineWidth) -> NDArray[np.float64]:
    """The width of every feature: (N,) float64 metres, greater than 0, at most `rule.greatest_m`.

    Args:
        features: The rule's keys as columns (text or missing); a column may be absent.
        rule: What decides, and in which order: see `LineWidth`.
    """
    keys = [key for key in rule.keys if key in features.columns]

    @cache  # few tags in many features
    def width(*values: object) -> float:
        return width_m(dict(zip(keys, values, strict=True)), rule)

    rows = zip(*(features[key] for key in keys), strict=True) if keys else [()] * len(features)
    return np.fromiter((width(*row) for row in rows), np.float64, len(features))


def width_m(tags: Mapping[str, object], rule: LineWidth) -> float:
    """The width in metres of a feature with these tags; what is no text counts as missing."""
    least, greatest = rule.range_m
    for key in rule.tags:
        width = parse_length_m(tags.get(key))
        if width is not None and least <= width <= greatest:
            return width
    lanes = parse_length_m(tags.get("lanes")) if rule.lane_m is not None else None
    if rule.lane_m is not None and lanes is not None and 1 <= lanes <= _MOST_LANES:
        return min(max(lanes * rule.lane_m, least), greatest)
    for key, widths in rule.by.items():
        value = tags.get(key)
        if isinstance(value, str) and value in widths:
            return widths[value]
    return rule.default_m


def parse_length_m(text: object) -> float | None:
    """A length as OSM writes it, in metres: `5`, `5.5`, `5,5`, `5.5 m`, `16 ft`, `16'4"`, `0.1 mi`.

    Anything else gives None, also a missing value and a list such as `3;4`.
    """
    if not isinstance(text, str):
        return None
    text = text.strip()
    if match := _FEET_INCHES.fullmatch(text):
        return float(match[1]) * _UNITS_M["ft"] + float(match[2]) * _INCH_M
    if match := _LENGTH.fullmatch(text):
        return float(match[1].replace(",", ".")) * _UNITS_M[match[2] or ""]
    return None
