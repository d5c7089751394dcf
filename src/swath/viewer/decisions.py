"""What people decided on the lines that they looked at: a GeoPackage beside the maps."""

import datetime as dt
from pathlib import Path
from threading import Lock
from typing import Literal

import geopandas as gpd
import pandas as pd
import pyogrio
from pydantic import Field

from swath.files import replacing
from swath.grid import LONLAT
from swath.validation import Frozen

NAME = "decisions.gpkg"
LAYER = "decisions"
COLUMNS = ("key", "site", "overlay", "feature", "verdict", "note", "decided")

_WRITING = Lock()


class Decision(Frozen):
    """A person's word on one feature.

    Attributes:
        key: Of the feature on the page.
        site: Whose maps.
        overlay: The page's name of the file and layer.
        feature: Its number there.
        verdict: Empty where there is only a note.
        note: In the person's words.
    """

    key: str = Field(max_length=500)
    site: str = Field(max_length=200)
    overlay: str = Field(max_length=200)
    feature: str = Field(max_length=50, pattern=r"-?\d+")
    verdict: Literal["accept", "reject", ""] = ""
    note: str = Field("", max_length=2000)


def read_decisions(folder: Path) -> gpd.GeoDataFrame:
    """All decisions that are kept in a MAPS folder, in longitude and latitude; none if there are none."""
    path = folder / NAME
    if not path.is_file():
        return gpd.GeoDataFrame({name: pd.Series(dtype=str) for name in COLUMNS}, geometry=[], crs=LONLAT)
    frame = pyogrio.read_dataframe(path, layer=LAYER)
    return frame.fillna({"note": "", "verdict": ""})


def keep_decision(folder: Path, decision: Decision, feature: gpd.GeoDataFrame) -> None:
    """Write a decision in the place of an earlier one on the same feature.

    Args:
        folder: MAPS.
        decision: What was decided.
        feature: The feature's one row, in any CRS; its columns are not kept.
    """
    now = dt.datetime.now(dt.UTC).isoformat(timespec="seconds")
    row = {**decision.model_dump(), "decided": now}
    new = gpd.GeoDataFrame([row], geometry=feature.geometry.to_list(), crs=feature.crs).to_crs(LONLAT)
    with _WRITING:
        before = read_decisions(folder)
        others = before[before["key"] != decision.key]
        kept = new if others.empty else pd.concat([others, new], ignore_index=True)
        with replacing(folder / NAME) as temporary:
            pyogrio.write_dataframe(kept[[*COLUMNS, "geometry"]], temporary, layer=LAYER, driver="GPKG")
