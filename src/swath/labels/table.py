"""Features as GeoParquet, read back once they are written."""

from pathlib import Path

import geopandas as gpd
import pyarrow as pa
import pyarrow.parquet as pq

from swath.files import replacing, unwritten


def write_features(path: Path, features: gpd.GeoDataFrame) -> None:
    """Write features as GeoParquet, whole or not at all.

    Raises:
        OutputError: It cannot be written.
    """
    with replacing(path) as temporary:
        features.to_parquet(temporary)
        try:
            # By this thread: where memory lacks for others, `read_table` waits for them forever.
            rows = pq.ParquetFile(temporary, pre_buffer=False).read(use_threads=False).num_rows
        except (pa.ArrowException, OSError):
            rows = -1
        if rows != len(features):
            raise unwritten(path)
