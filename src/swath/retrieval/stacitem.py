"""One acquisition in a catalogue, as a value: whichever catalogue it comes from."""

import datetime as dt
from urllib.parse import urlsplit

from swath.retrieval.offset import Offset, decide_offset
from swath.schema import Frozen


class StacAsset(Frozen):
    """One file of an item.

    Attributes:
        href: Its address, http or https.
        media_type: As the catalogue says; may be empty.
        size: Bytes, where the catalogue says.
        checksum: Multihash in hexadecimal digits, where the catalogue says.
        scale: Reflectance of one stored unit.
        offset_dn: Declared offset in 1/10000 reflectance; None: none declared.
        shortened: Whether `href` has lost what may be secret in it: to be searched for again.
    """

    href: str
    media_type: str = ""
    size: int | None = None
    checksum: str | None = None
    scale: float = 1e-4
    offset_dn: int | None = None
    shortened: bool = False

    @property
    def is_tiff(self) -> bool:
        """Whether windows of the file can be read from afar."""
        path = urlsplit(self.href).path.lower()
        return "tiff" in self.media_type or path.endswith((".tif", ".tiff"))


class StacItem(Frozen):
    """One acquisition of one tile, as its catalogue describes it.

    Attributes:
        id: The catalogue's name of it.
        collection: Its collection.
        time: When it was taken (UTC).
        mgrs_tile: Such as `31UDQ`; None where the item does not say.
        cloud: Cloud of the whole item in percent; None where it does not say.
        sun_azimuth_deg: Clockwise from north; None where it does not say.
        sun_elevation_deg: Above the horizon; None where it does not say.
        cover: Share 0..1 of the searched box inside the item's footprint.
        baseline: Processing baseline, such as `05.09`.
        applied: Flag that the radiometric offset is in the numbers already.
        assets: By band (`B04`), and `visual`, `SCL`.
    """

    id: str
    collection: str
    time: dt.datetime
    mgrs_tile: str | None = None
    cloud: float | None = None
    sun_azimuth_deg: float | None = None
    sun_elevation_deg: float | None = None
    cover: float = 1.0
    baseline: str | None = None
    applied: bool | None = None
    assets: dict[str, StacAsset]

    @property
    def date(self) -> dt.date:
        """Day of acquisition (UTC)."""
        return self.time.date()

    def offset(self, bands: tuple[str, ...]) -> Offset:
        """What to add to the stored numbers of `bands`, which the item has.

        Source: the metadata are weighed by `decide_offset`.
        """
        declared = {self.assets[band].offset_dn for band in bands}
        if len(declared) > 1:
            return Offset(
                None, f"the item declares different offsets: {sorted(map(str, declared))}"
            )
        return decide_offset(self.baseline, declared.pop(), self.applied)
