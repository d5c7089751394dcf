"""The report in a real browser: its first screen holds the numbers of report.json, and it asks nobody."""

import json
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING

import geopandas as gpd
import pytest

from support.class_worlds import map_classes, of_three_classes
from support.drawn_maps import map_all
from swath.dataset.site import Dataset
from swath.evaluation.evaluate import evaluate
from swath.maps.sitemaps import read_maps
from swath.report.folder import write_report
from swath.viewer.place import read_exhibition

if TYPE_CHECKING:
    from playwright.sync_api import Browser, Page

LOCAL = ("file:", "data:", "blob:", "about:")


@pytest.fixture(scope="module")
def roads(dataset: Dataset, tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, Path]:
    """MAPS whose lines are two of three true ones and one that is none; and their report."""
    root = map_all(tmp_path_factory.mktemp("maps") / "maps", dataset)
    for maps in read_maps(root):
        path = dataset.site(maps.site).roads
        assert path is not None
        lines = gpd.read_parquet(path).geometry
        shown = [*lines.iloc[:-1], lines.iloc[0].parallel_offset(35)]
        frame = gpd.GeoDataFrame({"class": "road"}, index=range(len(shown)), geometry=shown, crs=lines.crs)
        frame.to_parquet(maps.parquet_path)
    out = tmp_path_factory.mktemp("report") / "report"
    write_report(evaluate(root, dataset), out)
    return root, out


@pytest.fixture(scope="module")
def classes(dataset: Dataset, tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, Path]:
    folder = tmp_path_factory.mktemp("three")
    three = of_three_classes(dataset, folder / "labels")
    maps = map_classes(folder / "maps", three)
    write_report(evaluate(maps, three), folder / "report")
    return maps, folder / "report"


@contextmanager
def opened(browser: "Browser", page_path: Path, width: int, scheme: str = "light") -> "Iterator[Page]":
    """The report; no error, and no request that leaves this machine."""
    context = browser.new_context(viewport={"width": width, "height": 800}, color_scheme=scheme)
    page = context.new_page()
    faults: list[str] = []
    page.on("console", lambda message: faults.append(message.text) if message.type == "error" else None)
    page.on("pageerror", lambda error: faults.append(str(error)))
    page.on("request", lambda request: None if request.url.startswith(LOCAL) else faults.append(request.url))
    page.goto(page_path.as_uri())
    yield page
    page.locator("iframe").scroll_into_view_if_needed()
    page.frame_locator("iframe").locator("body[data-ready]").wait_for()
    context.close()
    assert faults == []


def test_the_first_screen_says_what_roads_are_worth(browser: "Browser", roads: tuple[Path, Path]) -> None:
    content = json.loads((roads[1] / "report.json").read_text("utf-8"))
    (row,) = (r for r in content["lines"] if (r["split"], r["site"], r["model"]) == ("test", "all", "lines"))
    (chance,) = (
        r for r in content["lines"] if (r["split"], r["site"], r["model"]) == ("test", "all", "chance")
    )
    missed = max((m for m in content["missed"] if m["split"] == "test"), key=lambda m: m["length_m"])
    gain = next(
        g for g in content["paired"] if (g["split"], g["site"], g["role"]) == ("test", "all", "best control")
    )
    with opened(browser, roads[1] / "report.html", 1280) as page:
        worth = page.locator("#worth")
        text = worth.inner_text()
        found = row["true_km"] * row["completeness"]["10"]
        for words in (
            f"{found:.1f} of {row['true_km']:.1f} km",
            f"{row['f1']['10']:.3f}",
            f"{chance['f1']['10']:.3f} by chance",
            f"{gain['difference']['pr_auc']:+.3f} PR-AUC",
            f"{missed['length_m'] / 1e3:.2f} km",
            missed["site"],
        ):
            assert words in text
        box = worth.bounding_box()
        assert box is not None
        assert box["y"] + box["height"] <= 800
        layers = page.frame_locator("iframe").locator("#overlays")
        assert [word for word in layers.inner_text().split() if word in ("Found", "Missed", "False")] == [
            "Found",
            "Missed",
            "False",
        ]


def test_the_first_screen_says_what_classes_are_worth(browser: "Browser", classes: tuple[Path, Path]) -> None:
    content = json.loads((classes[1] / "report.json").read_text("utf-8"))
    row = next(
        r for r in content["class_maps"] if (r["split"], r["site"], r["model"]) == ("test", "all", "fused")
    )
    iou = {name: of["iou"] for name, of in row["classes"].items()}
    worst = min(iou, key=iou.__getitem__)
    with opened(browser, classes[1] / "report.html", 1280) as page:
        text = page.locator("#worth").inner_text()
        for words in (f"{100 * row['accuracy']:.1f} %", f"{row['mean_iou']:.3f}", worst, f"{iou[worst]:.3f}"):
            assert words in text


@pytest.mark.parametrize("width", [1280, 400])
@pytest.mark.parametrize("kind", ["roads", "classes"])
def test_nothing_is_cut_off(
    browser: "Browser", request: pytest.FixtureRequest, kind: str, width: int
) -> None:
    """At 1,280 px every table fits; at 400 px it scrolls by itself, and never the page."""
    _, out = request.getfixturevalue(kind)
    with opened(browser, out / "report.html", width, "dark") as page:
        page.evaluate("document.querySelectorAll('details').forEach((part) => { part.open = true })")
        assert page.evaluate("document.documentElement.scrollWidth") <= width
        if width == 1280:
            boxes = (
                "[...document.querySelectorAll('.scroll')].filter((box) => box.scrollWidth > box.clientWidth)"
            )
            assert page.evaluate(f"{boxes}.length") == 0


def test_no_row_stands_twice(browser: "Browser", roads: tuple[Path, Path]) -> None:
    with opened(browser, roads[1] / "report.html", 1280) as page:
        rows = page.evaluate(
            "[...document.querySelectorAll('table')].flatMap((table, at) => "
            "[...table.tBodies[0].rows].map((row) => `${at} ${row.innerText}`))"
        )
        assert len(set(rows)) == len(rows)
        heads = page.evaluate("[...document.querySelectorAll('caption')].map((head) => head.innerText)")
        splits = [head.split(", ")[1].split(":")[0] for head in heads if head.startswith("road, ")]
        assert splits == ["test", "validation", "training"]


def test_the_viewer_shows_a_report(roads: tuple[Path, Path], classes: tuple[Path, Path]) -> None:
    shown = read_exhibition([roads[0]], [roads[1]])
    assert {"found", "missed", "false"} <= {overlay.role for overlay in shown.places[0].overlays}
    assert shown.scores[0].title == "road, test"
    many = read_exhibition([classes[0]], [classes[1]]).scores
    assert [table.title for table in many] == [
        "all classes, test",
        "all classes, validation",
        "all classes, train",
    ]
    assert many[0].columns == ("", "accuracy", "mean IoU", "field", "road", "water")
    content = json.loads((classes[1] / "report.json").read_text("utf-8"))
    row = next(
        r for r in content["class_maps"] if (r["split"], r["site"], r["model"]) == ("test", "all", "fused")
    )
    assert many[0].rows[0][1:3] == (f"{row['accuracy']:.3f}", f"{row['mean_iou']:.3f}")
