"""One kitchen a file of tests: so two of them share the machine's cores."""

from collections.abc import Iterator

import pytest

from corpus.kitchen import Kitchen, open_kitchen


@pytest.fixture(scope="module")
def kitchen(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Kitchen]:
    with open_kitchen(tmp_path_factory.mktemp("corpus")) as opened:
        yield opened
