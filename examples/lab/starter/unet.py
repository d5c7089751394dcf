"""Learns a U-Net from labels, or from what others see too, and says how good it is elsewhere.

    python unet.py NAME PLACES OUT [--without rennes ...] [--measured] [--no-simulated]
                   [--teachers RUN ...] [--seed 0] [--looks 1 8] [--set width=16 ...]

OUT/NAME is a run of swath that has no fusion yet; scores go to OUT/scores.jsonl: by place, of single dates
(mean) and of the mean over all dates, what `scores.score` says.

--without: places that are held out, and scored instead. --measured: learns from validation places too, whose
labels have no stated licence: a network to measure with. --teachers: runs whose mean over eight looks is half
of the truth of labelled ground, and the truth of all other; unlabelled places are learnt from then.
"""

import argparse
import json
import math
import sys
from pathlib import Path

import numpy as np
import torch
from recipe import INPUT_OFFSET, INPUT_SCALE, Recipe
from samples import Batch, Corpus, Place, read_place
from scores import score
from torch import Tensor, nn
from torch.nn import functional
from torch.optim.swa_utils import AveragedModel, get_ema_multi_avg_fn
from weather import weathered

from swath.grid import refine
from swath.models.network import ImageNetwork
from swath.models.orientations import Orientations, mapped
from swath.models.trained import TrainedModel, build_fcn, load_model, save_model

WARM_UP = 20
"""The learning rate rises over one step in so many."""


def device_of() -> torch.device:
    """An accelerator, if there is one."""
    return torch.device("cuda" if torch.cuda.is_available() else "cpu")


def half_precision(device: torch.device) -> torch.autocast:
    """bfloat16 on an accelerator."""
    return torch.autocast(device.type, torch.bfloat16, enabled=device.type != "cpu")


def network_input(images: Tensor, known: Tensor) -> Tensor:
    """Spreads (B, 4, H, W) as the network sees them; 0 where not known."""
    scaled = torch.where(known.unsqueeze(1), (images - INPUT_OFFSET) / INPUT_SCALE, 0.0)
    return scaled.contiguous(memory_format=torch.channels_last)


def road_share(distance_m: Tensor, recipe: Recipe) -> Tensor:
    """How much road a map pixel is, 0..1, by its distance to the line, or to the edge for `class`."""
    if recipe.target == "soft":
        return torch.exp(-((distance_m / recipe.soft_m) ** 2))
    if recipe.target == "class":
        return (distance_m <= 0).float()
    return (distance_m <= float(recipe.target) / 2).float()


def loss_of(logits: Tensor, road: Tensor, weight: Tensor, share: float) -> Tensor:
    """The loss of swath, a H - (1 - a) log J, for truths from 0 to 1 and pixels that weigh differently."""
    weight = weight.float().unsqueeze(1)
    truth, wide = torch.stack([1 - road, road], dim=1), logits.float()
    entropy = functional.binary_cross_entropy_with_logits(wide, truth, reduction="none") * weight
    entropy = entropy.sum() / weight.sum().clamp_min(1) / truth.shape[1]
    chance, truth = torch.sigmoid(wide) * weight, truth * weight
    shared = (chance * truth).sum((0, 2, 3))
    union = chance.sum((0, 2, 3)) + truth.sum((0, 2, 3)) - shared
    iou = (shared / union.clamp_min(1)).mean() + 1e-6
    return share * entropy - (1 - share) * torch.log(iou)


class Learner:
    """AdamW, a rate that warms up and falls as a cosine, gradients that are clipped, weights averaged."""

    def __init__(self, network: nn.Module, recipe: Recipe) -> None:
        self.network, self.recipe = network, recipe
        warm = max(1, recipe.steps // WARM_UP)

        def rate(step: int) -> float:
            if step < warm:
                return (step + 1) / warm
            return 0.5 * (1 + math.cos(math.pi * (step - warm) / max(1, recipe.steps - warm)))

        self.optimiser = torch.optim.AdamW(
            network.parameters(), lr=recipe.peak, weight_decay=recipe.weight_decay
        )
        self.schedule = torch.optim.lr_scheduler.LambdaLR(self.optimiser, rate)
        decay = min(recipe.average, max(0.0, 1 - 6 / recipe.steps))  # few steps: a shorter memory
        self.average = AveragedModel(network, multi_avg_fn=get_ema_multi_avg_fn(decay), use_buffers=True)
        network.train()

    def step(self, loss: Tensor) -> None:
        """One step down a loss."""
        self.optimiser.zero_grad(set_to_none=True)
        loss.backward()
        nn.utils.clip_grad_norm_(self.network.parameters(), self.recipe.clip)
        self.optimiser.step()
        self.schedule.step()
        self.average.update_parameters(self.network)

    def learnt(self) -> nn.Module:
        """The network with its averaged weights, in evaluation mode."""
        self.network.load_state_dict(self.average.module.state_dict())
        return self.network.eval()


def draw(corpus: Corpus, groups: dict[str, list[int]], recipe: Recipe) -> Tensor:
    """The places of a batch: each group's share of it, one place of a group as likely as another."""
    shares = {"real": recipe.real, "unlabelled": recipe.unlabelled, "simulated": 1.0}
    left, drawn = recipe.batch, []
    filled = [name for name in shares if groups[name]]
    for name in filled:
        count = left if name == filled[-1] else round(recipe.batch * shares[name])
        left -= count
        numbers = torch.tensor(groups[name])
        drawn.append(numbers[torch.randint(0, len(numbers), (count,))])
    return torch.cat(drawn).to(corpus.device)


def truth_of(batch: Batch, recipe: Recipe) -> tuple[Tensor, Tensor]:
    """(B, ns, ns) how much road each map pixel is, and whether it counts: by labels and by teachers."""
    finer = batch.use.shape[-1] // batch.known.shape[-1]
    seen = batch.known.repeat_interleave(finer, 1).repeat_interleave(finer, 2)
    road, heard = road_share(batch.distance_m, recipe), batch.taught >= 0
    both = (1 - recipe.taught) * road + recipe.taught * batch.taught
    road = torch.where(heard, torch.where(batch.use, both, batch.taught), road)
    return road, (batch.use | heard) & seen


def learn(corpus: Corpus, groups: dict[str, list[int]], network: nn.Module, recipe: Recipe) -> ImageNetwork:
    """A U-Net that has learnt from some places, given by number."""
    network = network.to(corpus.device, memory_format=torch.channels_last)
    learner = Learner(network, recipe)
    for step in range(recipe.steps):
        batch = corpus.sample(draw(corpus, groups, recipe), recipe)
        images = weathered(batch.images, recipe.clouds, recipe.missing)
        with half_precision(corpus.device):
            logits = network(network_input(images, batch.known), batch.known)
        loss = loss_of(logits, *truth_of(batch, recipe), recipe.loss_weight)
        learner.step(loss)
        if step % 200 == 0:
            sys.stderr.write(f"{step} of {recipe.steps}: loss {float(loss.detach()):.3f}\n")
    return learner.learnt()


@torch.inference_mode()
def pmap(network: ImageNetwork, images: Tensor, known: Tensor, looks: Orientations = 1) -> Tensor:
    """(2, nH, nW) the PMap of one date (1, 4, H, W), in spreads."""
    with half_precision(images.device):
        return mapped(network, (network_input(images, known), known), network.stride, looks)[0].float()


def road_of(networks: list[ImageNetwork], corpus: Corpus, place: int, looks: Orientations) -> Tensor:
    """(T, nH, nW) the mean of networks' PMaps of road, of all dates of a place."""
    dates = range(len(corpus.places[place].images))
    return torch.stack(
        [sum(pmap(n, *corpus.image(place, d), looks)[1] for n in networks) / len(networks) for d in dates]
    )


def teach(corpus: Corpus, teachers: list[ImageNetwork], held: list[int]) -> None:
    """Keep what teachers see on real ground from eight sides, the mean of its dates, where it is known."""
    maps = []
    for number, place in enumerate(corpus.places):
        if place.simulated or number in held:  # the truth is known there, or must not be
            maps.append(None)
            continue
        known = refine(place.known, corpus.finer)
        seen = road_of(teachers, corpus, number, 8).cpu().numpy()
        maps.append(((seen * known).sum(0) / np.maximum(known.sum(0), 1)).clip(0, 1))
    corpus.teach(maps)


def evaluate(
    networks: list[ImageNetwork], corpus: Corpus, held: list[int], looks: Orientations
) -> dict[str, list[float]]:
    """`PLACE/1` -> the mean scores of its single dates, `PLACE/all` -> those of its dates' mean."""
    found = {}
    for number in held:
        place = corpus.places[number]
        if place.line_m is None:
            continue
        road, known = road_of(networks, corpus, number, looks).cpu().numpy(), place.known.all(axis=0)
        single = np.mean([score(one, place, known) for one in road], axis=0)
        found[f"{place.name}/1"] = np.round(single, 3).tolist()
        found[f"{place.name}/all"] = np.round(score(road.mean(axis=0), place, known), 3).tolist()
    return found


def keep_scores(out: Path, name: str, looks: Orientations, scores: dict[str, list[float]]) -> None:
    """Add a line to OUT/scores.jsonl."""
    out.mkdir(parents=True, exist_ok=True)
    with (out / "scores.jsonl").open("a") as file:
        file.write(json.dumps({"name": name, "looks": looks, "scores": scores}) + "\n")


def role(place: Place, a: argparse.Namespace) -> str:
    """What a place is for in this run: a group to learn from, `held`, or `none`."""
    if place.name in a.without:
        return "held"
    if place.simulated:
        return "simulated" if place.split == "simulated train" and not a.no_simulated else "none"
    if place.edge_m is None:
        return "unlabelled" if a.teachers else "none"
    learnt = ("train", "validation") if a.measured else ("train",)
    return "real" if place.split in learnt else "held"


def main(argv: list[str] | None = None) -> None:
    """Learn, keep and score one U-Net."""
    parser = argparse.ArgumentParser(description="A U-Net of the recipe; see the head of this file.")
    parser.add_argument("name")
    parser.add_argument("places", type=Path)
    parser.add_argument("out", type=Path)
    parser.add_argument("--without", nargs="*", default=[])
    parser.add_argument("--measured", action="store_true")
    parser.add_argument("--no-simulated", action="store_true")
    parser.add_argument("--teachers", nargs="*", type=Path, default=[])
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--looks", nargs="*", type=int, default=[1])
    parser.add_argument("--set", nargs="*", default=[], dest="settings")
    a = parser.parse_args(argv)
    recipe = Recipe().changed(a.settings)
    places = [read_place(path, recipe.finer, recipe.target) for path in sorted(a.places.glob("*.npz"))]
    roles = {place.name: role(place, a) for place in places}
    places = [place for place in places if roles[place.name] != "none"]
    groups = {
        wanted: [number for number, place in enumerate(places) if roles[place.name] == wanted]
        for wanted in ("real", "unlabelled", "simulated", "held")
    }
    torch.manual_seed(a.seed)
    corpus = Corpus(places, recipe.finer, device_of())
    if a.teachers:
        teachers = [load_model(path).fcn.to(corpus.device).eval() for path in a.teachers]
        teach(corpus, teachers, groups["held"])
        keep_scores(a.out, f"teachers of {a.name}", 8, evaluate(teachers, corpus, groups["held"], 8))
    learnt = [place for place in places if roles[place.name] != "held"]
    makers = "; ".join(sorted({place.attribution for place in learnt}))
    spec = recipe.spec([place.name for place in learnt], makers)
    network = learn(corpus, groups, build_fcn(spec), recipe)
    (a.out / a.name).mkdir(parents=True, exist_ok=True)
    save_model(a.out / a.name, TrainedModel(spec, network, None), half=True)
    for looks in a.looks:
        keep_scores(a.out, a.name, looks, evaluate([network], corpus, groups["held"], looks))


if __name__ == "__main__":
    main()
