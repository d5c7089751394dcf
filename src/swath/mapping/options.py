"""How a map is made: what a user may ask for, as one value."""

from dataclasses import dataclass
from typing import Literal

from swath.errors import SettingsError
from swath.grid import MOST_SIDE_PX
from swath.mapping.predict import Predictor
from swath.maps.manifest import UNIT_HA, Threshold
from swath.models.device import Precision
from swath.models.orientations import Orientations
from swath.models.trained import TrainedModel
from swath.tiles import DEFAULT_TILE_PX
from swath.workers import HERE, Workers


@dataclass(frozen=True, slots=True)
class MapOptions:
    """How maps are made; what is left alone does what is best for most.

    Attributes:
        device: Where the networks run: `auto` (CUDA where there is one), `cpu` or `cuda`.
        precision: `fp32`, `bf16`, or `auto`: bf16 where the device computes it in hardware.
        orientations: In how many orientations the network looks at every image, 1 or 8; 8 is better
            and takes some eight times as long. None: as the model says.
        tile_px: Largest side of a tile in px; more takes more memory.
        threshold: With two classes, above which score a pixel is of the class, from 0 to below 1;
            `scene`: where the map's own scores lead one to expect the highest IoU.
        workers: Who runs the networks.
        resume: Whether maps that are there may be replaced where they were made from something
            else; what depends on nothing that differs is kept.
        overwrite: Whether maps that are there may be replaced; all is computed anew.
        unit_ha: The minimum mapping unit of land cover polygons: smaller areas go to a neighbour.

    Raises:
        SettingsError: A threshold, a unit or a number of orientations that does not exist.

    Example:
        >>> import swath
        >>> quick = swath.MapOptions(orientations=1, threshold=0.5)
        >>> swath.map_scenes("town/*.tif", "run", options=quick).threshold
        0.5
    """

    device: str = "auto"
    precision: Precision | Literal["auto"] = "auto"
    orientations: Orientations | None = None
    tile_px: int = DEFAULT_TILE_PX
    threshold: Threshold = "scene"
    workers: Workers = HERE
    resume: bool = False
    overwrite: bool = False
    unit_ha: float = UNIT_HA

    def __post_init__(self) -> None:
        number = self.threshold
        if number != "scene" and not (isinstance(number, int | float) and 0 <= number < 1):
            raise SettingsError(
                f"the threshold must be 'scene' or a number from 0 to below 1, got {number!r}"
            )
        if not 0 <= self.unit_ha <= 10_000:
            raise SettingsError(f"the minimum mapping unit must be 0 to 10000 ha, got {self.unit_ha!r}")
        if not 16 <= self.tile_px <= MOST_SIDE_PX:
            raise SettingsError(f"tiles are 16 to {MOST_SIDE_PX} px wide, got {self.tile_px}")
        if self.orientations not in (None, 1, 8):
            raise SettingsError(f"orientations must be 1 or 8, got {self.orientations!r}")

    def predictor(self, model: TrainedModel) -> Predictor:
        """A model on the wanted device, ready to map as these options say."""
        return Predictor(model, self.device, self.precision, self.orientations)


DEFAULTS = MapOptions()
