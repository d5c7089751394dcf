"""The examples of the laboratory can be read, and lead to the folders that the others make."""

from pathlib import Path

import pytest

from conftest import PROJECT
from swath.lab.comparison.comparisonfile import ComparisonFile
from swath.sites.schema import read_sites_file
from swath.training.presets import change, override, preset
from swath.validation import read_yaml

LAB = PROJECT / "examples" / "lab"
COMPARISONS = sorted(path.name for path in LAB.glob("compare-*.yaml"))
SITES = [*sorted(path.name for path in LAB.glob("realism-*.yaml")), "variance-romania.yaml"]


def test_nothing_of_the_laboratory_lies_elsewhere() -> None:
    assert len(COMPARISONS) >= 12
    assert not list(LAB.parent.glob("compare-*"))


@pytest.mark.parametrize("name", COMPARISONS)
def test_comparisons_have_settings_that_exist(name: str) -> None:
    file = read_yaml(LAB / name, ComparisonFile)
    folders = [file.dataset, *(model.dataset for model in file.models if model.dataset)]
    for model in file.models:
        if model.method is None:
            change(preset(model.preset), model.settings, name)
        if model.pretrain is not None:
            change(preset(model.preset), model.pretrain.settings, name)
            folders.append(model.pretrain.dataset)
    assert {(LAB / folder).resolve().parent for folder in folders} == {PROJECT / "data"}


@pytest.mark.parametrize("name", SITES)
def test_sites_files_lead_to_data(name: str) -> None:
    homes = {PROJECT / "data", PROJECT.parent / "shared" / "data"}
    for site in read_sites_file(LAB / name).sites.values():
        for scene in site.scenes:
            path = Path(str(LAB / scene.path)).resolve()
            assert any(path.is_relative_to(home) for home in homes), path


def test_settings_files_are_settings() -> None:
    assert override("best", LAB / "one-orientation.yaml").orientations == 1
