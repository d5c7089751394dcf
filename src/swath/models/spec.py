"""What model.json says of a trained model. No torch here."""

from typing import Literal

from pydantic import BaseModel, ConfigDict, Field, JsonValue, PositiveInt, model_validator

from swath.grid import Finer
from swath.legend import Legend
from swath.scaling import Scaling
from swath.sentinel2 import ImageSettings

_SIZES_OF_FORMAT_1 = ("width", "decoder_convs", "hidden", "layers")
"""It had these for every architecture, beside its other fields."""


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
        splits: Split -> names of the sites that this run trained on, chose by, and left for test.
        training: The settings of the run.
        data: Hashes of the images and labels that it saw.
        scores: Scores during training; the report's are to be trusted.
        attribution: Who made the training data.
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    format: Literal[2] = 2
    name: str
    image: ImageSettings
    legend: Legend
    scaling: Scaling
    finer: Finer = 1
    sizes: dict[str, PositiveInt] = {}
    dates: int = Field(ge=1)
    orientations: Literal[1, 8] = 1
    temperature: float = Field(default=1.0, gt=0)
    splits: dict[str, list[str]]
    training: dict[str, JsonValue] = {}
    data: dict[str, str] = {}
    scores: dict[str, dict[str, float | None]] = {}
    attribution: str = ""

    @model_validator(mode="before")
    @classmethod
    def _read_format_1(cls, content: object) -> object:
        if not isinstance(content, dict) or content.get("format") != 1:
            return content
        sizes = {name: content[name] for name in _SIZES_OF_FORMAT_1 if name in content}
        others = {key: value for key, value in content.items() if key not in sizes}
        return others | {"format": 2, "sizes": sizes}
