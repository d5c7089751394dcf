"""What errors say, where they are printed and where they are not."""

import pickle

from swath import cli
from swath.errors import Remedy, WorkerError, brief, listed, reason_of


def test_the_command_line_has_an_advice_for_every_remedy() -> None:
    assert set(cli._ADVICE) == set(Remedy)


def test_a_remedy_comes_whole_from_a_worker() -> None:
    error = WorkerError("they died", Remedy.LESS_MEMORY)
    back = pickle.loads(pickle.dumps(error))  # noqa: S301
    assert (str(back), back.remedy) == ("they died", Remedy.LESS_MEMORY)


def test_messages_have_an_end() -> None:
    assert brief("a short one") == "a short one"
    assert brief(f"no file {'z' * 6000}") == f"no file {'z' * 150}...{'z' * 100}"
    assert len(brief("word " * 1000)) < 1500
    assert listed(map(str, range(13))) == "0, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12"
    assert listed(map(str, range(300))).endswith(", 10, 11 and 288 more")


def test_the_reason_of_an_error_is_a_line() -> None:
    assert reason_of(ValueError("a\n  b ")) == "a b"
    assert reason_of(TimeoutError()) == "TimeoutError"
