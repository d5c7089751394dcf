"""`swath doctor` on machines that lack this or that: what is red, what is optional, what is advised."""

import json
import shutil
import socket
import sys
import time
from collections import namedtuple
from pathlib import Path

import pytest

from swath import cli, doctor, extras
from swath.doctor import Finding, Status, examine, is_well

Disk = namedtuple("Disk", "total used free")


@pytest.fixture
def quick(monkeypatch: pytest.MonkeyPatch) -> None:
    """No map is made, no one is asked, and there is room."""
    monkeypatch.setattr(doctor, "_smoke_test", lambda: iter([Finding("smoke test", Status.OK, "none")]))
    monkeypatch.setattr(doctor, "_answers", lambda host, port: False)
    monkeypatch.setattr(doctor, "_free_memory_gb", lambda: 8.0)
    monkeypatch.setattr(shutil, "disk_usage", lambda _: Disk(1e12, 0, 1e11))


def findings() -> dict[str, Finding]:
    return {finding.name: finding for finding in examine()}


@pytest.mark.usefixtures("quick")
def test_a_whole_installation_is_well_without_a_network(capsys: pytest.CaptureFixture[str]) -> None:
    assert cli.run(["doctor", "--json"]) == 0
    result = json.loads(capsys.readouterr().out)
    assert result["well"]
    named = {entry["name"]: entry for entry in result["findings"]}
    assert {f"extra {name}" for name in extras.EXTRAS} <= set(named)
    assert {"swath", "packages", "device", "bf16", "GDAL JP2", "GDAL COG", "GDAL OSM", "smoke test"} <= set(
        named
    )
    assert named["network"]["status"] == "optional"
    assert "all else works offline" in named["network"]["said"]


@pytest.mark.usefixtures("quick")
def test_missing_extras_are_optional_and_say_what_to_type(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(
        extras, "find_spec", lambda name: None if name in ("osmium", "requests") else object()
    )
    assert cli.run(["doctor"]) == 0
    text = capsys.readouterr().out
    assert "optional  extra osm: without osmium: no OpenStreetMap extracts" in text
    assert "-> pip install 'swath[osm]'" in text
    assert "optional  extra fetch: without requests" in text
    assert "ok        extra report" in text


@pytest.mark.usefixtures("quick")
def test_a_broken_package_is_red_and_stops_nothing(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setitem(sys.modules, "torch", None)  # as where its library does not load
    assert cli.run(["doctor"]) == 2
    text = capsys.readouterr().out
    assert "RED       device: ModuleNotFoundError: import of torch halted" in text
    assert "-> install swath anew" in text
    assert "smoke test" in text
    assert text.splitlines()[-1].startswith("1 red: ")


@pytest.mark.usefixtures("quick")
@pytest.mark.parametrize(
    ("driver", "name", "status"),
    [("COG", "GDAL COG", Status.RED), ("JP2OpenJPEG", "GDAL JP2", Status.OPTIONAL)],
)
def test_drivers_that_lack(driver: str, name: str, status: Status, monkeypatch: pytest.MonkeyPatch) -> None:
    import rasterio

    drivers = rasterio.Env.drivers
    monkeypatch.setattr(
        rasterio.Env, "drivers", lambda env: {k: v for k, v in drivers(env).items() if k != driver}
    )
    found = findings()
    assert found[name].status == status
    assert "pip install rasterio" in found[name].advice
    assert is_well(found.values()) == (status != Status.RED)


@pytest.mark.usefixtures("quick")
@pytest.mark.parametrize(("gb", "status"), [(0.1, Status.RED), (1.0, Status.WARNING), (9.0, Status.OK)])
def test_room_in_memory_and_on_disk(gb: float, status: Status, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(doctor, "_free_memory_gb", lambda: gb)
    monkeypatch.setattr(shutil, "disk_usage", lambda _: Disk(1e12, 0, gb * 1e9))
    found = findings()
    assert found["memory"].status == status
    assert found["disk (here)"].status == (status if gb != 9.0 else Status.OK)
    assert bool(found["memory"].advice) == (status != Status.OK)


def test_a_network_that_swallows_all_is_given_up_in_time(monkeypatch: pytest.MonkeyPatch) -> None:
    def swallowing(*_: object) -> socket.socket:
        time.sleep(0.4)
        raise TimeoutError

    monkeypatch.setattr(doctor, "ANSWER_S", 0.05)
    monkeypatch.setattr(socket, "create_connection", swallowing)
    began = time.perf_counter()
    assert not doctor._answers("nowhere.invalid", 443)
    assert time.perf_counter() - began < 0.3


def test_the_smoke_test_makes_a_map(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    (finding,) = doctor._smoke_test()
    assert finding.status == Status.OK
    assert "km of road" in finding.said
    assert not list(tmp_path.iterdir())


@pytest.mark.usefixtures("quick")
@pytest.mark.parametrize("columns", [40, 60])
def test_lines_fit_narrow_terminals(
    columns: int, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv("COLUMNS", str(columns))
    assert cli.run(["doctor"]) == 0
    lines = capsys.readouterr().out.splitlines()
    assert max(len(line) for line in lines if "->" not in line) <= columns
