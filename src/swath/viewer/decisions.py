"""What people decided on the lines that they looked at: a GeoPackage beside the maps."""

import datetime as dt
import os
import shutil
from pathlib import Path
from threading import Lock
from typing import Literal

import geopandas as gpd
import pandas as pd
import pyogrio
from pydantic import Field

from swath.errors import InputError
from swath.files import replacing
from swath.grid import LONLAT
from swath.labels.vectorfile import placed, reading_vectors
from swath.locks import locked
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
    feature: str = Field(max_length=50, pattern=r"^-?[0-9]{1,18}$")
    verdict: Literal["accept", "reject", ""] = ""
    note: str = Field("", max_length=2000)


def read_decisions(folder: Path) -> gpd.GeoDataFrame:
    """All decisions that are kept in a MAPS folder, in longitude and latitude; none if there are none.

    Raises:
        InputError: Something else has the file's name: it is never replaced.
    """
    path = folder / NAME
    if not os.path.lexists(path):
        return gpd.GeoDataFrame({name: pd.Series(dtype=str) for name in COLUMNS}, geometry=[], crs=LONLAT)
    try:
        if path.is_symlink():
            raise InputError(f"{path}: a link; expected a file")
        with reading_vectors(path):
            frame = pyogrio.read_dataframe(path, layer=LAYER)
            if not {*COLUMNS, "geometry"} <= set(frame.columns):
                raise ValueError("it has other columns")
            if not placed(frame.geometry.values).all():
                raise ValueError("a decision has lost its place")
    except InputError as error:
        raise InputError(f"{error}; swath view keeps decisions there: mend it or move it") from None
    frame[[*COLUMNS]] = frame[[*COLUMNS]].astype(object).fillna("").astype(str)
    return frame


def keep_decision(folder: Path, decision: Decision, feature: gpd.GeoDataFrame) -> None:
    """Write a decision in the place of an earlier one on the same feature.

    Args:
        folder: MAPS.
        decision: What was decided.
        feature: The feature's one row, in any CRS; its columns are not kept.

    Raises:
        InputError: As of `read_decisions`.
        BusyError: The maps were taken away.
        OutputError: It cannot be written.
    """
    now = dt.datetime.now(dt.UTC).isoformat(timespec="seconds")
    row = {**decision.model_dump(), "decided": now}
    new = gpd.GeoDataFrame([row], geometry=feature.geometry.to_list(), crs=feature.crs).to_crs(LONLAT)
    with _WRITING, locked(folder, wait=True):  # of this process, and of others
        before = read_decisions(folder)
        same = before["key"] == decision.key
        more = before.columns.difference(new.columns)  # what people have added
        new = new.join(before.loc[same, more].iloc[:1].reset_index(drop=True)).reindex(columns=before.columns)
        kept = new if same.all() else pd.concat([before[~same], new], ignore_index=True)
        with replacing(folder / NAME) as temporary:
            if (folder / NAME).exists():  # with other layers and styles
                shutil.copyfile(folder / NAME, temporary)
            pyogrio.write_dataframe(kept, temporary, layer=LAYER, driver="GPKG")
