"""Bad inputs, by kind: each must end in one line and leave nothing."""

import itertools
import json
import os
import sqlite3
import struct
from collections.abc import Callable, Iterator, Sequence
from functools import partial
from pathlib import Path
from typing import Any, TypeVar

import yaml

from corpus.world import (
    BUILD,
    CHECK,
    COMPARE,
    CONFLATE,
    EVALUATE,
    EVALUATE_LABELS,
    INSPECT,
    MAP,
    MAP_DATASET,
    PLAN,
    REPORT,
    SHOW,
    SIMULATE,
    TRAIN,
    UPDATE,
    Case,
    Spoil,
    change_json,
    put,
    remove,
    write,
    write_yaml,
)

NUMBERS = (".nan", ".inf", "-.inf", "9" * 30, "1.0e+300", "-1.0e+30", "[]", "{}", "text", "'9e999'")
"""As YAML writes them: none is a value of any setting."""

NAMES = {
    "markup": "[/red]",
    "script": "<script>alert(1)</script>",
    "nul": "a\0b",
    "escape": "a\x1b[2Jb",
    "long": "a" * 300,
    "up": "../evil",
    "absolute": "/tmp/evil",
    "newline": "a\nb",
    "bidi": "a\u202eb",
    "empty": "",
    "blank": " ",
    "math": "$\\frac$",
}

SITE_NAMES = {**NAMES, "slash": "a/b", "dot": ".", "dots": "..", "hidden": ".work-x", "unicode": "übel"}


def in_yaml(file: str, keys: str, text: str) -> Spoil:
    """Set a value, as YAML writes it, in a settings file."""

    def spoil(folder: Path, url: str) -> None:
        content = yaml.safe_load((folder / file).read_text("utf-8"))
        put(content, keys, "HERE")
        write(folder / file, yaml.safe_dump(content, sort_keys=False).replace("HERE", text))

    return spoil


def as_file(file: str, content: str | bytes) -> Spoil:
    """Put something else in a file's place."""
    return lambda folder, url: write(
        folder / file,
        content.replace("URL", url).replace("LINE]", _LINE + "]") if isinstance(content, str) else content,
    )


def in_json(file: str, change: Callable[[Any], object]) -> Spoil:
    """Change a JSON file; `*` in its name stands for the only such file, or the first."""
    return lambda folder, url: change_json(sorted(folder.glob(file))[0], change)


SITES_NUMBERS = (
    "resolution_m", "widening/times", "widening/sigma_px", "widening/ring_px", "sites/town/guard_px",
    "sites/town/bounds", "sites/town/shift_m", "fetch/dates", "fetch/max_cloud", "fetch/min_cover",
    "fetch/within_days", "fetch/offset_dn", "sites/town/scenes/0/shift_m", "sites/town/scenes/0/date",
)  # fmt: skip

SETTINGS_NUMBERS = (
    "width", "decoder_convs", "hidden", "layers", "dates", "orientations", "loss_weight",
    "foreground_share", "jitter", "clouds", "fcn/batches", "fcn/batch_size", "fcn/patch_px",
    "fcn/weight_decay", "fcn/clip", "fcn/ema", "rnn/phases/0/learning_rate", "rnn/phases/0/epochs",
)  # fmt: skip

LARGE = (("width", 10**9), ("hidden", 10**9), ("layers", 10**9), ("decoder_convs", 10**9), ("dates", 10**9),
         ("fcn/batches", 10**9), ("fcn/batch_size", 10**9), ("fcn/patch_px", 10**9),
         ("rnn/phases/0/epochs", 10**9))  # fmt: skip


S, T = TypeVar("S"), TypeVar("T")


def rotated(places: Sequence[S], faults: Sequence[T], count: int) -> Iterator[tuple[S, T]]:
    """Every place with `count` of the faults, every fault in turn."""
    turn = itertools.cycle(faults)
    for place in places:
        for fault in itertools.islice(turn, count):
            yield place, fault


def numbers() -> Iterator[Case]:
    """Numbers that are none, or far too large, in every setting."""
    for key, text in rotated(SITES_NUMBERS, NUMBERS, 2):
        # No value at all is a value of these.
        if text in ("[]", "{}") and key == "sites/town/scenes/0/date":
            continue
        yield Case(f"number-sites-{key}-{text}", BUILD, in_yaml("sites.yaml", key, text))
    for key, text in rotated(SETTINGS_NUMBERS, NUMBERS, 2):
        yield Case(f"number-settings-{key}-{text}", TRAIN, in_yaml("settings.yaml", key, text))
    for key, value in LARGE:
        yield Case(f"large-settings-{key}", TRAIN, in_yaml("settings.yaml", key, str(value)))
    for corners in ("[-180, -80, 180, 80]", "[0, 0, 0, 0]", "[5, 5, 4, 4]", "[0, 0, 400, 100]"):
        yield Case(f"bounds-{corners}", BUILD, in_yaml("sites.yaml", "sites/town/bounds", corners))
    for pixel in ("0", "0.0001", "100000", "-10"):
        yield Case(f"pixel-{pixel}", BUILD, in_yaml("sites.yaml", "resolution_m", pixel))
    for seed in ("-1", str(2**32), "9" * 30, "nan", "1e9", "x"):
        for command in (TRAIN, SIMULATE, EVALUATE):
            yield Case(f"seed-{seed}-{command[0]}", [*command, "--seed", seed])
        yield Case(f"seed-{seed}-compare", COMPARE, in_yaml("comparison.yaml", "seeds", f"[{seed}]"))
    for option, text in itertools.product(
        ("--tile", "--workers", "--threshold", "--orientations"), ("nan", "inf", "-5", "9" * 30, "x", "")
    ):
        yield Case(f"option-map{option}-{text}", [*MAP, option, text])
    for option, text in itertools.product(
        ("--dates", "--cloud", "--bounds"), ("nan", "inf", "-5", "9" * 30, "x")
    ):
        yield Case(f"option-simulate{option}-{text}", [*SIMULATE, option, text])
    for text in ("nan,nan,nan,nan", "-180,-80,180,80", "0,0,1e400,1", "1,2,3"):
        yield Case(f"option-simulate-bounds-{text}", [*SIMULATE, "--bounds", text])


YAMLS: dict[str, str | bytes] = {
    "aliases": "a: &a [x,x,x,x,x,x,x,x,x,x]\n"
    + "".join(f"{chr(98 + i)}: &{chr(98 + i)} [{','.join(['*' + chr(97 + i)] * 10)}]\n" for i in range(9)),
    "merges": "a: &a {x: 1}\n"
    + "".join(
        f"{chr(98 + i)}: &{chr(98 + i)} {{<<: [{','.join(['*' + chr(97 + i)] * 10)}]}}\n" for i in range(9)
    ),
    "deep-flow": "[" * 20_000,
    "deep-closed": "a: " + "[" * 200 + "]" * 200,
    "deep-block": "".join(" " * i + "a:\n" for i in range(500)),
    "itself": "&a [*a]",
    "nul": "a: \0",
    "not-utf8": b"a: \xff\xfe",
    "empty": "",
    "list": "- 1",
    "scalar": "42",
    "object": "a: !!python/object/apply:os.system ['touch evil']",
    "tab": "a:\n\t- b",
    "twice": "a: 1\na: 2",
    "unknown": "nobody_knows: 1",
    "date": "a: 2019-13-41",
    "binary": bytes(range(256)) * 8,
    "long": "a: " + "x" * (5 << 20),
    "documents": "a: 1\n---\nb: 2",
    "number": "a: " + "9" * 6000,
    "sexagesimal": "a: " + "1:" * 3000 + "1",
}


def yamls() -> Iterator[Case]:
    """Texts that are no settings, or settings that eat a machine."""
    for name, content in YAMLS.items():
        yield Case(f"yaml-sites-{name}", BUILD, as_file("sites.yaml", content))
        if name != "empty":
            yield Case(f"yaml-settings-{name}", TRAIN, as_file("settings.yaml", content))
    for name, content in list(YAMLS.items())[::2]:
        yield Case(f"yaml-comparison-{name}", COMPARE, as_file("comparison.yaml", content))
        yield Case(f"yaml-legend-{name}", BUILD, legend_of(content))


def legend_of(content: str | bytes) -> Spoil:
    """A legend of the user's own."""

    def spoil(folder: Path, url: str) -> None:
        write(folder / "legend.yaml", content)
        in_yaml("sites.yaml", "legend", "legend.yaml")(folder, url)

    return spoil


def legend(**changes: object) -> str:
    """A legend's text, some of it replaced."""
    ground = {"id": 0, "name": "background", "color": "#000000"}
    road = {"id": 1, "name": "road", "color": "#ffffff", "geometry": "line", "tags": {"highway": ["*"]}}
    value = {"name": "mine", "classes": [ground, road]}
    for keys, new in changes.items():
        put(value, keys, new)
    return json.dumps(value)


def names() -> Iterator[Case]:
    """Names that lead elsewhere, act on a terminal or a page, or clash with swath's own."""
    for kind, name in NAMES.items():
        yield Case(f"name-class-{kind}", BUILD, legend_of(legend(**{"classes/1/name": name})))
        if kind not in ("markup", "script", "up", "absolute", "math", "long", "blank"):
            yield Case(f"name-tag-{kind}", BUILD, legend_of(legend(**{"classes/1/tags": {name: ["*"]}})))
        if kind not in ("markup", "script", "up", "absolute", "math", "long", "empty", "blank"):
            yield Case(f"name-legend-{kind}", BUILD, legend_of(legend(name=name)))
            yield Case(
                f"name-attribution-{kind}", BUILD, in_yaml("sites.yaml", "attribution", json.dumps(name))
            )
    for key in ("geometry", "GEOMETRY", "class_id", "fid", "k" * 300):
        yield Case(f"name-tag-{key[:10]}", BUILD, legend_of(legend(**{"classes/1/tags": {key: ["*"]}})))
    for name in ("gpkg_contents", "sqlite_x", "rtree_a", "Background", "-x", "a\u0000"):
        yield Case(f"name-class-{name[:12]}", BUILD, legend_of(legend(**{"classes/1/name": name})))
    for kind, name in SITE_NAMES.items():
        if kind != "empty":
            yield Case(f"name-option-{kind}", [*MAP, "--name", name.replace("\0", "\x01")])
        yield Case(f"name-site-{kind}", BUILD, rename_site(name))
        collection = in_json("dataset/town/collection.json", lambda value, name=name: put(value, "id", name))
        yield Case(f"name-collection-{kind}-map", MAP_DATASET, collection)
        yield Case(f"name-collection-{kind}-check", CHECK, collection)
        item = in_json(
            "maps/town/item.json", lambda value, name=name: put(value, "properties/swath:site", name)
        )
        yield Case(f"name-item-{kind}", EVALUATE_LABELS, item)


def rename_site(name: str) -> Spoil:
    """Another name for the site of the sites file."""

    def spoil(folder: Path, url: str) -> None:
        content = yaml.safe_load((folder / "sites.yaml").read_text("utf-8"))
        content["sites"] = {name: content["sites"]["town"]}
        write_yaml(folder / "sites.yaml", content)

    return spoil


ODD_FILES: dict[str, Callable[[Path], object]] = {
    "pipe": os.mkfifo,
    "zero": lambda path: path.symlink_to("/dev/zero"),
    "folder": lambda path: path.mkdir(),
    "missing": lambda path: None,
    "loop": lambda path: path.symlink_to(path.name),
    "empty": lambda path: path.write_bytes(b""),
    "noise": lambda path: path.write_bytes(bytes(range(256)) * 64),
}

INPUTS = (
    ("sites.yaml", BUILD), ("roads.geojson", BUILD), ("2019-03-11.tif", BUILD), ("settings.yaml", TRAIN),
    ("dataset/catalog.json", TRAIN), ("dataset/town/collection.json", TRAIN), ("dataset/catalog.json", CHECK),
    ("dataset/town/2021-05-08.json", TRAIN), ("dataset/town/labels.tif", EVALUATE),
    ("dataset/town/2021-12-28.tif", MAP_DATASET), ("run/model.json", MAP), ("run/model.safetensors", MAP),
    ("2019-03-11.tif", MAP), ("2019-03-11.tif", INSPECT), ("2019-03-11.tif", PLAN), ("2020-01-15.tif", UPDATE),
    ("maps/town/item.json", UPDATE), ("maps/town/manifest.json", UPDATE), ("maps/town/classes.tif", UPDATE),
    ("maps/town/item.json", EVALUATE), ("maps/town/pmap.tif", EVALUATE_LABELS), ("labels.tif", EVALUATE_LABELS),
    ("roads.geojson", SIMULATE), ("comparison.yaml", COMPARE), ("dataset/town/roads.parquet", CHECK),
    ("dataset/town/2021-05-08.tif", TRAIN), ("dataset/town/labels.tif", TRAIN), ("dataset/town/2021-05-08.tif", CHECK),
)  # fmt: skip

FINE = {("settings.yaml", "empty")}
"""Nothing to change is no mistake."""


def odd_files() -> Iterator[Case]:
    """Inputs that never end, are no files, or hold nothing."""
    for (file, command), (kind, make) in rotated(INPUTS, list(ODD_FILES.items()), 3):
        if (file, kind) in FINE or (file.endswith(".tif") and file.startswith("maps") and kind == "missing"):
            continue
        yield Case(f"file-{kind}-{'-'.join(command[:2])}-{file}", command, replaced(file, make))
    for kind, make in ODD_FILES.items():
        for key in ("coverage", "ignore", "scenes/0/mask"):
            spoil = both(
                replaced("odd.geojson", make), in_yaml("sites.yaml", f"sites/town/{key}", "odd.geojson")
            )
            yield Case(f"file-{kind}-{key}", BUILD, spoil)
        yield Case(f"file-{kind}-legend", BUILD, both(legend_of(legend()), replaced("legend.yaml", make)))


def replaced(file: str, make: Callable[[Path], object]) -> Spoil:
    """Something else under a file's name."""

    def spoil(folder: Path, url: str) -> None:
        remove(folder / file)
        make(folder / file)

    return spoil


def both(*spoils: Spoil) -> Spoil:
    """One after the other."""

    def spoil(folder: Path, url: str) -> None:
        for one in spoils:
            one(folder, url)

    return spoil


JSONS = (
    ("dataset/catalog.json", TRAIN), ("dataset/town/collection.json", CHECK), ("dataset/town/2021-05-08.json", MAP_DATASET),
    ("run/model.json", MAP), ("maps/town/item.json", EVALUATE_LABELS), ("maps/town/manifest.json", UPDATE),
)  # fmt: skip

MANGLED: dict[str, Callable[[str], str | bytes]] = {
    "half": lambda text: text[: len(text) // 2],
    "list": lambda text: "[]",
    "null": lambda text: "null",
    "number": lambda text: "7",
    "deep": lambda text: "[" * 100_000 + "]" * 100_000,
    "nested": lambda text: '{"a":' * 200 + "1" + "}" * 200,
    "twice": lambda text: text.replace("{", '{"a":1,"a":2,', 1),
    "nan": lambda text: text.replace("{", '{"a":NaN,', 1),
    "inf": lambda text: text.replace("{", '{"a":1e999,', 1),
    "digits": lambda text: text.replace("{", '{"a":' + "9" * 5000 + ",", 1),
    "digits30": lambda text: text.replace("{", '{"a":' + "9" * 30 + ",", 1),
    "latin": lambda text: text.encode() + b"\xff",
}


def jsons() -> Iterator[Case]:
    """JSON that is broken, or that no machine should read."""
    for (file, command), (kind, mangle) in rotated(JSONS, list(MANGLED.items()), 5):

        def spoil(folder: Path, url: str, file: str = file, mangle: Callable[..., Any] = mangle) -> None:
            write(folder / file, mangle((folder / file).read_text("utf-8")))

        yield Case(f"json-{kind}-{file}", command, spoil)
    for file, command, keys in (
        ("dataset/catalog.json", TRAIN, ("swath:legend", "swath:image", "swath:attribution", "links", "swath:format")),
        ("dataset/town/collection.json", CHECK, ("id", "links", "assets", "proj:shape", "proj:transform", "swath:regions")),
        ("dataset/town/2021-05-08.json", TRAIN, ("properties", "assets")),
        ("run/model.json", MAP, ("name", "image", "legend", "scaling", "sizes", "dates", "splits")),
        ("maps/town/item.json", UPDATE, ("properties",)),
        ("maps/town/manifest.json", UPDATE, ("crs", "shape", "transform", "dates", "settings", "run", "model_sha256")),
    ):  # fmt: skip
        for key, new in rotated(keys, (None, -1, "x", [{}]), 2):
            if key in ("name", "id", "swath:attribution") and new == "x":
                continue
            change = in_json(file, lambda value, key=key, new=new: put(value, key, new))
            yield Case(f"json-{file}-{key}-{new}", command, change)
    for shape in ([10**9, 10**9], [0, 0], [-1, 5], [1.5, 2], [10**9, 1]):
        change = in_json(
            "dataset/town/collection.json", lambda value, shape=shape: put(value, "proj:shape", shape)
        )
        yield Case(f"json-shape-{shape}", MAP_DATASET, change)
    for transform in ([0] * 6, [10, 0, 1e30, 0, -10, 1e30], [1e5] * 6, [10, 0, 0, 0, 10, 0], []):
        change = in_json(
            "dataset/town/collection.json",
            lambda value, transform=transform: put(value, "proj:transform", transform),
        )
        yield Case(f"json-transform-{transform}", MAP_DATASET, change)
    for window in ([0, 0, 10**9, 10**9], [-5, 0, 3, 3], [0, 0, -1, -1]):
        change = in_json(
            "dataset/town/collection.json",
            lambda value, window=window: put(value, "swath:regions/0/window", window),
        )
        yield Case(f"json-region-{window}", TRAIN, change)


HREFS = (
    "../../evil.json", "/etc/passwd", "URL/x.json", "file:///etc/passwd", "/vsicurl/URL/x", "a\0b", "..\\evil",
    "C:\\evil", "", ".", "x" * 3000, "//host/x", "./../../sites.yaml",
)  # fmt: skip


NAMED_IN = (
    ("dataset/catalog.json", "links", TRAIN),
    ("dataset/town/collection.json", "links", CHECK),
    ("dataset/town/2021-05-08.json", "assets/image/href", MAP_DATASET),
    ("dataset/town/collection.json", "assets/labels/href", TRAIN),
    ("dataset/town/collection.json", "assets/roads/href", CHECK),
)


def places() -> Iterator[Case]:
    """Places that a catalogue may not name."""
    for (number, href), (file, keys, command) in rotated(list(enumerate(HREFS)), NAMED_IN, 4):
        spoil = partial(name_place, file, keys, href)
        yield Case(f"place-{number}-{file}-{keys}", command, spoil)
    for link, command in itertools.product(
        (".work-town", ".old-town"),
        (UPDATE, [*MAP[:-4], "--out", "maps", "--name", "town", "--overwrite", "--tile", "64"]),
    ):
        spoil = replaced(f"maps/{link}", lambda path: path.symlink_to("../../precious"))
        yield Case(f"link-{link}-{command[0]}", command, spoil)
    linked = both(
        replaced("moved", lambda path: (path.parent / "maps" / "town").rename(path)),
        replaced("maps/town", lambda path: path.symlink_to("../moved")),
    )
    yield Case("link-town-update", UPDATE, linked)
    outside = replaced("dataset/town/labels.tif", lambda path: path.symlink_to("../../labels.tif"))
    yield Case("link-labels-train", TRAIN, outside)
    for name in ("../../../etc/passwd", "/dev/zero", "a/b"):
        change = in_json(
            "maps/town/manifest.json",
            lambda value, name=name: put(
                value["outputs"], name.replace("/", "\x01"), {"key": "k", "sha256": "s"}
            ),
        )
        named = both(change, lambda folder, url: _unescape(folder / "maps/town/manifest.json"))
        yield Case(f"place-output-{name}", UPDATE, named)


def name_place(file: str, keys: str, href: str, folder: Path, url: str) -> None:
    """Set a place that a catalogue's file names: of an asset, or of the first of its links."""

    def change(value: Any) -> None:
        if keys == "links":
            link = next(link for link in value["links"] if link["rel"] in ("child", "item"))
            link["href"] = href.replace("URL", url)
        else:
            put(value, keys, href.replace("URL", url))

    change_json(folder / file, change)


def _unescape(path: Path) -> None:
    write(path, path.read_text("utf-8").replace("\\u0001", "/"))


RASTERS: dict[str, str | bytes] = {
    "vrt": '<VRTDataset rasterXSize="64" rasterYSize="64"><SRS>EPSG:32630</SRS><GeoTransform>0,10,0,0,0,-10</GeoTransform>'
    '<VRTRasterBand dataType="Byte" band="1"><SimpleSource><SourceFilename>/vsicurl/URL/x.tif</SourceFilename>'
    "<SourceBand>1</SourceBand></SimpleSource></VRTRasterBand></VRTDataset>",
    "warped": '<VRTDataset rasterXSize="64" rasterYSize="64" subClass="VRTWarpedDataset"><GDALWarpOptions>'
    "<SourceDataset>/vsicurl/URL/x.tif</SourceDataset></GDALWarpOptions></VRTDataset>",
    "wms": '<GDAL_WMS><Service name="TMS"><ServerUrl>URL/${z}/${x}/${y}</ServerUrl></Service><DataWindow/></GDAL_WMS>',
    "gti": "<GDALTileIndexDataset><IndexDataset>/vsicurl/URL/x.gpkg</IndexDataset></GDALTileIndexDataset>",
    "stacit": '{"type":"FeatureCollection","stac_version":"1.0.0","features":[{"assets":{"a":{"href":"URL/x.tif"}}}]}',
    "stacta": '{"stac_extensions":["tiled-assets"],"tiled-assets":{"href":"URL"}}',
    "gdalg": '{"type":"gdal_streamed_alg","command_line":"gdal raster pipeline ! read /vsicurl/URL/x.tif ! write"}',
    "png": b"\x89PNG\r\n\x1a\n" + b"\0" * 64,
    "text": "no image",
    "tiff-cut": b"II*\0\x08\0\0\0",
    "tiff-huge": b"II*\0" + struct.pack("<I", 0xFFFFFFF0),
    "jp2-cut": b"\0\0\0\x0cjP  \r\n\x87\n" + b"\0" * 32,
    "zip": b"PK\x03\x04" + b"\0" * 40,
    "hdf": b"\x89HDF\r\n\x1a\n" + b"\0" * 64,
    "ogr": '<OGRVRTDataSource><OGRVRTLayer name="x"><SrcDataSource>URL/x</SrcDataSource></OGRVRTLayer></OGRVRTDataSource>',
}


RASTER_INPUTS = (
    ("2019-03-11.tif", MAP), ("2019-03-11.tif", INSPECT), ("2019-03-11.tif", BUILD), ("2020-01-15.tif", UPDATE),
    ("labels.tif", EVALUATE_LABELS), ("dataset/town/labels.tif", EVALUATE), ("mask.tif", [*MAP, "--mask", "mask.tif"]),
    ("dataset/town/2021-05-08.tif", TRAIN), ("dataset/town/labels.tif", TRAIN), ("dataset/town/2021-12-28.tif", MAP_DATASET),
)  # fmt: skip


def rasters() -> Iterator[Case]:
    """What is called .tif and is none, or names other files and servers."""
    for (kind, content), (file, command) in rotated(list(RASTERS.items()), RASTER_INPUTS, 4):
        yield Case(f"raster-{kind}-{command[0]}-{file}", command, as_file(file, content))
    for beside, command in itertools.product((".ovr", ".msk"), (MAP, BUILD)):
        spoil = as_file(f"2019-03-11.tif{beside}", RASTERS["vrt"])
        yield Case(f"raster-beside-{beside}-{command[0]}", command, spoil)
    for domain in ("OVERVIEWS", "ProxyOverviewRequest"):
        yield Case(f"raster-metadata-{domain}", MAP, name_overview(domain))
    for size in ("1e5", "1e30", "1e-9", "nan"):
        yield Case(f"raster-pixel-{size}", MAP, pixel_size(float(size)))


def name_overview(domain: str) -> Spoil:
    """A TIFF whose own metadata name another file for its overviews."""

    def spoil(folder: Path, url: str) -> None:
        key = "OVERVIEW_FILE" if domain == "OVERVIEWS" else "FILENAME"
        text = f'<PAMDataset><Metadata domain="{domain}"><MDI key="{key}">/vsicurl/{url}/x.tif</MDI></Metadata></PAMDataset>'
        write(folder / "2019-03-11.tif.aux.xml", text)

    return spoil


def pixel_size(size: float) -> Spoil:
    """The first scene with pixels of another size."""

    def spoil(folder: Path, url: str) -> None:
        import rasterio
        from affine import Affine

        path = folder / "2019-03-11.tif"
        write(path, path.read_bytes())
        with rasterio.open(path, "r+") as image:
            old = image.transform
            image.transform = Affine(size, 0, old.c, 0, -size, old.f)

    return spoil


def map_rasters() -> Iterator[Case]:
    """Maps whose PMaps were opened, changed and saved by another program."""
    for command, (kind, change) in itertools.product(
        (REPORT, CONFLATE, EVALUATE_LABELS, UPDATE), MAP_RASTERS.items()
    ):
        for name in ("pmap.tif", "pmap_2019-03-11.tif"):
            yield Case(f"map-raster-{kind}-{name}-{command[0]}", command, saved_anew(name, change))


def saved_anew(name: str, change: Callable[[Any, dict[str, Any]], Any]) -> Spoil:
    """A raster of the maps with other pixels, or another profile."""

    def spoil(folder: Path, url: str) -> None:
        import rasterio

        path = folder / "maps" / "town" / name
        with rasterio.open(path) as source:
            pixels, names = source.read(), source.descriptions
            profile: dict[str, Any] = {"driver": "GTiff", "crs": source.crs, "transform": source.transform}
        profile["names"] = names
        pixels = change(pixels, profile)
        names = profile.pop("names")
        count, height, width = pixels.shape
        remove(path)
        with rasterio.open(
            path, "w", count=count, height=height, width=width, dtype=pixels.dtype, **profile
        ) as target:
            target.write(pixels)
            target.descriptions = (*names, *[None] * count)[:count]

    return spoil


MAP_RASTERS: dict[str, Callable[[Any, dict[str, Any]], Any]] = {
    "more": lambda pixels, _: pixels[[0, 1, 0]],
    "float": lambda pixels, _: pixels.astype("float32") / 254,
    "cut": lambda pixels, _: pixels[:, :40, :40],
    "moved": lambda pixels, profile: (
        profile.update(transform=profile["transform"] @ profile["transform"].translation(3, 0)) or pixels
    ),
    "named": lambda pixels, profile: profile.update(names=(None, None)) or pixels,
}


_LINE = '{"type":"Feature","properties":{"highway":"residential"},"geometry":{"type":"LineString","coordinates":[[0,0],[1,1]]}}'
VECTORS: dict[str, str | bytes] = {
    "vrt": RASTERS["ogr"],
    "crs-link": '{"type":"FeatureCollection","crs":{"type":"link","properties":{"href":"URL/crs"}},"features":[LINE]}',
    "crs-url": '{"type":"FeatureCollection","crs":{"TYPE":"Url","properties":{"url":"URL/crs"}},"features":[LINE]}',
    "crs-escaped": '{"type":"FeatureCollection","\\u0063rs":{"type":"l\\u0069nk","properties":{"href":"URL"}},"features":[LINE]}',
    "crs-geometry": '{"type":"LineString","crs":{"type":"link","properties":{"href":"URL/crs"}},"coordinates":[[0,0],[1,1]]}',
    "steps": '{"type":"gdal_streamed_alg","command_line":"gdal vector pipeline ! read /vsicurl/URL/x.geojson"}',
    "gml": '<?xml version="1.0"?><wfs:FeatureCollection xmlns:wfs="http://www.opengis.net/wfs" xmlns:gml="http://www.opengis.net/gml" xsi:schemaLocation="x URL/x.xsd" xmlns:xsi="x"/>',
    "deep": '{"type":"FeatureCollection","features":' + "[" * 100_000,
    "cut": '{"type":"FeatureCollection","features":[{"type":"Feature","prop',
    "elsewhere": '{"type":"FeatureCollection","features":[LINE]}',
    "none": '{"type":"FeatureCollection","features":[]}',
    "sqlite": b"SQLite format 3\0" + b"\0" * 200,
    "text": "roads",
}  # fmt: skip


SUFFIXES = (".gpkg", ".fgb", ".shp", ".parquet", ".osm", ".osm.pbf", ".json", ".free.shp.zip", ".txt")


def vectors() -> Iterator[Case]:
    """What is called .geojson and is none, or has something fetched."""
    for kind, content in VECTORS.items():
        if kind != "none":  # a place without any road can be built
            yield Case(f"vector-{kind}-build", BUILD, as_file("roads.geojson", content))
        if kind != "elsewhere":
            yield Case(f"vector-{kind}-simulate", SIMULATE, as_file("roads.geojson", content))
        polygons = both(
            as_file("odd.geojson", content), in_yaml("sites.yaml", "sites/town/coverage", "odd.geojson")
        )
        if kind not in ("none", "elsewhere"):
            yield Case(f"vector-{kind}-coverage", BUILD, polygons)
    for (kind, content), suffix in rotated(list(VECTORS.items()), SUFFIXES, 2):
        labels = both(
            as_file(f"odd{suffix}", content), in_yaml("sites.yaml", "sites/town/labels", f"odd{suffix}")
        )
        yield Case(f"vector-{kind}-as{suffix}", BUILD, labels)


def models() -> Iterator[Case]:
    """Runs that take a machine's memory, or whose numbers are none."""
    for size, value in itertools.product(
        ("width", "hidden", "layers", "decoder_convs"), (10**9, 4096, 0, -1, 1.5, 8)
    ):
        change = in_json(
            "run/model.json", lambda spec, size=size, value=value: put(spec, f"sizes/{size}", value)
        )
        yield Case(f"model-{size}-{value}", MAP, change)
    for key, value in (
        ("dates", 10**9), ("orientations", 3), ("temperature", 0), ("temperature", 1e30), ("scaling/scale", [0, 0, 0]),
        ("scaling/scale", [1]), ("scaling/offset", [1e300] * 3), ("name", "x" * 300), ("name", "../x"), ("format", 99),
        ("legend/classes/1/name", "[/red]"), ("attribution", "a\x1b[2J"), ("image/bands", ["B99"]), ("image/bands", []),
    ):  # fmt: skip
        change = in_json("run/model.json", lambda spec, key=key, value=value: put(spec, key, value))
        yield Case(f"model-{key}-{str(value)[:12]}", MAP, change)
    for kind, content in {
        "header": struct.pack("<Q", 2**60) + b"{}",
        "cut": struct.pack("<Q", 100) + b"{",
        "json": struct.pack("<Q", 9) + b'{"a":[[[[',
        "tensor": struct.pack("<Q", 67)
        + b'{"fcn.x":{"dtype":"F32","shape":[99999999],"data_offsets":[0,4]}}  '
        + b"\0" * 4,
        "pickle": b"\x80\x04cos\nsystem\n",
    }.items():
        yield Case(f"weights-{kind}", MAP, as_file("run/model.safetensors", content))
    for value in ("nan", "inf", "-inf"):
        yield Case(f"weights-{value}", MAP, weight_of(float(value)))


def weight_of(value: float) -> Spoil:
    """One weight becomes this."""

    def spoil(folder: Path, url: str) -> None:
        from safetensors.torch import load_file, save

        weights = load_file(folder / "run" / "model.safetensors")
        name = next(key for key in sorted(weights) if weights[key].is_floating_point())
        weights[name].view(-1)[0] = value
        write(folder / "run" / "model.safetensors", save(weights))

    return spoil


def _described(change: Callable[[dict[str, Any]], object]) -> Callable[[Any, Path], object]:
    """A GeoParquet whose own description is changed."""

    def make(roads: Any, path: Path) -> None:
        import pyarrow.parquet as pq

        roads.to_parquet(path)
        table = pq.read_table(path)
        geo = json.loads(table.schema.metadata[b"geo"])
        change(geo)
        pq.write_table(table.replace_schema_metadata({b"geo": json.dumps(geo)}), path)

    return make


def _numbered(roads: Any, path: Path) -> None:
    import pyarrow as pa
    import pyarrow.parquet as pq

    roads.to_parquet(path)
    table = pq.read_table(path)
    at = table.schema.get_field_index("geometry")
    numbers = table.set_column(at, "geometry", pa.array(range(len(table))))
    pq.write_table(numbers.replace_schema_metadata(table.schema.metadata), path)


def _without_table(roads: Any, path: Path) -> None:
    roads.to_file(path, layer="roads")
    connection = sqlite3.connect(path)
    connection.execute("drop table roads")
    connection.commit()
    connection.close()


def _plain(roads: Any, path: Path) -> None:
    import pyogrio

    pyogrio.write_dataframe(roads[["highway"]], path)


DAMAGED: dict[str, Callable[[Any, Path], object]] = {
    "primary.parquet": _described(lambda geo: geo.update(primary_column="x")),
    "system.parquet": _described(lambda geo: geo["columns"]["geometry"].update(crs={"a": 1})),
    "numbers.parquet": _numbered,
    "dropped.gpkg": _without_table,
    "plain.gpkg": _plain,
}
"""Vector files that contradict themselves, or hold no places."""


def damaged() -> Iterator[Case]:
    """Damaged vectors wherever they are shown or read, and what stands in the place of decisions."""
    for file, make in DAMAGED.items():
        for command in (SHOW, [*REPORT, "--with", "FILE"], [*CONFLATE[:2], "FILE", *CONFLATE[3:]]):
            given = [file if word == "FILE" else word for word in command]
            yield Case(f"damaged-{file}-{command[0]}", given, roads_as(file, make))
    for kind, odd in ODD_FILES.items():
        if kind != "missing":
            yield Case(f"decisions-{kind}", REPORT, replaced("maps/decisions.gpkg", odd))
    two = saved_anew("image_2019-03-11.tif", lambda pixels, profile: profile.update(names=()) or pixels[:2])
    yield Case("picture-of-two-bands", REPORT, two)
    yield Case("show-extract", ["show", "a.osm", "--out", "out.png"], as_file("a.osm", "<osm/>"))
    yield Case("show-huge", ["show", "huge.tif", "--out", "out.png"], _sparse)
    yield Case("show-as-jpeg", ["show", "roads.geojson", "--out", "out.jpg"])
    yield Case("show-json-of-nothing", ["show", "roads.geojson", "--json"])
    yield Case(
        "show-name", ["show", "\udcff.geojson", "--out", "out.png"], replaced("\udcff.geojson", Path.touch)
    )


def roads_as(file: str, make: Callable[[Any, Path], object]) -> Spoil:
    """A few roads as another file."""

    def spoil(folder: Path, url: str) -> None:
        import geopandas

        make(geopandas.read_file(folder / "roads.geojson")[:9], folder / file)

    return spoil


def _sparse(folder: Path, url: str) -> None:
    """An image of 10^12 pixels, none of them written."""
    import rasterio
    from affine import Affine

    side: dict[str, Any] = {"width": 10**6, "height": 10**6, "blockxsize": 16384, "blockysize": 16384}
    side["transform"] = Affine(10, 0, 0, 0, -10, 0)
    with rasterio.open(
        folder / "huge.tif", "w", "GTiff", count=1, dtype="uint8", tiled=True, sparse_ok=True, **side
    ):
        pass


KINDS = (numbers, yamls, names, odd_files, jsons, places, rasters, map_rasters, vectors, damaged, models)


def cases() -> dict[str, Case]:
    """All of them, by name."""
    found: dict[str, Case] = {}
    for kind in KINDS:
        for case in kind():
            name = "".join(c if c.isascii() and (c.isalnum() or c in "-._") else "_" for c in case.name)[:120]
            while name in found:
                name += "+"
            found[name] = case
    return found
