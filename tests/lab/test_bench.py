"""The bench end to end on tiny sizes, and the plain implementations that it compares with."""

import json

import pytest
import torch

from swath import cli
from swath.lab.bench import peers, suite
from swath.lab.bench.clock import Timing, measure
from swath.lab.bench.model import Everywhere, drawn_model
from swath.lab.bench.plain import (
    PlainConvLSTM,
    paper_pixels,
    paper_windows,
)
from swath.lab.bench.wholescene import bench_scene

TINY = suite.BenchPlan(
    repetitions=2,
    matmul_px=32,
    convolutions=((4, 16),),
    fcn_px=64,
    convlstm_px=16,
    batch=2,
    patch_px=32,
    scene_px=48,
    addition_px=64,
    dates=2,
    lines=50,
    burn_px=64,
    jp2_px=64,
    memory_px=(64,),
    width=2,
    hidden=2,
)


def figures(part):
    """All {value, unit, low, high, repetitions} of a report."""
    if isinstance(part, dict):
        if "unit" in part:
            yield part
        for below in part.values():
            yield from figures(below)


@pytest.fixture
def alone(monkeypatch):
    """Without the other runtimes, whose import and export take longer than all the rest."""
    monkeypatch.setattr(peers, "installed", lambda: dict.fromkeys(peers.PEERS, False))


def test_the_command_prints_one_json_object(monkeypatch, capsys, alone):
    monkeypatch.setattr(suite, "QUICK", TINY)
    assert cli.run(["lab", "bench", "--quick", "--json"]) == 0
    said = capsys.readouterr()
    report = json.loads(said.out)
    assert "measuring: convlstm" in said.err
    assert report["machine"]["threads"] == torch.get_num_threads()
    parts = {"peak", "unet", "convlstm", "growth", "training", "sampling", "burning"}
    assert parts | {"jpeg2000", "scene", "addition", "memory"} < set(report)
    measured = list(figures(report))
    assert len(measured) > 30
    for figure in measured:
        assert 0 < figure["low"] <= figure["value"] <= figure["high"]
        assert figure["repetitions"] in (1, TINY.repetitions)
        assert figure["unit"] in {"GFLOP/s", "Mpx/s", "s", "times", "px/px", "GB"}
    # A process with torch in it takes more than 0.1 GB, one with a scene of 64 px less than 3.
    assert 0.1 < report["memory"]["64"]["peak"]["value"] < 3


def test_people_get_a_table(monkeypatch, capsys):
    figure = {"value": 2.5, "unit": "Mpx/s", "low": 2.0, "high": 3.0, "repetitions": 5}
    machine = {"processors": 1, "threads": 1, "extensions": [], "torch": "x", "clock": "wall"}
    report = {
        "machine": machine,
        "unet": {"cases": {"swath fp32": {"rate": figure, "share_of_conv_peak": 0.8}}},
    }
    monkeypatch.setattr(suite, "run_bench", lambda plan: report)
    assert cli.run(["lab", "bench"]) == 0
    said = capsys.readouterr().out
    row = next(line for line in said.splitlines() if "rate" in line)
    assert [cell.strip() for cell in row.strip("│").split("│")] == [
        "unet: swath fp32: rate",
        "2.5",
        "Mpx/s",
        "2 - 3",
        "5",
    ]


def test_the_plain_convlstm_computes_the_same():
    _, _, convlstm = drawn_model(2, 5)
    pmaps = torch.rand(2, 3, 2, 9, 7)
    with torch.inference_mode():
        plain, ours = PlainConvLSTM(convlstm)(pmaps), Everywhere(convlstm)(pmaps)
    torch.testing.assert_close(plain, ours, rtol=0, atol=1e-5)


@pytest.mark.parametrize(
    ("length", "starts"),
    [
        (1000, [0]),
        (2048, [0]),
        (3584, [0, 1536]),
        (4096, [0, 1536, 2048]),
        (10980, [0, 1536, 3072, 4608, 6144, 7680, 8932]),
    ],
)
def test_windows_of_the_paper(length, starts):
    """2048 px, 512 px overlap; the last window ends where the scene ends."""
    assert paper_windows(length) == starts


def test_pixels_of_the_paper():
    """Seven by seven windows of 2048 px on a whole scene: 1.70 times its pixels."""
    assert paper_pixels(10980) == 49 * 2048**2
    assert paper_pixels(10980) / 10980**2 == pytest.approx(1.705, abs=0.001)


def test_a_whole_scene_is_extrapolated_by_computed_pixels(alone):
    """The paper's layout computes 48^2 px here and 49 x 2048^2 px of a whole scene."""
    model, fcn, _ = drawn_model(2, 2)
    report = bench_scene(model, fcn, side_px=48, dates=2, repetitions=1, windows=9, kept_windows=2)
    assert set(report["windows"].values()) == {1}
    here = 48**2 / 1e6 / report["cases"]["plain fp32, paper's tiles"]["value"]
    there = report["whole_scene"]["plain fp32, paper's tiles"]["value"]
    assert there / here == pytest.approx(49 * 2048**2 / 48**2, rel=2e-3)
    assert report["whole_scene"]["extrapolated"]


def test_cases_run_in_turn_and_warm_up_does_not_count():
    ran = []
    timings = measure({"a": lambda: ran.append("a"), "b": lambda: ran.append("b")}, 2)
    assert ran == ["a", "b", "a", "b", "a", "b"]
    assert [len(t.seconds) for t in timings.values()] == [2, 2]


def test_ratios_are_taken_round_by_round():
    """Rounds of 1 s against 3 s and 2 s against 4 s: 3 and 2 times, not 3.5 / 1.5."""
    report = Timing((1.0, 2.0)).times_faster_than(Timing((3.0, 4.0)))
    assert (report["value"], report["low"], report["high"]) == (2.5, 2.0, 3.0)
    assert Timing((2.0, 4.0, 1.0)).rate(8, "Mpx/s")["value"] == 4.0
