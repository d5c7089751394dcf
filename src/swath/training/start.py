"""Weights that a training begins with: those of another run."""

from collections.abc import Collection, Mapping
from dataclasses import dataclass
from functools import cached_property

from pydantic import JsonValue
from torch import nn

from swath.dataset.site import Dataset, Site
from swath.errors import Remedy, SettingsError
from swath.keys import Decided
from swath.legend import Legend
from swath.models.registry import TwoStages, architecture
from swath.models.trained import TrainedModel, network_hash
from swath.sentinel2 import ImageSettings
from swath.training.presets import TrainSettings
from swath.validation import Frozen


class StartRecord(Frozen):
    """What model.json says of the run that a training began with.

    Attributes:
        weights: Network -> SHA-256 of its weights.
        sites: On which they were trained.
        training: How; what that training began with in its turn is in it.
    """

    weights: dict[str, str]
    sites: list[str]
    training: dict[str, JsonValue]


@dataclass(frozen=True, eq=False)
class Start:
    """Another run's model, whose weights a training begins with.

    All networks of that run are taken. The scaling is not: it is measured anew, so that the new
    data's bands have mean 0 and deviation 1 before the first layer as those of the old data had.
    What differs between the two in brightness and contrast alone then costs no training.

    Attributes:
        model: The other run's, as it was read from its folder.
    """

    model: TrainedModel

    @cached_property
    def hashes(self) -> dict[str, str]:
        """Network -> SHA-256 of its weights: what a run that begins with them depends on."""
        return {name: network_hash(network) for name, network in self.model.networks.items()}

    @property
    def record(self) -> dict[str, JsonValue]:
        """What model.json says of it: its weights, and how and on what they were trained."""
        spec = self.model.spec
        return {
            "weights": {**self.hashes},
            "sites": list(spec.splits.get("train", [])),
            "training": spec.training,
        }

    @property
    def shape(self) -> dict[str, JsonValue]:
        """The settings that a run which begins with these weights shares with theirs."""
        spec = self.model.spec
        sizes = {name: size for name, size in spec.sizes.items() if name in TrainSettings.model_fields}
        return {"model": spec.name, "orientations": spec.orientations, **sizes}

    def check(self, dataset: Dataset, settings: TrainSettings) -> None:
        """Check that a run on a dataset, split as it will be, can begin with these weights.

        Raises:
            SettingsError: Another architecture, other bands, encoding, classes or fineness; or a site that
                the run holds out is one that these weights learnt from.
        """
        spec = self.model.spec
        kind, afresh = architecture(spec.name), frozenset[str]()
        if isinstance(kind, TwoStages) and self.model.fusion is None:
            afresh = frozenset(kind.fusion.Sizes.model_fields)  # the fusion begins afresh
        have, wants = _pixels(dataset.image, dataset.finer), _pixels(spec.image, spec.finer)
        needless = {"optional": spec.image.optional, "least_spread": spec.image.least_spread}
        image = dataset.image.model_copy(update=needless)  # these need no other weights
        if (image, dataset.finer) != (spec.image, spec.finer):
            raise SettingsError(
                f"{self.model.folder} cannot be started from: the dataset {dataset.root} has {have}, that "
                f"run {wants}; build the dataset with those lines in the sites file",
                Remedy.BUILD,
            )
        sizes = settings.model_dump()
        wanted = weights_meaning(settings.model, dataset.image, dataset.legend, sizes, afresh)
        offered = weights_meaning(spec.name, spec.image, spec.legend, spec.sizes, afresh)
        if unlike := difference(offered, wanted):
            raise SettingsError(f"{self.model.folder} cannot be started from: {unlike}")
        learnt = self.learnt
        for site in dataset.sites:
            if site.name in learnt and not self._parted_alike(site):
                raise SettingsError(
                    f"{self.model.folder} has learnt from site {site.name!r}, which this run "
                    "holds out; start from a run that has not seen it"
                )

    @property
    def learnt(self) -> set[str]:
        """The sites that its weights learnt from: those of its run, of that one's start, and on."""
        spec = self.model.spec
        names = set(spec.splits.get("train", []))
        training = spec.training
        while start := training.get("start"):
            record = StartRecord.model_validate(start)
            names |= set(record.sites)
            training = record.training
        return names

    def _parted_alike(self, site: Site) -> bool:
        """Whether a run may hold out what it does of a site that these weights learnt from."""
        if set(site.splits) == {"train"}:
            return True
        before = {split for split, names in self.model.spec.splits.items() if site.name in names}
        return "train" in site.splits and before == set(site.splits)

    def fill(self, name: str, network: nn.Module) -> None:
        """Give the run's fresh network `fcn`, `rnn` or `series` the weights of its counterpart.

        Raises:
            SettingsError: They do not fit, as with a network of a fixed number of dates.
        """
        counterpart = self.model.networks.get(name)
        if counterpart is None:
            return
        try:
            network.load_state_dict(counterpart.state_dict())
        except RuntimeError:
            raise SettingsError(
                f"{self.model.folder} cannot be started from: the weights of its {name} have other "
                f"shapes (series of {self.model.spec.dates} dates); set `dates` to that number"
            ) from None


def _pixels(image: ImageSettings, finer: int) -> str:
    """What images and labels are like, as lines of a sites file."""
    may_lack = f", optional: [{', '.join(image.optional)}]" if image.optional else ""
    lines = f"image: {{bands: [{', '.join(image.bands)}], encoding: {image.encoding}{may_lack}}}"
    return f"`{lines}` and `finer: {finer}`"


def weights_meaning(
    model: str,
    image: ImageSettings,
    legend: Legend,
    sizes: Mapping[str, object],
    afresh: Collection[str] = (),
) -> Decided:
    """What decides which weights a model has and what they mean.

    Args:
        model: Name of the architecture.
        image: What it reads.
        legend: What it maps.
        sizes: The sizes of its networks by name, among others.
        afresh: Sizes of networks that begin with random weights.
    """
    named = architecture(model).sizes(sizes)
    fields: dict[str, JsonValue] = {
        "model": model,
        "bands": ",".join(image.bands),
        "encoding": image.encoding,
        "classes": ",".join(legend.names),
        **{name: named[name] for name in sorted(named) if name not in afresh},
    }
    return Decided("weights", 1, fields)


def difference(offered: Decided, wanted: Decided) -> str:
    """The first difference between two meanings of weights, as text; empty if there is none."""
    what = wanted.difference(offered.json())
    if what is None:
        return ""
    values = (decided.fields.get(what) for decided in (offered, wanted))
    return "its {} is {}, this run's {}; both must be the same".format(what, *values)
