"""Goes on from the starter weights with another recipe, and says what that brings elsewhere.

    python finetune.py NAME PLACES OUT [--seed 0] [--set steps=3500 ...]

No patch is blurred (`offset_px` 0), the near infrared of every patch has its own gain and level, and fewer
are simulated. Half of the truth of labelled ground, and all of other, is what the starter weights see from
eight sides, with and without the near infrared. OUT/NAME.pt are the weights, OUT/NAME-half.pt the mean of
them and the starter's. Scores of both and of the starter are lines of OUT/scores.jsonl.
"""

import argparse
from pathlib import Path

import numpy as np
import torch
import unet
from recipe import Recipe
from samples import Corpus, read_place
from torch import Tensor
from unet import Learner, draw, evaluate, half_precision, keep_scores, loss_of, network_input, pmap, truth_of
from weather import weathered

import swath
from swath.grid import refine
from swath.models.network import ImageNetwork
from swath.models.trained import load_model

STARTER = Path(swath.__file__).parent / "starter"

SETTINGS = (
    *("steps=3500", "batch=8", "patch_px=128", "peak=6e-4", "offset_px=0"),
    *("missing=0.35", "real=0.6", "unlabelled=0.25", "free=0.4"),
)

INFRARED_GAIN, INFRARED_LEVEL = 0.35, 0.5
"""How far, in logarithms and in spreads, the near infrared of other ground may lie off."""


def starter() -> ImageNetwork:
    """The network for one image that ships, in single precision."""
    return load_model(STARTER).fcn.float()


def other_infrared(images: Tensor) -> Tensor:
    """Images (B, 4, s, s), in spreads, over ground that grows otherwise."""
    images = images.clone()
    gain, level = torch.randn(2, len(images), 1, 1, device=images.device)
    images[:, 3] = images[:, 3] * torch.exp(INFRARED_GAIN * gain) + INFRARED_LEVEL * level
    return images


def teach(corpus: Corpus, teacher: ImageNetwork) -> None:
    """Keep what a network sees of real places from eight sides, with and without the near infrared."""
    maps = []
    for number, place in enumerate(corpus.places):
        if place.simulated:
            maps.append(None)
            continue
        roads = []
        for date in range(len(place.images)):
            images, known = corpus.image(number, date)
            dark = images.clone()
            dark[:, 3] = 0
            roads.append(sum(pmap(teacher, view, known, 8)[1].cpu().numpy() for view in (images, dark)) / 2)
        known = refine(place.known, corpus.finer)
        maps.append(((np.stack(roads) * known).sum(0) / np.maximum(known.sum(0), 1)).clip(0, 1))
    corpus.teach(maps)


def main(argv: list[str] | None = None) -> None:
    """Learn, keep and score."""
    parser = argparse.ArgumentParser(description="On from the starter weights; see the head of this file.")
    parser.add_argument("name")
    parser.add_argument("places", type=Path)
    parser.add_argument("out", type=Path)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--set", nargs="*", default=[], dest="settings")
    a = parser.parse_args(argv)
    recipe = Recipe().changed([*SETTINGS, *a.settings])
    device = unet.device_of()
    read = [read_place(path, recipe.finer, recipe.target) for path in sorted(a.places.glob("*.npz"))]
    held = [place for place in read if place.split in ("validation", "test") and not place.simulated]
    places = [place for place in read if place.split in ("train", "simulated train")]
    groups: dict[str, list[int]] = {"real": [], "unlabelled": [], "simulated": []}
    for number, place in enumerate(places):
        groups["simulated" if place.simulated else "unlabelled" if place.edge_m is None else "real"].append(
            number
        )
    torch.manual_seed(a.seed)
    corpus = Corpus(places, recipe.finer, device)
    teach(corpus, starter().to(device).eval())
    network = starter().to(device, memory_format=torch.channels_last)
    learner = Learner(network, recipe)
    for _ in range(recipe.steps):
        batch = corpus.sample(draw(corpus, groups, recipe), recipe)
        images = weathered(other_infrared(batch.images), recipe.clouds, recipe.missing)
        with half_precision(device):
            logits = network(network_input(images, batch.known), batch.known)
        learner.step(loss_of(logits, *truth_of(batch, recipe), recipe.loss_weight))
    learner.learnt()
    a.out.mkdir(parents=True, exist_ok=True)
    before = starter().state_dict()
    after = {key: value.cpu().clone() for key, value in network.state_dict().items()}
    half = {k: (v + after[k]) / 2 if v.is_floating_point() else v for k, v in before.items()}
    elsewhere = Corpus(held, recipe.finer, device)
    for name, weights in (("starter", before), (a.name, after), (f"{a.name}-half", half)):
        torch.save(weights, a.out / f"{name}.pt")
        network.load_state_dict(weights)
        keep_scores(a.out, name, 1, evaluate([network.eval()], elsewhere, list(range(len(held))), 1))


if __name__ == "__main__":
    main()
