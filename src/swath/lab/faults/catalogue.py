"""A STAC API on this machine, with its files, that goes away when it is told to."""

import json
import re
import threading
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import numpy as np
import rasterio
from rasterio.windows import Window as RasterWindow

from swath.grid import transform_bounds

COLLECTION = "sentinel-2-l2a"
_ASSETS = {"B02": "blue", "B03": "green", "B04": "red", "B08": "nir"}


class Catalogue:
    """The server; `url` stays the same when it goes and comes back.

    Attributes:
        root: Folder of the files.
        url: Its address.
        asked: Requests since `begin`.
    """

    def __init__(self, root: Path) -> None:
        self.root, self.asked = root, 0
        self.items: list[dict[str, Any]] = []
        self._most: int | None = None
        self._lock = threading.Lock()
        handler = type("_Here", (_Handler,), {"catalogue": self})
        self._server = ThreadingHTTPServer(("127.0.0.1", 0), handler)
        self.url = f"http://127.0.0.1:{self._server.server_port}"

    def begin(self, most: int | None = None) -> None:
        """Answer from now on: everything, or so many requests."""
        self.asked, self._most = 0, most

    @property
    def gone(self) -> bool:
        """Whether it no longer answers."""
        return self._most is not None and self.asked >= self._most

    def admit(self) -> bool:
        """Count a request; whether it is answered."""
        with self._lock:
            answers = not self.gone
            self.asked += answers
            return answers

    def add(self, scene: Path, date: str) -> None:
        """Offer a scene of four bands as one item, its bands cloud-optimised files."""
        with rasterio.open(scene) as source:
            image, profile = source.read(), source.profile
            west, south, east, north = transform_bounds(tuple(source.bounds), str(source.crs), "EPSG:4326")
        assets: dict[str, Any] = {}
        folder = self.root / date
        folder.mkdir(parents=True)
        kept = {key: profile[key] for key in ("width", "height", "crs", "transform")}
        layers = {**dict(zip(_ASSETS, image, strict=True)), "SCL": np.full(image.shape[1:], 4, np.uint8)}
        for band, layer in layers.items():
            path = folder / f"{band}.tif"
            with rasterio.open(path, "w", driver="COG", count=1, dtype=layer.dtype, **kept) as target:
                target.write(layer, 1, window=RasterWindow(0, 0, *layer.shape[::-1]))
            href = f"{self.url}/{date}/{band}.tif"
            asset: dict[str, Any] = {"href": href, "type": "image/tiff; application=geotiff"}
            if band != "SCL":
                asset |= {"raster:bands": [{"nodata": 0, "scale": 0.0001, "offset": -0.1}]}
            assets[_ASSETS.get(band, "scl")] = asset
        ring = [[west, south], [east, south], [east, north], [west, north], [west, south]]
        self.items.append(
            {
                "type": "Feature",
                "stac_version": "1.0.0",
                "id": f"S2B_27TUN_{date.replace('-', '')}_0_L2A",
                "collection": COLLECTION,
                "geometry": {"type": "Polygon", "coordinates": [ring]},
                "bbox": [west, south, east, north],
                "links": [],
                "assets": assets,
                "properties": {
                    "datetime": f"{date}T11:00:00Z",
                    "eo:cloud_cover": 1.0,
                    "s2:processing_baseline": "05.09",
                    "earthsearch:boa_offset_applied": True,
                    "grid:code": "MGRS-27TUN",
                },
            }
        )

    def page(self, path: str) -> dict[str, Any] | None:
        """What a STAC API says at a path."""
        if path == "/search":
            return {"type": "FeatureCollection", "features": self.items, "links": []}
        if path not in ("", "/"):
            return None
        parts = ("core", "collections", "item-search")
        return {
            "type": "Catalog",
            "stac_version": "1.0.0",
            "id": "swath",
            "description": "simulated",
            "conformsTo": [f"https://api.stacspec.org/v1.0.0/{part}" for part in parts],
            "links": [
                {"rel": "self", "href": f"{self.url}/"},
                {"rel": "root", "href": f"{self.url}/"},
                *(
                    {
                        "rel": "search",
                        "href": f"{self.url}/search",
                        "method": method,
                        "type": "application/geo+json",
                    }
                    for method in ("GET", "POST")
                ),
            ],
        }


class _Handler(BaseHTTPRequestHandler):
    catalogue: Catalogue
    protocol_version = "HTTP/1.1"
    timeout = 20

    def log_message(self, format: str, *args: object) -> None:
        pass

    def do_POST(self) -> None:
        self.rfile.read(int(self.headers.get("Content-Length", 0)))
        self.do_GET()

    def do_GET(self) -> None:
        if not self.catalogue.admit():
            self.close_connection = True
            return
        path = self.path.partition("?")[0]
        page = self.catalogue.page(path)
        if page is not None:
            self._send(200, json.dumps(page).encode(), {"Content-Type": "application/json"})
            return
        file = self.catalogue.root / path.lstrip("/")
        if not re.fullmatch(r"/[0-9-]+/[A-Z0-9]+\.tif", path) or not file.is_file():
            self._send(404, b"", {})
            return
        content = file.read_bytes()
        asked = re.fullmatch(r"bytes=(\d+)-(\d*)", self.headers.get("Range", ""))
        if asked is None:
            self._send(200, content, {"Accept-Ranges": "bytes", "ETag": '"1"'})
            return
        first, last = int(asked[1]), min(int(asked[2] or len(content) - 1), len(content) - 1)
        heads = {"Content-Range": f"bytes {first}-{last}/{len(content)}", "ETag": '"1"'}
        self._send(206, content[first : last + 1], heads)

    def _send(self, status: int, content: bytes, heads: dict[str, str]) -> None:
        self.send_response(status)
        for name, value in {**heads, "Content-Length": str(len(content))}.items():
            self.send_header(name, value)
        self.end_headers()
        try:
            self.wfile.write(content)
        except ConnectionError:  # of a client that was killed
            self.close_connection = True


@contextmanager
def serving(root: Path, scenes: Sequence[Path]) -> Iterator[Catalogue]:
    """Serve scenes, named by their dates, while a block runs; `root` is filled with their bands."""
    catalogue = Catalogue(root)
    server = catalogue._server
    server.daemon_threads = True
    for scene in scenes:
        catalogue.add(scene, scene.stem)
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.05})
    thread.start()
    try:
        yield catalogue
    finally:
        server.shutdown()
        thread.join()
        server.server_close()
