"""The lines of a MAPS folder, read back."""

from pathlib import Path

import geopandas as gpd

from swath.errors import DatasetError, reason_of

COLUMNS = frozenset(("class", "p_mean", "length_m"))
"""What all lines say of themselves."""


def read_lines(path: Path) -> gpd.GeoDataFrame:
    """The lines of `roads.parquet`, as swath wrote them.

    Raises:
        DatasetError: Somebody else wrote the file: it is not readable, lacks columns, or holds no lines.
    """
    try:
        lines = gpd.read_parquet(path)
    except (OSError, ValueError) as error:
        raise DatasetError(f"{path}: not readable ({reason_of(error)}); map the site again") from None
    if COLUMNS - set(lines.columns) or set(lines.geom_type) - {"LineString"}:
        raise DatasetError(f"{path}: not the lines that swath wrote; map the site again")
    return lines
