"""Bars on a terminal, lines in a log, nothing for those who want quiet."""

import io
import time
from collections.abc import Iterator

import pytest
from rich.console import Console

from swath import progress
from swath.progress import Verbosity, detail, speak, tell, track, within


@pytest.fixture
def log(monkeypatch: pytest.MonkeyPatch) -> Iterator[io.StringIO]:
    """What a log gets, a line every hundredth of a second."""
    text = io.StringIO()
    monkeypatch.setattr(progress, "console", Console(file=text, markup=False, width=200))
    monkeypatch.setattr(progress, "EVERY_S", 0.01)
    monkeypatch.setattr(progress, "_log", {"told": 0.0, "counted": -1e9})
    yield text
    speak(Verbosity.NORMAL)


def told(log: io.StringIO, text: str) -> bool:
    """Whether a line comes, which on a busy machine may take a moment."""
    end = time.perf_counter() + 20
    while text not in log.getvalue() and time.perf_counter() < end:
        time.sleep(0.01)
    return text in log.getvalue()


def test_a_log_is_told_how_far_it_is_within_an_item_too(log: io.StringIO) -> None:
    for number in track(["a", "b"], "mapping tiles"):
        within(0.5)
        assert told(log, f"mapping tiles: {'ab'.index(number)} of 2, {25 if number == 'a' else 75} %; 0:00:")
    assert "left" in log.getvalue()


def test_the_innermost_count_is_told_and_the_outer_goes_on_after_it(log: io.StringIO) -> None:
    for _ in track(range(1), "sites"):
        for item in track(iter("xyz"), "tiles"):
            assert item != "z" or told(log, "tiles: 2 done; ")  # of what has no length no one knows the rest
        assert told(log, "sites: 0 of 1, 0 %; ")


def test_what_is_quick_leaves_no_line(log: io.StringIO, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(progress, "EVERY_S", 30.0)
    assert list(track("abc", "quick")) == ["a", "b", "c"]
    assert log.getvalue() == ""


def test_short_counts_in_a_row_are_told_as_one_long_one_is(
    log: io.StringIO, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(progress, "EVERY_S", 0.2)
    began = time.perf_counter()
    for number in range(500):
        for _ in track(range(2), f"date {number}"):
            time.sleep(0.01)
        if log.getvalue():
            break
    assert log.getvalue().startswith("date ")
    assert time.perf_counter() - began >= 0.2


def test_a_command_does_not_wait_on_from_the_one_before(
    log: io.StringIO, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(progress, "EVERY_S", 0.5)
    for _ in track(range(2), "one"):
        time.sleep(0.2)
    speak(Verbosity.NORMAL)
    for _ in track(range(2), "two"):
        time.sleep(0.1)
    assert log.getvalue() == ""


def test_a_thread_that_has_no_memory_to_begin_is_not_waited_for(monkeypatch: pytest.MonkeyPatch) -> None:
    began = time.perf_counter()
    monkeypatch.setattr("_thread.start_new_thread", lambda function, given: 1)
    assert list(track("ab", "quick")) == ["a", "b"]
    assert time.perf_counter() - began < 20


def test_a_loop_that_is_broken_off_counts_no_more(log: io.StringIO) -> None:
    for _ in track(range(9), "broken"):
        break
    within(0.5)  # of nothing
    assert progress._counts == []


def test_bars_within_a_bar_share_the_display(monkeypatch: pytest.MonkeyPatch) -> None:
    screen = io.StringIO()
    terminal = Console(file=screen, force_terminal=True, markup=False, width=60, no_color=True)
    monkeypatch.setattr(progress, "console", terminal)
    for _ in track(range(2), "sites"):
        for _ in track(range(2), "tiles"):
            within(0.5)
    assert "sites" in screen.getvalue()
    assert "100 %" in screen.getvalue()
    assert progress._bars == []
    assert max(len(line) for line in screen.getvalue().replace("\r", "\n").splitlines()) < 100


def test_quiet_says_nothing_and_verbose_what_each_step_took(
    log: io.StringIO, monkeypatch: pytest.MonkeyPatch
) -> None:
    speak(Verbosity.QUIET)
    tell("hello")
    for _ in track(range(2), "quiet"):
        time.sleep(0.03)
    assert log.getvalue() == ""
    monkeypatch.setattr(progress, "EVERY_S", 30.0)
    speak(Verbosity.NORMAL)
    detail("not asked for")
    assert log.getvalue() == ""
    speak(Verbosity.VERBOSE)
    list(track("abc", "counting"))
    assert log.getvalue().startswith("counting: 3 in ")
