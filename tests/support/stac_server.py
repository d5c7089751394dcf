"""A STAC API that is not ours (`rustac serve`), with items shaped as real catalogues shape them.

The shapes were taken down by hand from items that the catalogues gave in 2023-2026: names of
assets and properties, where they keep scale, offset, baseline, checksum. The numbers are made up.
"""

import datetime as dt
import hashlib
import json
import shutil
import socket
import subprocess
import sys
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from urllib.error import URLError
from urllib.request import urlopen

import numpy as np
import rasterio
from numpy.typing import NDArray

from swath.grid import Bounds, Grid, transform_bounds

TILE = Grid.from_bounds((448_000, 5_410_000, 450_000, 5_412_000), "EPSG:32631")  # 200 x 200 px
SITE: Bounds = transform_bounds((448_500, 5_410_500, 449_500, 5_411_500), TILE.crs, "EPSG:4326")
COMMON = {"B02": "blue", "B03": "green", "B04": "red", "B08": "nir"}
BANDS = tuple(COMMON)


@dataclass(frozen=True)
class Shot:
    """One acquisition to be made.

    Attributes:
        date: Its day.
        cloud: Share of the site under cloud.
        tile_cloud: What the catalogue says of the whole tile, in percent.
        baseline: Processing baseline.
        stored: What is added to reflectance x 10000 in the files.
        applied: Earth Search's flag.
        declared: Offset in the catalogue; None: none is declared.
    """

    date: dt.date
    cloud: float = 0.0
    tile_cloud: float = 10.0
    baseline: str = "05.09"
    stored: int = 0
    applied: bool | None = True
    declared: float | None = -0.1


def reflectance(date: dt.date, band: str) -> NDArray[np.uint16]:
    """(200, 200) reflectance x 10000, other on each date and in each band; dark pixels too."""
    rng = np.random.default_rng([date.toordinal(), int(band[1:])])
    return rng.integers(100, 3000, TILE.shape).astype(np.uint16)


def visual(date: dt.date) -> NDArray[np.uint8]:
    """(3, 200, 200) 1..255."""
    rng = np.random.default_rng(date.toordinal())
    return rng.integers(1, 256, (3, *TILE.shape)).astype(np.uint8)


def scl(cloud: float) -> NDArray[np.uint8]:
    """(100, 100) at 20 m: vegetation, and cloud over the north of the site."""
    classes = np.full((100, 100), 4, np.uint8)
    classes[25 : 25 + round(50 * cloud)] = 9
    return classes


def write_files(folder: Path, shot: Shot, driver: str) -> dict[str, Path]:
    """Write the images of a shot as COG or lossless JPEG 2000; by band, `visual`, `SCL`."""
    images: dict[str, NDArray[Any]] = {
        band: (reflectance(shot.date, band) + shot.stored).astype(np.uint16)[None] for band in BANDS
    }
    images |= {"visual": visual(shot.date), "SCL": scl(shot.cloud)[None]}
    folder.mkdir(parents=True)
    found = {}
    for name, image in images.items():
        options: dict[str, Any] = {"driver": "COG", "blocksize": 32, "compress": "deflate"}
        suffix = "tif"
        if driver == "JP2":
            options, suffix = {"driver": "JP2OpenJPEG", "QUALITY": 100, "REVERSIBLE": "YES"}, "jp2"
            if image.dtype == np.uint8 and len(image) == 3:
                options["YCC"] = "NO"
        grid = TILE
        if name == "SCL":
            grid = Grid.from_bounds(TILE.bounds, TILE.crs, 20)
        path = folder / f"{name}.{suffix}"
        profile = grid.profile() | {"count": len(image), "dtype": image.dtype.name}
        with rasterio.open(path, "w", **profile, **options) as target:
            target.write(image)
        found[name] = path
    return found


def earth_search_item(shot: Shot, url: str, files: dict[str, Path]) -> dict[str, Any]:
    """As in `sentinel-2-l2a` of Earth Search v1: common names, `raster:bands`, its own flag."""
    name = f"S2B_31UDQ_{shot.date:%Y%m%d}_0_L2A"
    cog = "image/tiff; application=geotiff; profile=cloud-optimized"
    assets: dict[str, Any] = {}
    for band, common in COMMON.items():
        raster: dict[str, Any] = {"nodata": 0, "data_type": "uint16", "bits_per_sample": 15}
        raster |= {"spatial_resolution": 10, "scale": 0.0001}
        if shot.declared is not None:
            raster["offset"] = shot.declared
        assets[common] = {
            "href": f"{url}/{name}/{band}.tif",
            "type": cog,
            "title": f"{common.title()} - 10m",
            "eo:bands": [{"name": common, "common_name": common}],
            "gsd": 10,
            "proj:shape": list(TILE.shape),
            "raster:bands": [raster],
            "roles": ["data", "reflectance"],
        }
        # The JPEG 2000 originals are listed too, in a bucket where the reader pays.
        assets[f"{common}-jp2"] = {"href": f"s3://bucket/{band}.jp2", "type": "image/jp2"}
    rgb = [{"name": c, "common_name": c} for c in ("red", "green", "blue")]
    assets["visual"] = {"href": f"{url}/{name}/visual.tif", "type": cog, "eo:bands": rgb}
    assets["scl"] = {"href": f"{url}/{name}/SCL.tif", "type": cog, "gsd": 20}
    assets["thumbnail"] = {"href": f"{url}/{name}/thumbnail.jpg", "type": "image/jpeg"}
    properties = {
        "platform": "sentinel-2b",
        "constellation": "sentinel-2",
        "eo:cloud_cover": shot.tile_cloud,
        "proj:epsg": 32631,
        "grid:code": "MGRS-31UDQ",
        "s2:processing_baseline": shot.baseline,
        "s2:product_uri": f"S2B_MSIL2A_{shot.date:%Y%m%d}T105629_N0509_R094_T31UDQ_X.SAFE",
        "datetime": f"{shot.date}T10:56:29.123000Z",
    }
    if shot.applied is not None:
        properties["earthsearch:boa_offset_applied"] = shot.applied
    return _item(name, "sentinel-2-l2a", properties, assets, files, "tif")


def copernicus_item(shot: Shot, url: str, files: dict[str, Path]) -> dict[str, Any]:
    """As in `sentinel-2-l2a` of the Copernicus Data Space: JPEG 2000, S3 first, http beside it."""
    number = shot.baseline.replace(".", "")
    name = f"S2B_MSIL2A_{shot.date:%Y%m%d}T105629_N{number}_R094_T31UDQ_{shot.date:%Y%m%d}T130000"
    assets: dict[str, Any] = {}
    wanted = [(band, f"{band}_10m") for band in BANDS]
    for key, asset in [*wanted, ("visual", "TCI_10m"), ("SCL", "SCL_20m")]:
        assets[asset] = {
            "href": f"s3://eodata/Sentinel-2/MSI/L2A/{name}.SAFE/GRANULE/{asset}.jp2",
            "type": "image/jp2",
            "roles": ["data", "sampling:original", "gsd:10m"],
            "gsd": 20 if key == "SCL" else 10,
            "proj:code": "EPSG:32631",
            "nodata": 0,
            "auth:refs": ["s3"],
            "alternate": {
                "https": {
                    "href": f"{url}/{name}/{key}.jp2",
                    "auth:refs": ["oidc"],
                    "storage:refs": [],
                }
            },
        }
        if key in BANDS:
            assets[asset] |= {"bands": [{"name": key, "eo:common_name": COMMON[key]}]}
            assets[asset] |= {"data_type": "uint16", "raster:scale": 0.0001}
            if shot.declared is not None:
                assets[asset]["raster:offset"] = shot.declared
    # A coarser copy of a band, which is not to be taken.
    assets["B04_20m"] = assets["B04_10m"] | {"gsd": 20, "alternate": {}}
    assets["Product"] = {"href": f"{url}/{name}.zip", "type": "application/zip"}
    properties = {
        "platform": "sentinel-2b",
        "constellation": "sentinel-2",
        "eo:cloud_cover": shot.tile_cloud,
        "grid:code": "MGRS-31UDQ",
        "processing:level": "L2",
        "processing:version": shot.baseline,
        "datetime": f"{shot.date}T10:56:29.024000Z",
        "start_datetime": f"{shot.date}T10:56:29.024000Z",
        "end_datetime": f"{shot.date}T10:56:29.024000Z",
    }
    item = _item(name, "sentinel-2-l2a", properties, assets, files, "jp2")
    for asset in item["assets"].values():
        path = files.get(Path(asset.get("alternate", {}).get("https", {}).get("href", "")).stem)
        if path is not None:
            data = path.read_bytes()
            # Multihash: 0x16 = SHA3-256, 0x20 = 32 bytes.
            asset |= {"file:size": len(data), "file:checksum": "1620" + _sha3(data)}
    return item


def planetary_item(shot: Shot, url: str, files: dict[str, Path]) -> dict[str, Any]:
    """As in `sentinel-2-l2a` of the Planetary Computer: nothing is said about scale or offset."""
    name = f"S2B_MSIL2A_{shot.date:%Y%m%d}T105629_R094_T31UDQ_{shot.date:%Y%m%d}T200000"
    cog = "image/tiff; application=geotiff; profile=cloud-optimized"
    assets: dict[str, Any] = {
        band: {
            "href": f"{url}/{name}/{band}.tif",
            "type": cog,
            "eo:bands": [{"name": band, "common_name": common}],
            "gsd": 10.0,
        }
        for band, common in COMMON.items()
    }
    rgb = [{"name": band} for band in ("B04", "B03", "B02")]
    assets["visual"] = {"href": f"{url}/{name}/visual.tif", "type": cog, "eo:bands": rgb}
    assets["SCL"] = {"href": f"{url}/{name}/SCL.tif", "type": cog}
    properties = {
        "datetime": f"{shot.date}T10:56:29.024000Z",
        "eo:cloud_cover": shot.tile_cloud,
        "s2:mgrs_tile": "31UDQ",
        "s2:processing_baseline": shot.baseline,
    }
    return _item(name, "sentinel-2-l2a", properties, assets, files, "tif")


def _sha3(data: bytes) -> str:
    return hashlib.sha3_256(data).hexdigest()


def _item(
    name: str,
    collection: str,
    properties: dict[str, Any],
    assets: dict[str, Any],
    files: dict[str, Path],
    suffix: str,
) -> dict[str, Any]:
    for key, path in files.items():
        target = path.parents[1] / name / f"{key}.{suffix}"
        target.parent.mkdir(exist_ok=True)
        shutil.copyfile(path, target)
    west, south, east, north = TILE.lonlat_bounds
    ring = [[west, south], [east, south], [east, north], [west, north], [west, south]]
    return {
        "type": "Feature",
        "stac_version": "1.0.0",
        "stac_extensions": [],
        "id": name,
        "collection": collection,
        "geometry": {"type": "Polygon", "coordinates": [ring]},
        "bbox": [west, south, east, north],
        "properties": properties,
        "links": [],
        "assets": assets,
    }


@contextmanager
def stac_api(items: Sequence[dict[str, Any]], folder: Path, public: str) -> Iterator[str]:
    """Run `rustac serve` over items while the block runs.

    Args:
        items: The items.
        folder: Where they are written.
        public: The address that its links name: a server that passes requests on to it.

    Yields:
        Where it listens.
    """
    path = folder / "items.json"
    path.write_text(json.dumps({"type": "FeatureCollection", "features": list(items)}))
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        address = f"127.0.0.1:{free.getsockname()[1]}"
    program = Path(sys.executable).parent / "rustac"
    command = [str(program), "serve", "--addr", public, "--bind", address, "--create-collections"]
    server = subprocess.Popen(
        [*command, str(path)], stdout=subprocess.DEVNULL, stderr=subprocess.PIPE, text=True
    )
    try:
        for _ in range(100):
            try:
                urlopen(f"http://{address}/", timeout=2).close()
                break
            except (URLError, ConnectionError):
                if server.poll() is not None:
                    raise RuntimeError(server.stderr.read() if server.stderr else "") from None
                time.sleep(0.05)
        yield f"http://{address}"
    finally:
        server.terminate()
        server.wait(10)
        if server.stderr:
            server.stderr.close()
