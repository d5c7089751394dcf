"""Small Sentinel-2 products with the names, folders, XML and JPEG 2000 files of real ones.

The structure is that of products of ESA: of September 2016 (old names), 2017 (first L2A), 2020,
2022 and 2024. Only the pixels are few: a tile of 1.2 km instead of 109.8 km.
"""

import hashlib
import shutil
import warnings
from collections.abc import Mapping
from dataclasses import dataclass, field
from functools import cache
from pathlib import Path

import numpy as np
from affine import Affine
from numpy.typing import NDArray
from rasterio.errors import NotGeoreferencedWarning
from rasterio.io import MemoryFile

from swath.grid import Grid
from swath.sentinel2 import BANDS, tci_from_reflectance

SIZE_PX = 120
GRID = Grid("EPSG:32630", Affine(10, 0, 600_000, 0, -10, 5_300_040), (SIZE_PX, SIZE_PX))
TILE = "30UWU"
L2A_BANDS = {
    10: ("B02", "B03", "B04", "B08"),
    20: ("B02", "B03", "B04", "B05", "B06", "B07", "B8A", "B11", "B12"),
    60: ("B01", "B09"),
}


@dataclass(frozen=True)
class Made:
    """What kind of product is made; the defaults are an L1C product of 2022."""

    level: str = "L1C"
    baseline: str = "04.00"
    day: str = "20220621"
    quantification: str = "10000"
    offsets: Mapping[str, float] = field(default_factory=lambda: dict.fromkeys(BANDS, -1000))
    naming: str = "compact"  # "old": before December 2016; "early": L2A of 2017
    tci: bool = True
    bits: int = 16  # ESA's images have 15
    saturated: int = 65535  # as the XML says
    left: float = GRID.transform.c  # as the JP2's own georeference says


NO_OFFSETS: dict[str, float] = {}

PRODUCTS = {
    "L1C_N0204_old": Made("L1C", "02.04", "20160905", "10000", NO_OFFSETS, "old", False, 15),
    "L1C_N0202_q1000": Made("L1C", "02.02", "20160105", "1000", NO_OFFSETS, "old", False, 15),
    "L1C_N0206": Made("L1C", "02.06", "20180621", "10000", NO_OFFSETS, bits=15),
    "L2A_N0205_early": Made("L2A", "02.05", "20170823", "10000", NO_OFFSETS, "early", bits=15, saturated=6),
    "L2A_N0214": Made("L2A", "02.14", "20200626", "10000", NO_OFFSETS, bits=15),
    "L1C_N0400": Made("L1C", "04.00", "20220621"),
    "L2A_N0400": Made("L2A", "04.00", "20220621"),
    "L1C_N0511": Made("L1C", "05.11", "20250621"),
    "L2A_N0511": Made("L2A", "05.11", "20250621"),
}


# --- the ground --------------------------------------------------------------------------------


@cache
def ground(band: str) -> NDArray[np.int64]:
    """Reflectance x 10000 of a band, the same in all products; 0 = no data.

    Row 0 is the darkest that every product can hold, row 1 holds bright roofs; the four pixels of
    the south-eastern corner are no data. Multiples of 10: a quantification of 1000 can hold them.
    """
    size = SIZE_PX * 10 // BANDS[band].resolution_m
    rng = np.random.default_rng(list(BANDS).index(band))
    rows, cols = np.mgrid[:size, :size]
    smooth = 1500 + 80 * list(BANDS).index(band) + 700 * np.sin(rows / 9) * np.cos(cols / 7)
    values = (smooth + rng.integers(-100, 100, smooth.shape)).astype(np.int64) // 10 * 10
    values[0], values[1] = 10, 12_000
    values[-2:, -2:] = 0
    return values


def scene_classes() -> NDArray[np.uint8]:
    """The scene classification, 20 m: vegetation, and a block of 3 x 3 px of every class."""
    classes = np.full((SIZE_PX // 2, SIZE_PX // 2), 4, np.uint8)
    for index in range(12):
        classes[10:13, 4 + 4 * index : 7 + 4 * index] = index
    return classes


def true_color() -> NDArray[np.uint8]:
    """(3, H, W): the 8-bit view of the ground."""
    return tci_from_reflectance(np.stack([ground(b) for b in ("B04", "B03", "B02")]))


def _numbers(band: str, made: Made) -> NDArray[np.uint16]:
    """Digital numbers: what the product stores."""
    truth = ground(band)
    stored = truth * float(made.quantification) / 10_000 - made.offsets.get(band, 0)
    top = 2**made.bits - 1
    return np.where(truth == 0, 0, np.clip(np.rint(stored), 1, top)).astype(np.uint16)


# --- JPEG 2000 ---------------------------------------------------------------------------------


_encoded: dict[tuple[object, ...], bytes] = {}


def encode(image: NDArray[np.generic], resolution: int, bits: int, left: float = GRID.transform.c) -> bytes:
    """A lossless JP2 with a GML box, in tiles, by OpenJPEG. Kept: products share most images."""
    key = (image.tobytes(), image.shape, image.dtype.name, resolution, bits, left)
    if key not in _encoded:
        _encoded[key] = _encode(image, resolution, bits, left)
    return _encoded[key]


def _encode(image: NDArray[np.generic], resolution: int, bits: int, left: float) -> bytes:
    bands = image if image.ndim == 3 else image[None]
    options = {"NBITS": str(bits)} if bits not in (8, 16) else {}
    with warnings.catch_warnings(), MemoryFile(ext=".jp2") as memory:
        warnings.simplefilter("ignore", NotGeoreferencedWarning)
        with memory.open(
            driver="JP2OpenJPEG",
            count=len(bands),
            height=bands.shape[1],
            width=bands.shape[2],
            dtype=bands.dtype,
            crs=GRID.crs,
            transform=Affine(resolution, 0, left, 0, -resolution, GRID.transform.f),
            QUALITY="100",
            REVERSIBLE="YES",
            GEOJP2="NO",
            GMLJP2="YES",
            RESOLUTIONS="3",
            BLOCKXSIZE="64",
            BLOCKYSIZE="64",
            **options,
        ) as target:
            target.write(bands)
        return bytes(memory.read())


def _coarse(resolution: int) -> NDArray[np.uint16]:
    """A band of an L2A product at less than its own resolution: a decoy, all 777."""
    size = SIZE_PX * 10 // resolution
    return np.full((size, size), 777, np.uint16)


# --- XML ---------------------------------------------------------------------------------------


def _psd(made: Made) -> str:
    version = 15 if made.baseline >= "05.11" else 14 if made.naming != "old" else 13
    return f"https://psd-{version}.sentinel2.eo.esa.int/PSD"


def _offset_list(made: Made) -> str:
    if not made.offsets:
        return ""
    outer, inner = (
        ("Radiometric_Offset_List", "RADIO_ADD_OFFSET")
        if made.level == "L1C"
        else ("BOA_ADD_OFFSET_VALUES_LIST", "BOA_ADD_OFFSET")
    )
    ids = {band: index for index, band in enumerate(BANDS)}
    rows = "".join(
        f'<{inner} band_id="{ids[band]}">{value}</{inner}>\n' for band, value in made.offsets.items()
    )
    return f"<{outer}>\n{rows}</{outer}>"


def _quantification(made: Made) -> str:
    q = made.quantification
    if made.level == "L1C":
        return f'<QUANTIFICATION_VALUE unit="none">{q}</QUANTIFICATION_VALUE>'
    if made.naming == "early":
        return f"""<L1C_L2A_Quantification_Values_List>
        <L1C_TOA_QUANTIFICATION_VALUE unit="none">5</L1C_TOA_QUANTIFICATION_VALUE>
        <L2A_BOA_QUANTIFICATION_VALUE unit="none">{q}</L2A_BOA_QUANTIFICATION_VALUE>
        <L2A_AOT_QUANTIFICATION_VALUE unit="none">1000.0</L2A_AOT_QUANTIFICATION_VALUE>
        </L1C_L2A_Quantification_Values_List>"""
    return f"""<QUANTIFICATION_VALUES_LIST>
        <BOA_QUANTIFICATION_VALUE unit="none">{q}</BOA_QUANTIFICATION_VALUE>
        <AOT_QUANTIFICATION_VALUE unit="none">1000.0</AOT_QUANTIFICATION_VALUE>
        <WVP_QUANTIFICATION_VALUE unit="cm">1000.0</WVP_QUANTIFICATION_VALUE>
        </QUANTIFICATION_VALUES_LIST>"""


def _organisation(made: Made, images: list[str]) -> str:
    """The list of granules and their images."""
    early = made.naming == "early"
    item = {"old": "IMAGE_ID", "early": "IMAGE_FILE_2A"}.get(made.naming, "IMAGE_FILE")
    by_granule: dict[str, list[str]] = {}
    for image in images:
        name = image.removesuffix(".jp2")
        by_granule.setdefault(image.split("/")[1], []).append(
            name.rpartition("/")[2] if made.naming == "old" else name
        )
    granule = "Granules" if made.naming == "old" else "Granule"
    lists = ""
    for name, files in by_granule.items():
        listed = "".join(f"<{item}>{file}</{item}>\n" for file in files)
        lists += (
            f'<Granule_List><{granule} granuleIdentifier="{name}" imageFormat="JPEG2000">\n'
            f"{listed}</{granule}></Granule_List>\n"
        )
    options = (
        '<Query_Options completeSingleTile="true"><PRODUCT_FORMAT>SAFE_COMPACT</PRODUCT_FORMAT>'
        "</Query_Options>"
    )
    if made.naming == "old":
        bands = "".join(f"<BAND_NAME>{b.replace('B0', 'B')}</BAND_NAME>" for b in BANDS)
        options = (
            f"<Query_Options><Band_List>{bands}</Band_List><PRODUCT_FORMAT>SAFE</PRODUCT_FORMAT>"
            "</Query_Options>"
        )
    outer = "L2A_Product_Organisation" if early else "Product_Organisation"
    return f"{options}\n<{outer}>{lists}</{outer}>"


def product_xml(made: Made, name: str, images: list[str]) -> str:
    """The product's metadata file."""
    early = made.naming == "early"
    info = "L2A_Product_Info" if early else "Product_Info"
    about = "L2A_Product_Image_Characteristics" if early else "Product_Image_Characteristics"
    level = f"Level-{made.level[1:]}"
    day = f"{made.day[:4]}-{made.day[4:6]}-{made.day[6:]}"
    spectral = "".join(
        f'<Spectral_Information bandId="{index}" physicalBand="{band.replace("B0", "B")}">'
        f"<RESOLUTION>{BANDS[band].resolution_m}</RESOLUTION></Spectral_Information>\n"
        for index, band in enumerate(BANDS)
    )
    return f"""<?xml version="1.0" encoding="UTF-8" standalone="no"?>
<n1:{level}_User_Product xmlns:n1="{_psd(made)}/User_Product_{level}.xsd" \
xmlns:xsi="http://www.w3.org/2001/XMLSchema-instance">
  <n1:General_Info>
    <{info}>
      <PRODUCT_START_TIME>{day}T10:56:21.024Z</PRODUCT_START_TIME>
      <PRODUCT_URI>{name}</PRODUCT_URI>
      <PROCESSING_LEVEL>{level}</PROCESSING_LEVEL>
      <PROCESSING_BASELINE>{made.baseline}</PROCESSING_BASELINE>
      <Datatake datatakeIdentifier="GS2A_{made.day}T105621_006291_N{made.baseline}">
        <SPACECRAFT_NAME>Sentinel-2A</SPACECRAFT_NAME>
      </Datatake>
      {_organisation(made, images)}
    </{info}>
    <{about}>
      <Special_Values><SPECIAL_VALUE_TEXT>NODATA</SPECIAL_VALUE_TEXT>
        <SPECIAL_VALUE_INDEX>0</SPECIAL_VALUE_INDEX></Special_Values>
      <Special_Values><SPECIAL_VALUE_TEXT>SATURATED</SPECIAL_VALUE_TEXT>
        <SPECIAL_VALUE_INDEX>{made.saturated}</SPECIAL_VALUE_INDEX></Special_Values>
      {_quantification(made)}
      {_offset_list(made)}
      <Spectral_Information_List>{spectral}</Spectral_Information_List>
    </{about}>
  </n1:General_Info>
  <n1:Quality_Indicators_Info>
    <Cloud_Coverage_Assessment>17.25</Cloud_Coverage_Assessment>
  </n1:Quality_Indicators_Info>
</n1:{level}_User_Product>
"""


def tile_xml(made: Made, tile: str = TILE) -> str:
    """The granule's metadata file."""
    level = f"Level-{made.level[1:]}"
    day = f"{made.day[:4]}-{made.day[4:6]}-{made.day[6:]}"
    early = "_2A" if made.naming == "early" else ""
    cloud = "L1C_Image_Content_QI" if made.naming == "early" else "Image_Content_QI"
    sizes = "".join(
        f'<Size resolution="{r}"><NROWS>{SIZE_PX * 10 // r}</NROWS>'
        f"<NCOLS>{SIZE_PX * 10 // r}</NCOLS></Size>\n"
        for r in (10, 20, 60)
    )
    places = "".join(
        f'<Geoposition resolution="{r}"><ULX>{GRID.transform.c:.0f}</ULX>'
        f"<ULY>{GRID.transform.f:.0f}</ULY><XDIM>{r}</XDIM><YDIM>-{r}</YDIM></Geoposition>\n"
        for r in (10, 20, 60)
    )
    return f"""<?xml version="1.0" encoding="UTF-8" standalone="no"?>
<n1:{level}_Tile_ID xmlns:n1="{_psd(made)}/S2_PDI_{level}_Tile_Metadata.xsd" \
xmlns:xsi="http://www.w3.org/2001/XMLSchema-instance">
  <n1:General_Info>
    <TILE_ID{early} metadataLevel="Brief">S2A_OPER_MSI_{made.level}_TL_SGS__{made.day}T133142_\
A006291_T{tile}_N{made.baseline}</TILE_ID{early}>
    <SENSING_TIME metadataLevel="Standard">{day}T11:04:24.002Z</SENSING_TIME>
  </n1:General_Info>
  <n1:Geometric_Info>
    <Tile_Geocoding metadataLevel="Brief">
      <HORIZONTAL_CS_NAME>WGS84 / UTM zone 30N</HORIZONTAL_CS_NAME>
      <HORIZONTAL_CS_CODE>{GRID.crs}</HORIZONTAL_CS_CODE>
      {sizes}{places}
    </Tile_Geocoding>
    <Tile_Angles metadataLevel="Standard">
      <Mean_Sun_Angle>
        <ZENITH_ANGLE unit="deg">26.5</ZENITH_ANGLE>
        <AZIMUTH_ANGLE unit="deg">151.75</AZIMUTH_ANGLE>
      </Mean_Sun_Angle>
      <Mean_Viewing_Incidence_Angle_List><Mean_Viewing_Incidence_Angle bandId="0">
        <ZENITH_ANGLE unit="deg">3.5</ZENITH_ANGLE><AZIMUTH_ANGLE unit="deg">105</AZIMUTH_ANGLE>
      </Mean_Viewing_Incidence_Angle></Mean_Viewing_Incidence_Angle_List>
    </Tile_Angles>
  </n1:Geometric_Info>
  <n1:Quality_Indicators_Info metadataLevel="Standard">
    <{cloud}><CLOUDY_PIXEL_PERCENTAGE>3.5</CLOUDY_PIXEL_PERCENTAGE></{cloud}>
  </n1:Quality_Indicators_Info>
</n1:{level}_Tile_ID>
"""


def manifest(files: Mapping[str, bytes], baseline: str) -> str:
    """The list of the product's files with their checksums: MD5, later SHA3-256."""
    name, kind = ("SHA3-256", "sha3_256") if baseline >= "05.00" else ("MD5", "md5")
    objects = "".join(
        f'<dataObject ID="file{index}"><byteStream mimeType="application/octet-stream" '
        f'size="{len(data)}"><fileLocation locatorType="URL" href="./{file}"/>'
        f'<checksum checksumName="{name}">{hashlib.new(kind, data).hexdigest()}</checksum>'
        "</byteStream></dataObject>\n"
        for index, (file, data) in enumerate(sorted(files.items()))
    )
    return (
        '<?xml version="1.0" encoding="UTF-8"?>\n<xfdu:XFDU xmlns:xfdu="urn:ccsds:schema:xfdu:1" '
        'version="esa/safe/sentinel/1.1/sentinel-2/msi/archive_l1c_user_product">\n'
        f"<dataObjectSection>\n{objects}</dataObjectSection></xfdu:XFDU>\n"
    )


# --- products ----------------------------------------------------------------------------------


def _names(made: Made, tile: str) -> tuple[str, str, str, str]:
    """Names of the product, its metadata, the granule's folder, the granule's metadata."""
    run = f"{made.day}T133142"
    if made.naming == "old":
        tail = f"PDMC_{run}_R002_V{made.day}T105621_{made.day}T105621"
        return (
            f"S2A_OPER_PRD_MSIL1C_{tail}.SAFE",
            f"S2A_OPER_MTD_SAFL1C_{tail}.xml",
            f"S2A_OPER_MSI_L1C_TL_SGS__{run}_A006291_T{tile}_N{made.baseline}",
            f"S2A_OPER_MTD_L1C_TL_SGS__{run}_A006291_T{tile}.xml",
        )
    number = made.baseline.replace(".", "")
    return (
        f"S2A_MSI{made.level}_{made.day}T105621_N{number}_R094_T{tile}_{run}.SAFE",
        f"MTD_MSI{made.level}.xml",
        f"{made.level}_T{tile}_A006291_{made.day}T110424",
        "MTD_TL.xml",
    )


def _image_files(made: Made, tile: str) -> dict[str, bytes]:
    """Image files by their names under IMG_DATA."""
    stem = f"T{tile}_{made.day}T105621"
    if made.naming == "old":
        stem = f"S2A_OPER_MSI_L1C_TL_SGS__{made.day}T133142_A006291_T{tile}"
    if made.naming == "early":
        stem = f"L2A_{stem}"
    files: dict[str, bytes] = {}

    def add(name: str, image: NDArray[np.generic], resolution: int, bits: int) -> None:
        tail = f"_{resolution}m" if made.level == "L2A" else ""
        folder = f"R{resolution}m/" if made.level == "L2A" else ""
        data = encode(image, resolution, bits, made.left)
        files[f"{folder}{stem}_{name}{tail}.jp2"] = data

    if made.level == "L1C":
        for band in BANDS.values():
            add(band.name, _numbers(band.name, made), band.resolution_m, made.bits)
    else:
        for resolution, bands in L2A_BANDS.items():
            for name in bands:
                native = BANDS[name].resolution_m == resolution
                image = _numbers(name, made) if native else _coarse(resolution)
                add(name, image, resolution, made.bits)
        add("SCL", scene_classes(), 20, 8)
        add("AOT", np.full((SIZE_PX, SIZE_PX), 55, np.uint16), 10, made.bits)
    if made.tci:
        add("TCI", true_color(), 10, 8)
    return files


@cache
def _content(key: str, tiles: tuple[str, ...]) -> tuple[str, dict[str, bytes]]:
    return product_files(PRODUCTS[key], tiles)


def product_files(made: Made, tiles: tuple[str, ...] = (TILE,)) -> tuple[str, dict[str, bytes]]:
    """A product as its name and its files, by names that start at its root."""
    product, metadata, _, _ = _names(made, tiles[0])
    files: dict[str, bytes] = {}
    for tile in tiles:
        _, _, granule, tile_metadata = _names(made, tile)
        folder = f"GRANULE/{granule}"
        files[f"{folder}/{tile_metadata}"] = tile_xml(made, tile).encode()
        for name, data in _image_files(made, tile).items():
            files[f"{folder}/IMG_DATA/{name}"] = data
        files[f"{folder}/QI_DATA/MSK_CLASSI_B00.jp2"] = b"no image that is ever read"
        files[f"{folder}/QI_DATA/T{tile}_{made.day}T105621_PVI.jp2"] = b"nor this"
    images = [name for name in files if "/IMG_DATA/" in name]
    files[metadata] = product_xml(made, product, images).encode()
    files["INSPIRE.xml"] = b"<gmd:MD_Metadata xmlns:gmd='http://www.isotc211.org/2005/gmd'/>"
    files["manifest.safe"] = manifest(files, made.baseline).encode()
    return product, files


def write_files(folder: Path, name: str, files: Mapping[str, bytes]) -> Path:
    """Write a product as a folder."""
    for file, data in files.items():
        path = folder / name / file
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(data)
    return folder / name


def write_safe(folder: Path, key: str | Made, tiles: tuple[str, ...] = (TILE,)) -> Path:
    """Write one of `PRODUCTS`, or another product, as a `.SAFE` folder."""
    name, files = _content(key, tiles) if isinstance(key, str) else product_files(key, tiles)
    return write_files(folder, name, files)


def zip_safe(safe: Path, *, top: bool = True) -> Path:
    """Pack a `.SAFE` folder as the Copernicus services do; `top`: with its name in the zip."""
    base = safe.parent / safe.stem
    root = safe.parent if top else safe
    made = shutil.make_archive(str(base), "zip", root, safe.name if top else ".")
    return Path(made)


def band_file(safe: Path, band: str, *, trusted: bool = False) -> Path:
    """The finest image file of a band.

    Who asks for it means to change it: unless it is `trusted`, the product's checksums go.
    """
    if not trusted:
        (safe / "manifest.safe").unlink(missing_ok=True)
    found = sorted(safe.glob(f"GRANULE/*/IMG_DATA/**/*_{band}*.jp2"))
    return next(path for path in found if path.suffix == ".jp2")


def metadata_file(safe: Path) -> Path:
    """The product's metadata file."""
    return next(safe.glob("*MTD_*.xml"))


def tile_file(safe: Path) -> Path:
    """The metadata file of its granule."""
    return next(safe.glob("GRANULE/*/*.xml"))


def change(path: Path, old: str, new: str) -> None:
    """Replace a text in a file; it must be there."""
    text = path.read_text()
    assert old in text, f"{path.name} has no {old}"
    path.write_text(text.replace(old, new))
