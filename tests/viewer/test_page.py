"""The page in a real browser, as a file and live: what it shows is what the rasters hold."""

import math
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING

import geopandas as gpd
import numpy as np
import pytest
import rasterio
import shapely
from rasterio.io import MemoryFile

from swath.cli import run as swath
from swath.maps.sitemaps import SiteMaps
from swath.maps.styles import RAMP
from swath.picture import ramp_color
from viewer.conftest import DAYS, GRID

if TYPE_CHECKING:
    from playwright.sync_api import Browser, Page

LOOK = "[state.show, state.date, state.compare, [...state.on].join(), state.pick.map(Math.round).join()]"
"""What a link must bring back."""

LOCAL = ("file:", "data:", "blob:", "http://127.0.0.1")


@contextmanager
def opened(
    browser: "Browser", url: str, width: int = 1280, height: int = 800, scheme: str = "light"
) -> "Iterator[Page]":
    """The page once it is drawn; no error, and no request that leaves this machine."""
    context = browser.new_context(viewport={"width": width, "height": 800}, color_scheme=scheme)
    page = context.new_page()
    faults: list[str] = []
    page.on("console", lambda message: faults.append(message.text) if message.type == "error" else None)
    page.on("pageerror", lambda error: faults.append(str(error)))
    page.on("request", lambda request: None if request.url.startswith(LOCAL) else faults.append(request.url))
    page.goto(url)
    page.wait_for_selector("body[data-ready]")
    yield page
    context.close()
    assert faults == []


@pytest.fixture(scope="module")
def sent(town: SiteMaps, beside: Path, tmp_path_factory: pytest.TempPathFactory) -> str:
    """The page as a file that is sent."""
    out = tmp_path_factory.mktemp("sent") / "page.html"
    assert swath(["report", str(town.folder.parent), "--with", str(beside), "--out", str(out)]) == 0
    return out.as_uri()


@pytest.fixture(params=["file", "live"])
def url(request: pytest.FixtureRequest, sent: str) -> str:
    return sent if request.param == "file" else str(request.getfixturevalue("address"))


def values(maps: SiteMaps, row: int, col: int) -> list[float]:
    """Probability of road by date and fused, from the files: an independent reader."""
    found = []
    for path in (*map(maps.pmap_path, maps.dates), maps.fused_path):
        with rasterio.open(path) as source:
            band = source.descriptions.index("road") + 1
            code = int(source.read(band)[row, col])
        found.append(math.nan if code == 255 else code / 254)
    return found


def place(row: int, col: int) -> tuple[float, float]:
    return 600_000 + 10 * (col + 0.5), 5_330_000 - 10 * (row + 0.5)


def look(page: "Page", row: int, col: int, resolution: float = 1.0) -> list[float]:
    """Go close to a pixel: where it is on the screen."""
    x, y = place(row, col)
    page.evaluate(f"site.map.getView().setCenter([{x}, {y}]); site.map.getView().setResolution({resolution})")
    page.evaluate("site.map.renderSync()")  # else the place on the screen may be that of the last frame
    page.wait_for_function("!site.map.getLoadingOrNotReady()")
    at: list[float] = page.evaluate(f"site.map.getPixelFromCoordinate([{x}, {y}])")
    return at


def color_at(page: "Page", x: float, y: float) -> list[int]:
    """Red, green, blue of a pixel of the screen."""
    with MemoryFile(page.screenshot()) as memory, memory.open() as picture:
        colors: list[int] = picture.read([1, 2, 3])[:, round(y), round(x)].tolist()
    return colors


def check_color(page: "Page", x: float, y: float, expected: tuple[int, ...]) -> None:
    """A pixel of the screen gets a colour, once what is there is drawn."""
    for _ in range(60):
        found = color_at(page, x, y)
        if found == pytest.approx(expected, abs=1):
            return
        page.wait_for_timeout(200)
    assert found == expected


@pytest.mark.filterwarnings("ignore::rasterio.errors.NotGeoreferencedWarning")
@pytest.mark.parametrize(("row", "col"), [(100, 300), (520, 533)])
def test_colours_and_values_are_those_of_the_rasters(
    browser: "Browser", url: str, town: SiteMaps, row: int, col: int
) -> None:
    expected = values(town, row, col)
    with opened(browser, f"{url}#site=town&show=probability&date={DAYS[0]}&on=") as page:
        for value in expected:
            x, y = look(page, row, col)
            check_color(page, x, y, ramp_color(RAMP, value))
            page.mouse.move(x, y)
            words = f"road {value:.2f}"
            page.wait_for_function(f"document.getElementById('where').textContent.endsWith('{words}')")
            page.keyboard.press("ArrowRight")
        page.mouse.click(x, y)
        page.wait_for_selector("#chart canvas")
        said = page.get_attribute("#chart", "aria-label") or ""
        assert all(f"{day} {value:.2f}" in said for day, value in zip(DAYS, expected, strict=False))
        assert f"road {expected[-1]:.2f}" in page.inner_text("#facts-text")


def test_no_data_is_said(browser: "Browser", url: str) -> None:
    with opened(browser, f"{url}#show=probability&date={DAYS[0]}&on=") as page:
        x, y = look(page, 10, 10)
        page.mouse.click(x, y)
        page.wait_for_selector("#chart canvas")
        assert f"{DAYS[0]} no data" in (page.get_attribute("#chart", "aria-label") or "")


def test_layers_dates_and_the_link(browser: "Browser", url: str) -> None:
    with opened(browser, url) as page:
        titles = page.locator("#layers .choice span").all_inner_texts()
        assert titles == ["Image", "Probability of road", "Classes", "Days in colour"]
        assert page.is_checked("input[value=image]")
        page.keyboard.press("2")
        assert page.is_checked("input[value=probability]")
        assert page.inner_text("#date-text") == "All dates, fused"
        page.keyboard.press("ArrowLeft")
        assert page.inner_text("#date-text") == DAYS[-1]
        page.focus("input[value=roads]")
        for shown in (False, True):
            page.keyboard.press("Space")
            assert page.is_checked("input[value=roads]") == shown
        page.keyboard.press("c")
        assert page.is_visible("#swipe")
        page.keyboard.press("l")
        x, y = look(page, 200, 200, 4.0)
        page.mouse.click(x - 100, y)
        page.wait_for_selector("#chart canvas")
        link = page.url
        shown = page.evaluate(
            "[state.show, state.date, state.compare, [...state.on].join(), state.pick.map(Math.round).join()]"
        )
    with opened(browser, link) as page:
        again = page.evaluate(
            "[state.show, state.date, state.compare, [...state.on].join(), state.pick.map(Math.round).join()]"
        )
        assert again == shown
        assert page.evaluate("site.map.getView().getResolution()") == pytest.approx(4.0)
        page.wait_for_selector("#chart canvas")


@pytest.mark.filterwarnings("ignore::rasterio.errors.NotGeoreferencedWarning")
def test_the_swipe_parts_two_layers(browser: "Browser", sent: str, town: SiteMaps) -> None:
    with opened(browser, f"{sent}#show=classes&compare=probability+all&split=0.5&on=") as page:
        x, y = look(page, 100, 300)
        row, col = 100, 306  # 60 px of the screen to the right, of 1 m each
        value = values(town, row, col)[-1]
        check_color(page, x + 60, y, ramp_color(RAMP, value))
        page.focus("#swipe")
        page.keyboard.press("End")
        page.wait_for_timeout(200)
        assert page.get_attribute("#swipe", "aria-valuenow") == "100"
        classes = town.classes()[row, col]
        road = tuple(town.legend.foreground[0].rgb)
        assert (tuple(color_at(page, x + 60, y)) == road) == (classes == 1)


def test_what_is_decided_is_kept(browser: "Browser", address: str, town: SiteMaps) -> None:
    with opened(browser, address) as page:
        page.click("#tab-check")
        page.wait_for_selector(".line")
        ranks = page.locator(".line td:nth-child(2)").all_inner_texts()
        assert ranks == ["1", "2", "3"]
        page.keyboard.press("j")
        page.keyboard.press("a")
        page.keyboard.press("n")
        page.keyboard.type("a track")
        page.keyboard.press("Enter")
        page.keyboard.press("r")
        page.wait_for_function("document.querySelectorAll('.line.reject').length === 1")
        assert page.inner_text("#progress") == "2 of 3 decided"
        page.evaluate("review.last")
    kept = gpd.read_file(town.folder.parent / "decisions.gpkg").sort_values("decided")
    assert sorted(kept["verdict"]) == ["accept", "reject"]
    assert kept.set_index("verdict").loc["reject", "note"] == "a track"
    accepted = kept[kept["verdict"] == "accept"].to_crs(GRID.crs).geometry.iloc[0]
    assert accepted.bounds[1] == pytest.approx(5_330_000 - 900, abs=0.1)  # of rank 1
    with opened(browser, address) as page:
        page.click("#tab-check")
        page.wait_for_function("document.getElementById('progress').textContent.startsWith('2 of 3')")


def test_a_file_keeps_decisions_in_the_browser_and_gives_them_away(browser: "Browser", sent: str) -> None:
    with opened(browser, sent) as page:
        page.click("#tab-check")
        page.keyboard.press("j")
        page.keyboard.press("a")
        with page.expect_download() as waiting:
            page.click("#kept button")
        decided = gpd.read_file(waiting.value.path())
    assert decided["verdict"].tolist() == ["accept"]
    assert decided.geometry.iloc[0].length < 0.1  # degrees


def test_the_widest_line_and_the_days_that_saw_it(browser: "Browser", url: str, town: SiteMaps) -> None:
    roads = town.roads()
    long = roads[roads["length_m"] >= 60].sort_values("width_m", ascending=False)
    widest = long.iloc[0]
    with opened(browser, f"{url}#show=probability") as page:
        page.click("#tab-check")
        page.select_option("#queue", "roads")
        page.wait_for_selector("[aria-sort=descending]")
        assert page.inner_text("[aria-sort=descending]").startswith("Width m")
        page.fill("#low", "60")
        page.press("#low", "Enter")
        cells = page.locator("#queue-list tr:first-child td")
        assert cells.all_inner_texts()[:2] == [f"{widest['width_m']:.0f}", f"{widest['length_m']:.0f}"]
        cells.first.click()
        page.wait_for_selector("#facts-line dt")
        words = page.inner_text("#facts-line")
        days = words.split("not seen on")[0]
        assert sum(day in days for day in DAYS) == widest["dates_seen"]
        assert page.evaluate("site.marks.getFeatures().length") == 2
        before = page.inner_text("#facts-line")
        page.wait_for_function("location.hash.includes('line=roads')")
        page.wait_for_timeout(600)  # it flies
        link = page.url
    with opened(browser, link) as page:
        page.wait_for_selector("#facts-line dt")
        assert page.inner_text("#facts-line") == before
        assert page.evaluate("site.marks.getFeatures().length") == 2
        page.keyboard.press("Escape")
        assert page.evaluate("site.marks.getFeatures().length") == 0
        assert "line=" not in page.url


def test_days_in_colour_are_named_by_their_colours(browser: "Browser", sent: str) -> None:
    with opened(browser, f"{sent}#show=composite&on=") as page:
        two = "['road 2016-01-01', 'road 2017-01-01', 'road 2016-01-01 and 2017-01-01']"
        rows = f"dayColours({{ labels: {two} }}).map((row) => row.innerHTML)"
        _, first, second, _ = page.evaluate(rows)
        assert [day in row for day, row in (("2016", first), ("2017", second))] == [True, True]
        assert "rgb(255, 0, 128)" in first
        assert "rgb(0, 255, 128)" in second
        assert all(page.inner_text("#legend").count(day) == 1 for day in DAYS)
        page.keyboard.press("c")
        assert page.evaluate("state.compare") == f"image {DAYS[-1]}"


VIEW = "[...site.map.getView().getCenter(), site.map.getView().getResolution()]"


def wait(page: "Page", condition: str) -> None:
    """Until a condition holds; from outside, as the page itself may not evaluate words."""
    for _ in range(60):
        if page.evaluate(condition):
            return
        page.wait_for_timeout(100)
    assert page.evaluate(condition), condition


def test_the_last_wish_counts_while_the_map_flies(browser: "Browser", sent: str) -> None:
    with opened(browser, f"{sent}#show=probability") as page:
        page.click("#tab-check")
        page.select_option("#queue", "roads")
        page.wait_for_selector("#queue-list tr:nth-child(4)")
        page.focus("#tab-check")
        for key in "jjj0j":
            page.keyboard.press(key)
            page.wait_for_timeout(120)
        wait(page, "!site.map.getView().getAnimating()")
        assert page.evaluate("state.chosen === listed[3]")
        there = page.evaluate(VIEW)
        page.evaluate("site.map.getView().setZoom(3); choose(listed[3])")
        page.wait_for_timeout(500)
        assert page.evaluate(VIEW) == pytest.approx(there)
        before = page.evaluate("site.map.getView().setZoom(1), site.map.getView().getZoom()")
        for _ in range(4):
            page.click("#zoom .ol-zoom-in")
        assert page.evaluate("site.map.getView().getZoom()") == pytest.approx(before + 4)


def test_a_list_of_what_is_in_view_stays_while_it_leads(browser: "Browser", sent: str) -> None:
    with opened(browser, sent) as page:
        page.click("#tab-check")
        page.select_option("#queue", "roads")
        page.wait_for_selector("#queue-list tr:nth-child(4)")
        page.check("#in-view")
        listed = page.inner_text("#progress")
        page.keyboard.press("j")
        page.wait_for_timeout(600)
        assert page.inner_text("#progress") == listed
        page.evaluate("site.zoom(1)")
        wait(page, f"byId('progress').textContent !== '{listed}'")
        page.uncheck("#in-view")
        page.type("#low", "500")
        wait(page, "byId('progress').textContent.endsWith('that fit')")
        page.select_option("#filter", "width_m")
        assert page.input_value("#low") == ""
        assert not page.inner_text("#progress").endswith("that fit")


def test_arrows_step_dates_and_never_the_layer(browser: "Browser", sent: str) -> None:
    with opened(browser, f"{sent}#show=probability") as page:
        page.click("#tab-check")
        page.keyboard.press("ArrowLeft")
        assert page.inner_text("#date-text") == DAYS[-1]
        page.keyboard.press("3")
        page.keyboard.press("ArrowLeft")
        assert page.evaluate("state.show") == "classes"
        assert page.inner_text("#busy").startswith("Classes: of all dates.")


def test_the_newest_image_has_one_stop(browser: "Browser", sent: str) -> None:
    with opened(browser, sent) as page:
        ticks = page.locator("#ticks span").all_inner_texts()
        assert ticks == [*DAYS]
        page.keyboard.press("ArrowLeft")
        assert page.inner_text("#date-text") == DAYS[-2]
        for _ in range(2):
            page.keyboard.press("ArrowRight")
        page.keyboard.press("2")
        assert page.inner_text("#date-text") == "All dates, fused"


def test_changes_are_on_and_told_apart(browser: "Browser", town: SiteMaps, tmp_path: Path) -> None:
    left, _, _, top = town.grid.bounds
    lines = [shapely.LineString([(left + 100, top - y), (left + 900, top - y)]) for y in (500, 900)]
    table = {"change": ["new", "vanished"], "p_change": [0.5, -0.5], "dates": ["2019-03-11,2020-10-07"] * 2}
    file, out = tmp_path / "changes.gpkg", tmp_path / "page.html"
    gpd.GeoDataFrame(table, geometry=lines, crs=town.grid.crs).to_file(file, layer="roads")
    assert swath(["report", str(town.folder.parent), "--with", str(file), "--out", str(out)]) == 0
    with opened(browser, out.as_uri()) as page:
        assert page.is_checked("input[value='changes-roads']")
        page.click("#tab-check")
        page.select_option("#queue", "changes-roads")
        page.wait_for_selector("#queue-list tr:nth-child(2)")
        assert page.locator("#queue-head button").all_inner_texts() == ["Change", "Length m"]
        assert page.inner_text("#progress") == "2 lines"
        colours = page.evaluate(
            "site.overlays.at(-1).getSource().getFeatures().map((feature) => "
            "site.overlays.at(-1).getStyleFunction()(feature, 1).at(-1).getStroke().getColor())"
        )
        assert sorted(colours) == ["#19d38a", "#ff5252"]
        page.click("#queue-list tr:first-child")
        page.wait_for_selector("#chart canvas")
        assert "2019-03-11, 2020-10-07" in page.inner_text("#facts-line")


@pytest.mark.parametrize("width", [1280, 400])
def test_what_lies_on_the_map_leaves_the_rest_free(browser: "Browser", sent: str, width: int) -> None:
    box = "(id) => byId(id).getBoundingClientRect().toJSON()"
    with opened(browser, f"{sent}#show=probability&compare=classes", width) as page:
        page.focus("#swipe")
        for key, now in (("End", "100"), ("Home", "0")):
            page.keyboard.press(key)
            assert page.get_attribute("#swipe", "aria-valuenow") == now
            for part in ("swipe", "side-left", "side-right"):
                found = page.evaluate(box, part)
                assert found["left"] >= (page.evaluate(box, "panel")["right"] if width > 720 else 0)
                assert found["right"] <= width
        page.evaluate("allFeatures(site, site.overlays[0]).then(([first]) => choose(first))")
        page.wait_for_selector("#chart canvas")
        assert page.inner_text("#facts-title") == "This line"
        assert page.is_hidden("#facts-text")
        assert page.evaluate(box, "facts")["right"] < page.evaluate(box, "zoom")["left"]


@pytest.mark.parametrize(("width", "scheme"), [(1280, "light"), (400, "dark")])
def test_everyone_can_use_it(browser: "Browser", sent: str, width: int, scheme: str) -> None:
    axe = pytest.importorskip("axe_playwright_python.sync_playwright")
    with opened(browser, f"{sent}#show=probability&compare=classes", width, scheme) as page:
        assert page.evaluate("document.documentElement.scrollWidth") <= width
        if width == 400:
            page.click("#fold")
        page.evaluate("pick(site.map.getView().getCenter(), null)")
        page.wait_for_selector("#chart canvas")
        faults = []
        for tab in ("map", "check"):
            page.click(f"#tab-{tab}")
            page.wait_for_timeout(200)
            # axe is put into the page, which allows inline scripts only
            result = axe.Axe().run(page)
            faults += [v for v in result.response["violations"] if v["impact"] in ("serious", "critical")]
        assert [(v["id"], [n["html"] for n in v["nodes"]]) for v in faults] == []


def test_a_page_of_many_pixels_stays_small(town: SiteMaps) -> None:
    page = town.folder.parent / "index.html"
    pixels = np.prod(GRID.shape) * 9 * 3
    assert page.stat().st_size < 1_000_000 + 2 * pixels
