"""What model.json says of a trained model. No torch here."""

from typing import Annotated, Literal, Self

from pydantic import BaseModel, ConfigDict, Field, JsonValue, StringConstraints, model_validator

from swath.grid import Finer
from swath.legend import Legend
from swath.names import ClassName, Line
from swath.scaling import Scaling
from swath.sentinel2 import ImageSettings

_SIZES_OF_FORMAT_1 = ("width", "decoder_convs", "hidden", "layers")
"""It had these for every architecture, beside its other fields."""


MOST_SIZE = 4096
"""Of any size of a network: its filters, its channels, its layers."""

Name = Annotated[str, StringConstraints(min_length=1, max_length=100)]


class Fallback(BaseModel):
    """What stands in for a fusion that its training did not make better than nothing.

    Attributes:
        fusion: The mean of the PMaps of the dates.
        reason: What the labels said of the trained one, which is left out.
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    fusion: Literal["mean"] = "mean"
    reason: Line


class ModelSpec(BaseModel):
    """What model.json says.

    Attributes:
        format: Version of this file format.
        name: Architecture, a name of the registry.
        image: Bands and encoding of the images that the model reads.
        legend: Classes of the map.
        scaling: From digital numbers to the network's input.
        finer: Map pixels to the side of an image pixel; 1: the map has the image's grid.
        sizes: Sizes of its networks, as the architecture names them.
        dates: T, the length of the series that the fusion was trained on (any T works).
        orientations: In how many orientations the network for one image looks at it: 1, or the
            mean of all 8.
        temperature: Of the fused maps, fitted on the validation sites; 1 where there were none.
        fallback: What fuses the dates in place of a trained fusion that failed; None: none did.
        unpredicted: Of many classes, those that the validation sites have and no pixel of their maps got.
        splits: Split -> names of the sites that this run trained on, chose by, and left for test.
        training: The settings of the run.
        data: Hashes of the images and labels that it saw.
        scores: Scores during training; the report's are to be trusted.
        attribution: Who made the training data.
    """

    model_config = ConfigDict(frozen=True, extra="forbid", allow_inf_nan=False)

    format: Literal[2] = 2
    name: Name
    image: ImageSettings
    legend: Legend
    scaling: Scaling
    finer: Finer = 1
    sizes: dict[Name, Annotated[int, Field(ge=1, le=MOST_SIZE)]] = {}
    dates: int = Field(ge=1, le=1000)
    orientations: Literal[1, 8] = 1
    temperature: float = Field(default=1.0, ge=1e-3, le=1e3)
    fallback: Fallback | None = None
    unpredicted: tuple[ClassName, ...] = ()
    splits: dict[str, list[str]]
    training: dict[str, JsonValue] = {}
    data: dict[str, str] = {}
    scores: dict[str, dict[str, float | None]] = {}
    attribution: Line = ""

    @model_validator(mode="after")
    def _check(self) -> Self:
        bands = len(self.image.bands)
        if not len(self.scaling.offset) == len(self.scaling.scale) == bands:
            raise ValueError(f"scaling needs an offset and a scale for each of the {bands} bands")
        return self

    @model_validator(mode="before")
    @classmethod
    def _read_format_1(cls, content: object) -> object:
        if not isinstance(content, dict) or content.get("format") != 1:
            return content
        sizes = {name: content[name] for name in _SIZES_OF_FORMAT_1 if name in content}
        others = {key: value for key, value in content.items() if key not in sizes}
        return others | {"format": 2, "sizes": sizes}
