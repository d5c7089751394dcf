"""Writing the catalog of a dataset: a self-contained STAC, a collection a site, an item an acquisition."""

from dataclasses import astuple
from pathlib import Path

import pystac
import pystac.layout
from pydantic import JsonValue

from swath import stacfields as stac
from swath.dataset.site import CATALOG, FORMAT, Acquisition, Dataset, Site
from swath.legend import IGNORE, Legend
from swath.sentinel2 import NODATA

EXTENSIONS = (stac.PROJECTION, stac.EO, stac.FILE, stac.CLASSIFICATION)

# An item lies beside the image that it describes, not in a folder of its own.
_LAYOUT = pystac.layout.CustomLayoutStrategy(
    item_func=lambda item, folder: f"{folder}/{item.id.rsplit('_', 1)[1]}.json"
)

_CONDITIONS = ("eo:cloud_cover", "view:sun_azimuth", "view:sun_elevation")


def write_catalog(dataset: Dataset) -> None:
    """Write `catalog.json` and what hangs on it; the files it names must be in place."""
    catalog = pystac.Catalog(
        id="swath-dataset",
        title="Image series and labels",
        description=f"Made by swath build. {dataset.attribution}",
        extra_fields={
            "swath:format": FORMAT,
            "swath:legend": dataset.legend.model_dump(mode="json"),
            "swath:image": dataset.image.model_dump(mode="json"),
            "swath:attribution": dataset.attribution,
        },
    )
    catalog.set_self_href(str(dataset.root / CATALOG))
    for site in dataset.sites:
        collection = _collection(site, dataset)
        catalog.add_child(collection)
        for acquisition in site.acquisitions:
            collection.add_item(_item(site, acquisition, dataset), strategy=_LAYOUT)
    catalog.save(catalog_type=pystac.CatalogType.SELF_CONTAINED)


def _collection(site: Site, dataset: Dataset) -> pystac.Collection:
    first, last = stac.first_second(site.dates[0]), stac.first_second(site.dates[-1])
    collection = pystac.Collection(
        id=site.name,
        description=f"Image series and labels of {site.name}",
        extent=pystac.Extent(
            pystac.SpatialExtent([list(site.grid.bbox)]), pystac.TemporalExtent([[first, last]])
        ),
        license="other",
        providers=[pystac.Provider(name=dataset.attribution)],
        stac_extensions=list(EXTENSIONS),
        extra_fields={
            **stac.projection(site.grid),
            "swath:labels_date": None if site.labels_date is None else str(site.labels_date),
            "swath:shift_m": list(site.shift_m),
            "swath:finer": site.finer,
            "swath:regions": [{"split": r.split, "window": list(astuple(r.window))} for r in site.regions],
        },
    )
    collection.add_asset("labels", _labels_asset(site, dataset.legend))
    if site.roads is not None:
        roads = pystac.Asset(f"./{site.roads.name}", "Features", None, stac.PARQUET, ["source"])
        collection.add_asset("roads", roads)
    return collection


def _item(site: Site, acquisition: Acquisition, dataset: Dataset) -> pystac.Item:
    day = stac.first_second(acquisition.date)
    # What is known of clouds (of the whole tile) and sun.
    pairs = zip(_CONDITIONS, astuple(acquisition.conditions), strict=True)
    sky = {key: round(value, 4) for key, value in pairs if value is not None}
    item = pystac.Item(
        id=f"{site.name}_{acquisition.date}",
        geometry=stac.footprint(site.grid),
        bbox=list(site.grid.bbox),
        # The files tell the day only.
        datetime=day,
        start_datetime=day,
        end_datetime=stac.last_second(acquisition.date),
        properties={
            **stac.projection(site.grid),
            "constellation": "sentinel-2",
            "swath:shift_m": list(acquisition.shift_m),
            **sky,
            "swath:masks": dict(acquisition.masks),
        },
        # The extension wants one of its fields, so an item whose sun is not known goes without.
        stac_extensions=[*EXTENSIONS, *([stac.VIEW] if any("view:" in key for key in sky) else [])],
    )
    fields: dict[str, JsonValue] = {
        "data_type": "uint8" if dataset.image.encoding == "tci" else "uint16",
        "nodata": NODATA,
        "bands": [stac.band_fields(name) for name in dataset.image.bands],
    }
    item.add_asset("image", _geotiff(acquisition.path, acquisition.sha256, "data", fields))
    item.add_asset("labels", _labels_asset(site, dataset.legend))
    return item


def _labels_asset(site: Site, legend: Legend) -> pystac.Asset:
    fields: dict[str, JsonValue] = {
        "data_type": "uint8",
        "nodata": IGNORE,
        "classification:classes": stac.class_fields(legend),
        **(stac.projection(site.map_grid) if site.finer > 1 else {}),
    }
    return _geotiff(site.labels, site.labels_sha256, "labels", fields)


def _geotiff(path: Path, sha256: str, role: str, fields: dict[str, JsonValue]) -> pystac.Asset:
    title = "Image" if role == "data" else "Labels"
    fields = {**stac.checksum_fields(sha256), **fields}
    return pystac.Asset(f"./{path.name}", title, None, pystac.MediaType.GEOTIFF, [role], fields)
