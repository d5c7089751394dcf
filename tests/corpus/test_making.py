"""What makes datasets and runs, given every bad input of the corpus."""

import pytest

from corpus import world
from corpus.cases import cases
from corpus.kitchen import Kitchen, keep_promise
from corpus.world import remove

COMMANDS = ("BUILD", "TRAIN", "CHECK")
CASES = {
    name: case for name, case in cases().items() if case.arguments[0] in ("build", "train", "labels", "lab")
}


@pytest.mark.parametrize("name", COMMANDS)
def test_what_is_not_spoilt_works(name: str, kitchen: Kitchen) -> None:
    answer, place = kitchen.run(f"good-{name}", world.Case(name, getattr(world, name)))
    assert answer["code"] == 0, answer["error"]
    remove(place)


@pytest.mark.parametrize("name", CASES)
def test_bad_input_is_one_line_and_leaves_nothing(name: str, kitchen: Kitchen) -> None:
    keep_promise(kitchen, name, CASES[name])
