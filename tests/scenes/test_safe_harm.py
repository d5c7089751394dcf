"""Sentinel-2 products that lie, are damaged or would do harm: one clear line, and no harm."""

import struct
import zipfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from support import safe_products as made_of
from support.safe_products import (
    GRID,
    PRODUCTS,
    band_file,
    change,
    encode,
    ground,
    metadata_file,
    tile_file,
    write_safe,
    zip_safe,
)
from swath.errors import InputError
from swath.scenes import jp2, safe_files
from swath.scenes.jp2 import decode
from swath.scenes.safe import read_product, read_reflectance
from swath.scenes.safe_xml import parse_product, parse_tile
from swath.scenes.scene import read_scene
from swath.scenes.warp import read_on_grid
from swath.sentinel2 import ImageSettings

REFLECTANCE = ImageSettings(encoding="reflectance")


# --- metadata that lie -----------------------------------------------------------------------

LIES = [
    ("product", 'unit="none">10000<', 'unit="none">0<', "QUANTIFICATION_VALUE is 0; expected"),
    ("product", 'unit="none">10000<', 'unit="none">-10000<', "QUANTIFICATION_VALUE is -10000"),
    ("product", 'unit="none">10000<', 'unit="none">NaN<', "is 'NaN'; expected a number"),
    ("product", 'unit="none">10000<', 'unit="none">1e999<', "expected a number"),
    ("product", 'unit="none">10000<', 'unit="none">many<', "is 'many'; expected a number"),
    ("product", "QUANTIFICATION_VALUE", "SOMETHING", "no QUANTIFICATION_VALUE"),
    ("product", "RADIO_ADD_OFFSET", "OTHER_OFFSET", "baseline 05.11 declares no RADIO_ADD_OFFSET"),
    ("product", 'band_id="3"', 'band_id="33"', "no RADIO_ADD_OFFSET for B04"),
    ("product", 'band_id="3"', 'band_id="B4"', "band_id of RADIO_ADD_OFFSET is 'B4'"),
    ("product", ">-1000<", ">inf<", "RADIO_ADD_OFFSET is 'inf'"),
    ("product", ">-1000<", ">-1e9<", "RADIO_ADD_OFFSET is -1e[+]09"),
    ("product", "INDEX>0<", "INDEX>7<", "NODATA is 7; expected 0"),
    ("product", 'physicalBand="B4"', 'physicalBand="B3"', "unknown or named twice"),
    ("product", "BASELINE>05.11<", "BASELINE>new<", "PROCESSING_BASELINE is 'new'"),
    ("product", "Level-1C_User_Product", "Level-1B_User_Product", "Level-1B_User_Product"),
    ("tile", "<NROWS>120<", "<NROWS>1098000000<", "120 x 1098000000 px of 10 m .* at most 10980"),
    ("tile", "<NCOLS>60<", "<NCOLS>5491<", "5491 x 60 px of 20 m is declared"),
    ("tile", "<NROWS>120<", "<NROWS>0<", "120 x 0 px"),
    ("tile", "<NROWS>120<", "<NROWS>120.5<", "expected a whole number"),
    ("tile", "<NROWS>60<", "<NROWS>59<", "the 20 m images span"),
    ("tile", "<XDIM>10<", "<XDIM>5<", "pixels of 5 x -10 m are declared as 10 m"),
    ("tile", "<ULX>600000<", "<ULX>nan<", "ULX is 'nan'"),
    ("tile", "<ULX>600000<", "<ULX>6e9<", "outside UTM"),
    ("tile", "EPSG:32630", "EPSG:4326", "expected EPSG:326nn/327nn"),
    ("tile", "EPSG:32630", "EPSG:32661", "expected EPSG:326nn/327nn"),
    ("tile", 'resolution="10"', 'resolution="11"', "no Size and Geoposition of 10 m"),
    ("tile", "T11:04:24.002Z", "soon", "SENSING_TIME is '2025-06-21soon'"),
    ("tile", "2025-06-21T11", "1925-06-21T11", "since 2015"),
    ("tile", "_T30UWU_", "_T99ZZZ_", "names no MGRS tile"),
    ("tile", "SENSING_TIME", "OTHER_TIME", "no SENSING_TIME"),
]


@pytest.mark.parametrize(("file", "old", "new", "message"), LIES)
def test_metadata_that_lie(file: str, old: str, new: str, message: str) -> None:
    made = PRODUCTS["L1C_N0511"]
    product = file == "product"
    text = made_of.product_xml(made, "x", []) if product else made_of.tile_xml(made)
    assert old in text
    parse = parse_product if product else parse_tile
    parse(text.encode(), "true")
    with pytest.raises(InputError, match=message) as caught:
        parse(text.replace(old, new).encode(), "lie")
    assert "\n" not in str(caught.value)


def test_no_offsets_are_right_before_baseline_04_and_never_after() -> None:
    old = made_of.product_xml(PRODUCTS["L1C_N0206"], "x", [])
    assert set(parse_product(old.encode(), "old").offsets.values()) == {0}
    # A product of before 2022, processed anew: what counts is the file, not the date.
    new = old.replace("02.06", "05.00")
    with pytest.raises(InputError, match=r"baseline 05\.00 declares no"):
        parse_product(new.encode(), "new")


def test_images_that_are_not_as_the_metadata_say(tmp_path: Path) -> None:
    folder = write_safe(tmp_path, "L1C_N0511")
    file = band_file(folder, "B04")
    for image, message in [
        (np.ones((60, 60), np.uint16), "has 60 x 60 px in 1 bands; .* 120 x 120 px in 1"),
        (np.ones((3, 120, 120), np.uint8), "in 3 bands"),
    ]:
        file.write_bytes(encode(image, 10, 8 * image.itemsize))
        with pytest.raises(InputError, match=message):
            read_reflectance(read_product(folder), "B04")
    numbers = np.full(GRID.shape, 2000, np.uint16)
    file.write_bytes(encode(numbers, 10, 16, left=600_010))
    with pytest.raises(InputError, match=r"lies at \(600010, 5300040\).*say \(600000, 5300040"):
        read_reflectance(read_product(folder), "B04")
    # Without a georeference of its own, the metadata's holds.
    inside = encode(numbers, 10, 16)
    file.write_bytes(inside[inside.index(b"\xff\x4f\xff\x51") :])
    assert (read_reflectance(read_product(folder), "B04") == 1000).all()


@pytest.mark.parametrize("key", ["L1C_N0204_old", "L2A_N0205_early", "L2A_N0400", "L1C_N0511"])
def test_an_image_with_a_wrong_checksum_is_refused(tmp_path: Path, key: str) -> None:
    # Noise inside the codestream, which may well decode: the manifest knows better.
    folder = write_safe(tmp_path, key)
    file = band_file(folder, "B03", trusted=True)
    data = file.read_bytes()
    np.testing.assert_array_equal(read_reflectance(read_product(folder), "B03"), ground("B03"))
    middle = len(data) // 2
    file.write_bytes(data[:middle] + bytes([data[middle] ^ 1]) + data[middle + 1 :])
    kind = "SHA3-256" if "N05" in key else "MD5"
    with pytest.raises(InputError, match=f"the {kind} of GRANULE/.* is not what manifest.safe"):
        read_reflectance(read_product(folder), "B03")
    # The others can still be read; and without a manifest nothing is known.
    np.testing.assert_array_equal(read_reflectance(read_product(folder), "B02"), ground("B02"))
    file.write_bytes(data)
    (folder / "manifest.safe").unlink()
    np.testing.assert_array_equal(read_reflectance(read_product(folder), "B03"), ground("B03"))
    bomb = '<!DOCTYPE x [<!ENTITY a "ha">]><x>&a;</x>'
    (folder / "manifest.safe").write_text(bomb)
    with pytest.raises(InputError, match="has a document type or entities"):
        read_reflectance(read_product(folder), "B03")


def test_bands_that_are_missing(tmp_path: Path) -> None:
    folder = write_safe(tmp_path, "L1C_N0511")
    for band in ("B08", "B04"):
        band_file(folder, band).unlink()
    scene = read_scene(folder)
    with pytest.raises(InputError, match=r"no band B08; the product has B01, B02.* wanted are B08"):
        read_on_grid(scene, GRID, ImageSettings(bands=("B08",)))
    # The TCI shows B04, but it is no reflectance.
    np.testing.assert_array_equal(read_on_grid(scene, GRID, ImageSettings()), made_of.true_color())
    with pytest.raises(InputError, match="no image B04"):
        read_on_grid(scene, GRID, REFLECTANCE)
    for file in folder.glob("GRANULE/*/IMG_DATA/*"):
        file.unlink()
    with pytest.raises(InputError, match="no image"):
        read_scene(folder)


# --- files that would do harm ----------------------------------------------------------------


def test_what_is_no_product_says_so(tmp_path: Path) -> None:
    (tmp_path / "empty.SAFE").mkdir()
    with pytest.raises(InputError, match=r"no Sentinel-2 product; expected a \.SAFE folder"):
        read_scene(tmp_path / "empty.SAFE")
    with pytest.raises(InputError, match=r"gone\.SAFE: no such file or folder"):
        read_scene(tmp_path / "gone.SAFE")
    with pytest.raises(InputError, match=r"gone\.zip: no such file or folder"):
        read_scene(tmp_path / "gone.zip")
    (tmp_path / "text.zip").write_text("no zip")
    with pytest.raises(InputError, match="not readable as a zip"):
        read_scene(tmp_path / "text.zip")
    with zipfile.ZipFile(tmp_path / "other.zip", "w") as archive:
        archive.writestr("roads.shp", "x")
    with pytest.raises(InputError, match=r"expected the zip of one .* found 0"):
        read_scene(tmp_path / "other.zip")
    folder = write_safe(tmp_path, "L1C_N0400")
    tile_file(folder).unlink()
    with pytest.raises(InputError, match="no granule"):
        read_scene(folder)


@pytest.mark.parametrize(
    "name",
    ["../evil.txt", "/etc/evil", "X.SAFE/../../evil", "C:/evil", "X.SAFE\\..\\evil", "a//b"],
)
def test_unsafe_names_in_a_zip(tmp_path: Path, name: str) -> None:
    packed = zip_safe(write_safe(tmp_path / "in", "L1C_N0400"))
    with zipfile.ZipFile(packed, "a") as archive:
        archive.writestr(zipfile.ZipInfo(name), b"evil")
    before = sorted(tmp_path.rglob("*"))
    with pytest.raises(InputError, match="unsafe name in the zip"):
        read_scene(packed)
    assert sorted(tmp_path.rglob("*")) == before


def test_zips_that_lie(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    packed = zip_safe(write_safe(tmp_path, "L1C_N0400"))
    whole = packed.read_bytes()
    band = next(n for n in zipfile.ZipFile(packed).namelist() if n.endswith("_B04.jp2"))
    header = zipfile.ZipFile(packed).getinfo(band).header_offset

    damaged = bytearray(whole)
    damaged[header + 300 : header + 320] = bytes(20)
    packed.write_bytes(damaged)
    with pytest.raises(InputError, match=r"_B04\.jp2 cannot be read \(.*\); get the product again"):
        read_reflectance(read_product(packed), "B04")

    # The central directory says that the band has 4 GB.
    entry = whole.rindex(band.encode()) - 46
    damaged = bytearray(whole)
    damaged[entry + 24 : entry + 28] = struct.pack("<I", 2**32 - 2)
    packed.write_bytes(damaged)
    with pytest.raises(InputError, match=r"has 4294967294 bytes; no such file .* will not be read"):
        read_reflectance(read_product(packed), "B04")

    damaged = bytearray(whole)
    damaged[entry + 8] |= 1  # "encrypted"
    packed.write_bytes(damaged)
    with pytest.raises(InputError, match=r"cannot be read .*encrypted"):
        read_reflectance(read_product(packed), "B04")

    packed.write_bytes(whole)
    with zipfile.ZipFile(packed, "a") as archive:
        archive.writestr("Y.SAFE/MTD_MSIL1C.xml", "second")
    with pytest.raises(InputError, match="found 2"):
        read_scene(packed)
    monkeypatch.setattr(safe_files, "MAX_FILES", 10)
    with pytest.raises(InputError, match="no product has more than 10"):
        read_scene(packed)


BOMBS = {
    "laughs": '<!DOCTYPE x [<!ENTITY a "ha"><!ENTITY b "&a;&a;&a;">]>',
    "external": '<!DOCTYPE x [<!ENTITY a SYSTEM "file:///etc/passwd">]>',
    "parameter": '<!DOCTYPE x [<!ENTITY % a SYSTEM "http://127.0.0.1:9/x"> %a;]>',
    "document type": '<!DOCTYPE x SYSTEM "http://127.0.0.1:9/x.dtd">',
}


@pytest.mark.parametrize("bomb", BOMBS)
@pytest.mark.parametrize("which", [metadata_file, tile_file])
def test_entity_bombs(tmp_path: Path, bomb: str, which: object) -> None:
    folder = write_safe(tmp_path, "L1C_N0400")
    file = which(folder)  # type: ignore[operator]
    end = 'standalone="no"?>\n'
    change(file, end, end + BOMBS[bomb])
    with pytest.raises(InputError, match="has a document type or entities"):
        read_scene(folder)


def resized(data: bytes, **fields: int) -> bytes:
    """A JP2 whose codestream declares other numbers: width, height, tile_width, components."""
    at = data.index(b"\xff\x4f\xff\x51") + 8
    offsets = {"width": 0, "height": 4, "tile_width": 16, "tile_height": 20}
    out = bytearray(data)
    for name, value in fields.items():
        if name == "components":
            out[at + 32 : at + 34] = struct.pack(">H", value)
        else:
            out[at + offsets[name] : at + offsets[name] + 4] = struct.pack(">I", value)
    return bytes(out)


@pytest.mark.parametrize(
    ("fields", "message"),
    [
        ({"width": 2**31, "height": 2**31}, "impossible tiles"),
        ({"width": 10981}, r"has 10981 x 120 px .* metadata say 120 x 120"),
        ({"width": 1_000_000, "tile_width": 1_000_000}, "has 1000000 x 120 px"),
        ({"width": 0}, "no pixels"),
        ({"tile_width": 0}, "no pixels"),
        ({"tile_width": 1, "tile_height": 1, "width": 2000}, "impossible tiles"),
        ({"components": 16384}, "16384 components"),
        ({"components": 0}, "0 components"),
    ],
)
def test_absurd_sizes_are_refused_before_decoding(
    fields: dict[str, int], message: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    data = encode(ground("B04").astype(np.uint16), 10, 16)
    whole = decode(data, GRID, 1, "x")
    assert (whole.shape[1], whole.dtype) == (120, np.uint16)
    monkeypatch.setattr(jp2, "_decode", lambda _: pytest.fail("was decoded"))
    monkeypatch.setattr(jp2, "_check_place", lambda *_: pytest.fail("was opened"))
    with pytest.raises(InputError, match=message):
        decode(resized(data, **fields), GRID, 1, "x")


IMAGE = encode(ground("B04").astype(np.uint16), 10, 16)
PRODUCT_XML = made_of.product_xml(PRODUCTS["L2A_N0511"], "x", []).encode()
TILE_XML = made_of.tile_xml(PRODUCTS["L2A_N0511"]).encode()


@settings(max_examples=60)
@given(st.integers(0, len(IMAGE) - 1))
def test_an_image_that_is_cut_anywhere_is_refused(end: int) -> None:
    with pytest.raises(InputError) as caught:
        decode(IMAGE[:end], GRID, 1, "cut")
    assert "\n" not in str(caught.value)


@settings(max_examples=60)
@given(st.integers(0, len(IMAGE) - 1), st.binary(min_size=1, max_size=40))
def test_an_image_that_is_damaged_anywhere_does_no_harm(start: int, noise: bytes) -> None:
    damaged = IMAGE[:start] + noise + IMAGE[start + len(noise) :]
    pixels = refused_or(lambda: decode(damaged, GRID, 1, "damaged"))
    assert pixels is None or (pixels.shape, pixels.dtype.kind) == (GRID.shape, "u")


@settings(max_examples=100)
@given(st.booleans(), st.floats(0, 1, exclude_max=True), st.binary(max_size=12))
def test_xml_that_is_cut_or_damaged_anywhere_is_refused_or_right(
    product: bool, where: float, noise: bytes
) -> None:
    data, parse = (PRODUCT_XML, parse_product) if product else (TILE_XML, parse_tile)
    at = int(where * len(data.rstrip()))
    with pytest.raises(InputError) as caught:
        parse(data[:at], "cut")
    assert "\n" not in str(caught.value)
    parsed = refused_or(lambda: parse(data[:at] + noise + data[at + len(noise) :], "damaged"))
    assert parsed is None or type(parsed) is type(parse(data, "whole"))


def refused_or(read: Callable[[], Any]) -> Any:
    """What `read` gives, or None where it refuses in one line; any other error is raised."""
    try:
        return read()
    except InputError as error:
        refusal = str(error)
    assert "\n" not in refusal
    return None


@settings(max_examples=30)
@given(st.floats(0, 1, exclude_max=True))
def test_a_zip_that_is_cut_anywhere_is_refused(
    tmp_path_factory: pytest.TempPathFactory, where: float
) -> None:
    folder = tmp_path_factory.getbasetemp() / "cut_zip"
    if not (packed := folder / "whole.zip").exists():
        zip_safe(write_safe(folder, "L1C_N0206")).rename(packed)
    data = packed.read_bytes()
    cut = folder / "cut.zip"
    cut.write_bytes(data[: int(where * len(data))])
    with pytest.raises(InputError) as caught:
        read_on_grid(read_scene(cut), GRID, ImageSettings())
    assert "\n" not in str(caught.value)
