"""Weights that a training begins with: those of another run."""

from collections.abc import Collection
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path

from pydantic import JsonValue
from torch import nn

from swath.dataset.site import Dataset, Site
from swath.errors import SettingsError
from swath.keys import Decided
from swath.legend import Legend
from swath.models.trained import ModelSpec, TrainedModel, load_model, network_hash
from swath.sentinel2 import ImageSettings
from swath.training.presets import TrainSettings


@dataclass(frozen=True, eq=False)
class Start:
    """Another run's model, whose weights a training begins with.

    All networks of that run are taken: the network for one image and, if that run has one, the
    fusion. The scaling is not: it is measured anew on the new data, so
    that their bands have mean 0 and deviation 1 before the first layer as those of the old data
    had. What differs between the two in brightness and contrast alone then costs no training.

    Attributes:
        model: The other run's.
        source: How to call it in an error.
    """

    model: TrainedModel
    source: str

    @property
    def _networks(self) -> dict[str, nn.Module]:
        model = self.model
        if model.series is not None:
            return {"series": model.series}
        return {"fcn": model.fcn} | ({"rnn": model.rnn} if model.rnn is not None else {})

    @cached_property
    def hashes(self) -> dict[str, str]:
        """Network -> SHA-256 of its weights: what a run that begins with them depends on."""
        return {name: network_hash(network) for name, network in self._networks.items()}

    @property
    def record(self) -> dict[str, JsonValue]:
        """What model.json says of it: its weights, and how and on what they were trained."""
        spec = self.model.spec
        return {
            "weights": {**self.hashes},
            "sites": list(spec.splits.get("train", [])),
            "training": spec.training,
        }

    def check(self, dataset: Dataset, settings: TrainSettings) -> None:
        """Check that a run can begin with these weights.

        Args:
            dataset: Of the run, split as it will be.
            settings: Of the run.

        Raises:
            SettingsError: Another architecture, other bands, encoding or classes; or a site that
                the run holds out is one that these weights learnt from.
        """
        spec = self.model.spec
        afresh: tuple[str, ...] = ()
        if self.model.series is None and self.model.rnn is None:
            afresh = ("hidden", "layers")  # sizes of the fusion
        wanted = weights_meaning(settings.model, dataset.image, dataset.legend, settings, afresh)
        offered = weights_meaning(spec.name, spec.image, spec.legend, spec, afresh)
        if unlike := difference(offered, wanted):
            raise SettingsError(f"{self.source} cannot be started from: {unlike}")
        learnt = self.learnt
        for site in dataset.sites:
            if site.name in learnt and not self._parted_alike(site):
                raise SettingsError(
                    f"{self.source} has learnt from site {site.name!r}, which this run holds out; "
                    "start from a run that has not seen it"
                )

    @property
    def learnt(self) -> set[str]:
        """The sites that its weights learnt from: those of its run, of that one's start, and on."""
        spec = self.model.spec
        names = set(spec.splits.get("train", []))
        start = spec.training.get("start")
        while start:
            names |= set(start["sites"])
            start = start["training"].get("start")
        return names

    def _parted_alike(self, site: Site) -> bool:
        """Whether a run may hold out what it does of a site that these weights learnt from."""
        if set(site.splits) == {"train"}:
            return True
        before = {split for split, names in self.model.spec.splits.items() if site.name in names}
        return "train" in site.splits and before == set(site.splits)

    def fill(self, name: str, network: nn.Module) -> None:
        """Give a fresh network the weights of its counterpart, if there is one.

        Args:
            name: `fcn`, `rnn` or `series`.
            network: Built as the run's settings say.

        Raises:
            SettingsError: They do not fit, as with a network of a fixed number of dates.
        """
        counterpart = self._networks.get(name)
        if counterpart is None:
            return
        try:
            network.load_state_dict(counterpart.state_dict())
        except RuntimeError:
            raise SettingsError(
                f"{self.source} cannot be started from: the weights of its {name} have other "
                f"shapes (series of {self.model.spec.dates} dates); set `dates` to that number"
            ) from None


def read_start(folder: Path) -> Start:
    """Read the run that a training is to begin with.

    Raises:
        InputError: There is no finished run in the folder.
        ModelError: Its files do not belong together.
    """
    return Start(load_model(folder), str(folder))


def weights_meaning(
    model: str,
    image: ImageSettings,
    legend: Legend,
    sizes: TrainSettings | ModelSpec,
    afresh: Collection[str] = (),
) -> Decided:
    """What decides which weights a model has and what they mean.

    Args:
        model: Name of the architecture.
        image: What it reads.
        legend: What it maps.
        sizes: Has the sizes of its networks as fields.
        afresh: Sizes of networks that begin with random weights.
    """
    shared = TrainSettings.model_fields.keys() & ModelSpec.model_fields.keys()
    names = sorted(shared - {"dates", "orientations", *afresh})
    fields: dict[str, JsonValue] = {
        "model": model,
        "bands": ",".join(image.bands),
        "encoding": image.encoding,
        "classes": ",".join(legend.names),
        **{name: getattr(sizes, name) for name in names},
    }
    return Decided("weights", 1, fields)


def difference(offered: Decided, wanted: Decided) -> str:
    """The first difference between two meanings of weights, as text; empty if there is none."""
    what = wanted.difference(offered.json())
    if what is None:
        return ""
    values = (decided.fields.get(what) for decided in (offered, wanted))
    return "its {} is {}, this run's {}; both must be the same".format(what, *values)
