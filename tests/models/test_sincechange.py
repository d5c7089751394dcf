"""The mean since the last change, by hand."""

import pytest
import torch

from swath.models.sincechange import SinceChange

ROAD = 0.9
NONE = 0.1


def network(**sizes):
    torch.manual_seed(0)
    return SinceChange(2, SinceChange.Sizes(hidden=4, **sizes)).eval()


def series(*shares):
    """PMaps (1, T, 2, 8, 8) of one share of road a date, everywhere."""
    road = torch.tensor(shares).view(1, -1, 1, 1, 1).expand(1, len(shares), 1, 8, 8)
    return torch.cat([1 - road, road], dim=2)


def road(model, pmaps, known=None):
    known = torch.ones(1, pmaps.shape[1], 8, 8, dtype=torch.bool) if known is None else known
    with torch.inference_mode():
        return torch.sigmoid(model(pmaps, known))[0, 1]


def certain_of_change(model):
    """Its score of a day is 60 x (share after - share before), whatever is around."""

    def score(x):
        return (torch.sigmoid(x[:, 1:2]) - torch.sigmoid(x[:, 3:4])).abs() * 60 - 10

    model.looks = torch.nn.ModuleList()
    model.score = torch.nn.Module()
    model.score.forward = score
    return model


def test_it_begins_as_the_mean():
    """Every day of change has the odds exp(-3) : 1 at first; without a difference it is the mean."""
    assert road(network(), series(0.3, 0.3, 0.3)) == pytest.approx(torch.full((8, 8), 0.3), abs=1e-4)
    # w_0 = 1 / (1 + 2 exp(-3)) = 0.909 on the mean 0.5, the others on 0.55 and 0.7.
    odds = torch.exp(torch.tensor(-3.0))
    expected = (0.5 + odds * (0.55 + 0.7)) / (1 + 2 * odds)
    assert road(network(), series(0.4, 0.4, 0.7)).mean() == pytest.approx(float(expected), abs=2e-3)


def test_a_road_that_was_built_is_todays():
    """Dates .1 .1 .9 .9: the change before the third date has the largest difference, .8."""
    model = certain_of_change(network())
    assert road(model, series(NONE, NONE, ROAD, ROAD)).mean() == pytest.approx(ROAD, abs=0.01)
    assert road(model, series(ROAD, ROAD, NONE, NONE)).mean() == pytest.approx(NONE, abs=0.01)


def test_one_date_alone_erases_nothing_but_may_build():
    """The last of .9 .9 .1 may lie under a cloud: the mean of the last two, .5, not .1; so is .9 .1.

    A road of one date, .1 .1 .9, is built."""
    model = certain_of_change(network())
    assert road(model, series(ROAD, ROAD, NONE)).mean() == pytest.approx(0.5, abs=0.01)
    assert road(model, series(NONE, NONE, ROAD)).mean() == pytest.approx(ROAD, abs=0.01)
    assert road(model, series(ROAD, NONE)).mean() == pytest.approx(0.5, abs=0.01)


def test_a_date_without_data_is_as_if_it_were_not_there():
    model = certain_of_change(network())
    known = torch.ones(1, 3, 8, 8, dtype=torch.bool)
    known[:, 1] = False
    pmaps = series(NONE, float("nan"), ROAD)
    assert torch.equal(road(model, pmaps, known), road(model, series(NONE, ROAD)))


@pytest.mark.parametrize("known_dates", [0, 1])
def test_what_no_other_date_can_judge_is_not_a_number_of_chance(known_dates):
    """No date at all: both classes alike; one: its own."""
    known = torch.zeros(1, 3, 8, 8, dtype=torch.bool)
    known[:, :known_dates] = True
    share = road(network(), series(0.8, 0.8, 0.8), known).mean()
    assert share == pytest.approx(0.8 if known_dates else 0.5, abs=1e-3)


def test_one_date_is_its_own_map():
    assert road(network(), series(0.7)).mean() == pytest.approx(0.7, abs=1e-4)
