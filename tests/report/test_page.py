"""The page in a real browser: nothing is fetched, nothing fails, tables and theme answer."""

from __future__ import annotations

import io
import shutil
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pandas as pd
import pytest
from PIL import Image

from sweeper.report.blocks import Block, Column, Note, Section, Table
from sweeper.report.write import write_report
from sweeper.tracking.records import StudyRecord

from .synthetic import MemoryReader, make_record, make_run, synthetic

AXE = Path(__file__).parent / "node_modules" / "axe-core" / "axe.min.js"
CHROMIUM = "/usr/bin/chromium" if Path("/usr/bin/chromium").exists() else shutil.which("chromium")

pytestmark = [
    pytest.mark.browser,
    pytest.mark.skipif(CHROMIUM is None, reason="chromium is neither at /usr/bin/chromium nor on PATH"),
    pytest.mark.xdist_group("browser"),
]


@pytest.fixture(scope="module")
def browser() -> Iterator[Any]:
    playwright = pytest.importorskip("playwright.sync_api", reason="playwright is not installed")
    with playwright.sync_playwright() as running:
        started = running.chromium.launch(
            executable_path=CHROMIUM, args=["--no-sandbox", "--disable-gpu", "--disable-background-networking"]
        )
        yield started
        started.close()


@pytest.fixture(scope="module")
def address(sweep: tuple[StudyRecord, MemoryReader], tmp_path_factory: pytest.TempPathFactory) -> str:
    folder = tmp_path_factory.mktemp("report")
    return write_report([sweep[0]], sweep[1], folder, formats=["html", "csv"]).page.as_uri()


@pytest.fixture(scope="module")
def loaded(browser: Any, address: str) -> tuple[Any, list[str]]:
    """The page with all figures drawn, and what went wrong in it: errors, and requests beyond the file itself."""
    page = browser.new_context(viewport={"width": 1280, "height": 900}, color_scheme="light").new_page()
    problems: list[str] = []
    page.on("console", lambda message: problems.append(message.text))  # Plotly's warnings are traces
    page.on("pageerror", lambda error: problems.append(str(error)))
    page.on("request", lambda r: problems.append(r.url) if r.url != address and not r.url.startswith("data:") else None)
    page.goto(address)
    drawn(page)
    return page, problems


@pytest.fixture
def opened(loaded: tuple[Any, list[str]]) -> Iterator[Any]:
    """The page, shared by the tests of this module: each leaves it light, wide and unfiltered."""
    page, problems = loaded
    yield page
    page.emulate_media(color_scheme="light")
    page.set_viewport_size({"width": 1280, "height": 900})
    page.get_by_label("Filter").fill("")
    page.get_by_text("Auto", exact=True).click()
    assert problems == []


def drawn(page: Any) -> None:
    """Wait until every figure is drawn."""
    page.wait_for_selector("html[data-drawn=all]", state="attached", timeout=180_000)


def numbers(page: Any, column: int) -> list[str]:
    """Texts of a column of the table of all trials, rows that are shown."""
    cells = page.locator(f"#s1-trials-trials tbody tr:not([hidden]) > :nth-child({column})")
    return [text.strip() for text in cells.all_inner_texts()]


def column_of(page: Any, label: str) -> int:
    labels = [t.split("\n")[0].strip() for t in page.locator("#s1-trials-trials thead th").all_inner_texts()]
    return labels.index(label) + 1


def test_figures_are_drawn_and_named(opened: Any) -> None:
    figures = opened.locator("figure")
    assert figures.count() == opened.locator("figure .plot:has(.main-svg[aria-hidden=true])").count() > 10
    described = "all => all.map((e) => document.getElementById(e.getAttribute('aria-describedby')).textContent.trim())"
    assert all(figures.evaluate_all(described))


def test_trials_come_best_first(opened: Any) -> None:
    opened.reload()
    drawn(opened)
    assert opened.locator("#s1-trials-trials th[aria-sort=ascending]").inner_text().startswith("rank")
    assert numbers(opened, 1)[:3] == ["1", "2", "3"]


def test_sorting_by_mouse_and_keyboard(opened: Any) -> None:
    column = column_of(opened, "lr")
    header = opened.locator(f"#s1-trials-trials thead th:nth-child({column})")
    button = header.get_by_role("button")
    opened.locator("#s1-trials-trials thead th:nth-child(2) button").click()
    button.click()
    assert header.get_attribute("aria-sort") == "ascending"
    assert opened.locator("#s1-trials-trials th[aria-sort]").count() == 1
    values = [float(text) for text in numbers(opened, column)]
    assert values == sorted(values)
    button.focus()
    opened.keyboard.press("Enter")
    assert header.get_attribute("aria-sort") == "descending"
    assert [float(text) for text in numbers(opened, column)] == sorted(values, reverse=True)


def test_missing_values_come_last_in_either_direction(opened: Any) -> None:
    column = column_of(opened, "momentum")
    button = opened.locator(f"#s1-trials-trials thead th:nth-child({column}) button")
    for _ in range(2):
        button.click()
        texts = numbers(opened, column)
        first_missing = texts.index("–")
        assert set(texts[first_missing:]) == {"–"}
        assert first_missing > 5


def test_filtering_by_words_and_comparisons(opened: Any) -> None:
    filter_box = opened.get_by_label("Filter")
    filter_box.fill("failed")
    assert opened.locator("#s1-trials output, .filter output").inner_text() == "3 of 40 rows"
    assert set(numbers(opened, column_of(opened, "state"))) == {"failed"}
    filter_box.fill("adam lr<1e-3 complete")
    values = [float(text) for text in numbers(opened, column_of(opened, "lr"))]
    assert values
    assert all(value < 1e-3 for value in values)
    assert set(numbers(opened, column_of(opened, "optimizer"))) == {"adam"}
    filter_box.fill("optimizer=sgd")
    assert set(numbers(opened, column_of(opened, "optimizer"))) == {"sgd"}
    filter_box.fill("no such row")
    assert numbers(opened, 1) == []
    filter_box.fill("")
    assert len(numbers(opened, 1)) == 40


def background(page: Any) -> str:
    return str(page.evaluate("getComputedStyle(document.body).backgroundColor"))


def ink(page: Any) -> str:
    return str(page.locator("#s1-curves-loss .xtick text").first.evaluate("e => getComputedStyle(e).fill"))


def test_theme_switch_repaints_page_and_figures(opened: Any) -> None:
    light, light_ink = background(opened), ink(opened)
    opened.get_by_text("Dark", exact=True).click()
    assert background(opened) != light
    assert ink(opened) != light_ink
    opened.reload()
    drawn(opened)
    assert background(opened) != light
    opened.get_by_text("Auto", exact=True).click()
    assert (background(opened), ink(opened)) == (light, light_ink)


def test_theme_follows_the_system(opened: Any) -> None:
    opened.emulate_media(color_scheme="dark")
    assert background(opened) == "rgb(20, 23, 28)"
    assert ink(opened) == "rgb(230, 232, 235)"
    opened.emulate_media(color_scheme="light")
    assert background(opened) == "rgb(255, 255, 255)"
    assert ink(opened) == "rgb(31, 35, 40)"


@pytest.fixture(scope="module")
def narrow(browser: Any, address: str) -> Iterator[Any]:
    """The page as it is drawn on a phone, into which scripts may be put."""
    context = browser.new_context(
        viewport={"width": 390, "height": 844}, color_scheme="light", bypass_csp=True, reduced_motion="reduce"
    )
    page = context.new_page()
    page.goto(address)
    drawn(page)
    yield page
    context.close()


FITTED = """() => [...document.querySelectorAll('.plot')].every(
    (e) => Math.abs(e.querySelector('.main-svg').getBoundingClientRect().width - e.clientWidth) < 1)"""
"""Every figure is as wide as its place, to which Plotly fits it some time after the window has changed."""


@pytest.mark.skipif(not AXE.exists(), reason="axe-core is not installed: `make axe` does that, with npm")
@pytest.mark.parametrize("scheme", ["light", "dark"])
@pytest.mark.parametrize("width", [390, 1280])
def test_axe_finds_no_violation(narrow: Any, scheme: str, width: int) -> None:
    narrow.set_viewport_size({"width": width, "height": 900})
    narrow.emulate_media(color_scheme=scheme)
    narrow.wait_for_function(FITTED)
    if not narrow.evaluate("'axe' in window"):
        narrow.add_script_tag(path=str(AXE))
    found = narrow.evaluate("axe.run({ resultTypes: ['violations'] })")
    assert [(v["id"], v["nodes"][0]["html"][:200], v["nodes"][0]["failureSummary"]) for v in found["violations"]] == []


@pytest.mark.parametrize("width", [390, 768, 1280, 1920])
def test_only_tables_scroll_sideways(opened: Any, width: int) -> None:
    opened.set_viewport_size({"width": width, "height": 844})
    assert opened.evaluate("document.documentElement.scrollWidth <= window.innerWidth")
    beyond = """() => [...document.querySelectorAll('main *')]
        .filter((e) => !e.closest('.scroll') && (!e.closest('.plot') || e.matches('.main-svg')))
        .filter((e) => e.getBoundingClientRect().right > window.innerWidth + 1).map((e) => e.outerHTML.slice(0, 80))"""
    # Plotly fits its figures to a window some time after that has changed.
    deadline = time.monotonic() + 20
    while (found := opened.evaluate(beyond)) and time.monotonic() < deadline:
        opened.wait_for_timeout(100)
    assert found == []


def test_printing_draws_light_figures(opened: Any) -> None:
    opened.get_by_text("Dark", exact=True).click()
    dark = ink(opened)
    opened.evaluate("window.dispatchEvent(new Event('beforeprint'))")
    assert ink(opened) != dark
    opened.emulate_media(media="print")
    assert background(opened) == "rgb(255, 255, 255)"
    opened.emulate_media(media="screen")
    opened.evaluate("window.dispatchEvent(new Event('afterprint'))")
    assert ink(opened) == dark
    assert len(opened.pdf()) > 50_000


BROKEN_WORDS = """() => [...document.querySelectorAll('main table:not(.crowded *) thead th')].flatMap((header) => {
  const walker = document.createTreeWalker(header, NodeFilter.SHOW_TEXT);
  const broken = [];
  for (let node = walker.nextNode(); node; node = walker.nextNode()) {
    for (const word of node.textContent.matchAll(/[^\\s-]+/g)) {
      const range = document.createRange();
      range.setStart(node, word.index);
      range.setEnd(node, word.index + word[0].length);
      if (new Set(Array.from(range.getClientRects(), (place) => Math.round(place.top))).size > 1) broken.push(word[0]);
    }
  }
  return broken;
})"""
"""Words of the headers of tables that stand in two lines, where the smallest type did not have to break them."""


def test_nothing_is_cut_off_in_print(opened: Any) -> None:
    opened.evaluate("window.dispatchEvent(new Event('beforeprint'))")
    opened.emulate_media(media="print")
    beyond = """(width) => [...document.querySelectorAll('main table, main .main-svg')]
        .filter((e) => e.getBoundingClientRect().right > width + 1)
        .map((e) => e.id || e.closest('figure').getAttribute('aria-labelledby'))"""
    try:
        # A4 less its margins, upright; long and very wide tables are turned.
        opened.set_viewport_size({"width": 688, "height": 1000})
        turned = opened.evaluate("[...document.querySelectorAll('.turned table')].map((e) => e.id)")
        assert set(opened.evaluate(beyond, 688)) <= set(turned)
        assert opened.evaluate(BROKEN_WORDS) == []
        opened.set_viewport_size({"width": 1031, "height": 700})
        assert opened.evaluate(beyond, 1031) == []
        assert opened.evaluate(BROKEN_WORDS) == []
    finally:
        opened.emulate_media(media="screen")
        opened.evaluate("window.dispatchEvent(new Event('afterprint'))")


LEFT_TO_RIGHT = """(id) => {
  const walker = document.createTreeWalker(document.querySelector(id), NodeFilter.SHOW_TEXT);
  const places = [];
  for (let node = walker.nextNode(); node; node = walker.nextNode()) {
    for (const word of node.textContent.matchAll(/[^\\s]+/g)) {
      const range = document.createRange();
      range.setStart(node, word.index);
      range.setEnd(node, word.index + word[0].length);
      places.push([range.getBoundingClientRect().left, word[0]]);
    }
  }
  return places.sort((a, b) => a[0] - b[0]).map(([, word]) => word);
}"""
"""The words of an element in the order in which they are seen, from left to right."""


def test_names_from_right_to_left_move_no_number(browser: Any, tmp_path: Path) -> None:
    small, big, words = "קטן", "גדול 2", "תיאור של המחקר"
    record, reader = synthetic(n_trials=2, n_epochs=2, class_names=(small, big, "cat"), description=words)
    frame = pd.DataFrame({"class": [small], "share": [f"{big} 12.5 %"]})
    columns = [Column(key="class", label=f"{small} (%)", header=True), Column(key="share", label="share")]
    blocks: list[Block] = [
        Note(text=f"{small} 12.5 %, {big} taken for {small} (3 of 4)."),
        Table(key="t", title=f"{small} 7", frame=frame, columns=columns),
        Note(text=words),
    ]
    own = Section(key="own", title="Own", build=lambda data: blocks)
    files = write_report([record], reader, tmp_path, sections=[own], formats=["html"])
    page = browser.new_context(viewport={"width": 1280, "height": 900}).new_page()
    page.goto(files.page.as_uri())
    seen = [small, "12.5", "%,", "2", "גדול", "taken", "for", small, "(3", "of", "4)."]
    assert page.evaluate(LEFT_TO_RIGHT, "p.note") == seen
    assert page.evaluate(LEFT_TO_RIGHT, "tbody td") == ["2", "גדול", "12.5", "%"]
    assert page.evaluate(LEFT_TO_RIGHT, "thead th") == [small, "(%)"]
    assert page.evaluate(LEFT_TO_RIGHT, ".caption") == [small, "7"]
    assert page.evaluate(LEFT_TO_RIGHT, "p.note[dir=auto]") == ["המחקר", "של", "תיאור"]
    assert page.locator("p.note[dir=auto]").evaluate("e => getComputedStyle(e).direction") == "rtl"


def test_contents_lead_to_their_sections(opened: Any) -> None:
    opened.get_by_role("navigation", name="Contents").get_by_text("All trials").click()
    assert opened.evaluate("document.getElementById('s1-trials').getBoundingClientRect().top < window.innerHeight")


def test_long_contents_follow_the_reader(browser: Any, tmp_path: Path) -> None:
    records = [make_record([make_run(0)], name=f"study-{n}") for n in range(9)]
    page_file = write_report(records, MemoryReader(), tmp_path, formats=["html"]).page
    page = browser.new_context(viewport={"width": 1280, "height": 700}).new_page()
    page.goto(page_file.as_uri())
    page.evaluate("window.scrollTo(0, document.documentElement.scrollHeight)")
    page.wait_for_function("document.querySelector('nav').scrollTop > 0")
    current = page.locator("nav a[aria-current]")
    assert 0 <= current.bounding_box()["y"] < 700
    page.evaluate("window.scrollTo(0, 0)")
    page.wait_for_function("document.querySelector('nav').scrollTop < 100")
    page.close()


def test_figures_follow_the_window(browser: Any, address: str) -> None:
    """Those too whose legends had more lines where they were drawn, for which they have grown."""
    page = browser.new_context(viewport={"width": 390, "height": 844}).new_page()
    page.goto(address)
    drawn(page)
    heights = "() => [...document.querySelectorAll('.plot')].map((e) => e.clientHeight)"
    narrow = page.evaluate(heights)
    page.set_viewport_size({"width": 1280, "height": 900})
    page.wait_for_function(FITTED)
    page.wait_for_function(f"(narrow) => ({heights})().some((height, i) => height < narrow[i])", arg=narrow)
    page.context.close()


def test_a_table_that_goes_on_says_so_at_its_edge(opened: Any) -> None:
    opened.set_viewport_size({"width": 390, "height": 844})
    frame = opened.locator(".frame:has(#s1-trials-trials)")
    scroll = frame.locator(".scroll")
    opened.wait_for_selector(".frame.more-right:not(.more-left) #s1-trials-trials", state="attached")
    scroll.evaluate("e => e.scrollTo(e.scrollWidth, 0)")
    opened.wait_for_selector(".frame.more-left:not(.more-right) #s1-trials-trials", state="attached")
    scroll.evaluate("e => e.scrollTo(0, 0)")
    opened.wait_for_selector(".frame.more-right:not(.more-left) #s1-trials-trials", state="attached")


def test_a_long_legend_leaves_the_plot_its_height(browser: Any, tmp_path: Path) -> None:
    """On a phone each name has a line of its own."""
    runs = [
        make_run(n, value=0.5, params={"data.kind": f"{n} of the long names of values", "seed": 0}) for n in range(9)
    ]
    histories = {run.run_id: {"train/loss": [1.0, 0.5], "val/loss": [1.0, 0.5]} for run in runs}
    page_file = write_report([make_record(runs)], MemoryReader(histories=histories), tmp_path, formats=["html"]).page
    heights = {}
    for width in (1280, 390):
        page = browser.new_context(viewport={"width": width, "height": 900}).new_page()
        page.goto(page_file.as_uri())
        drawn(page)
        heights[width] = page.locator("#s1-parameter-loss-train .nsewdrag").bounding_box()["height"]
        page.close()
    assert min(heights.values()) > 200


def test_margins_of_a_figure_come_to_rest(browser: Any, tmp_path: Path) -> None:
    """With these values, a tick at the top and the space above the points pushed each other until Plotly gave up."""
    values = {"0.01": 16, "1e-5": 11, "1e-3": 19, "0.1": 12, "1e-4": 16, "1": 12, "10": 11, "1000": 9}
    runs = [
        make_run(n, value=value / 36, params={"training.optimizer.name": kind, "seed": 0})
        for n, (kind, value) in enumerate(values.items())
    ]
    page_file = write_report([make_record(runs)], MemoryReader(), tmp_path, formats=["html"]).page
    said: list[str] = []
    page = browser.new_context(viewport={"width": 1280, "height": 900}).new_page()
    page.on("console", lambda message: said.append(message.text))
    page.goto(page_file.as_uri())
    drawn(page)
    page.close()
    assert said == []


def test_pictures_can_be_read_on_a_phone(browser: Any, tmp_path: Path) -> None:
    """Names of classes are part of the picture: it scrolls rather than that they shrink beyond reading."""
    file = io.BytesIO()
    Image.new("RGB", (876, 60)).save(file, "PNG")
    reader = MemoryReader(artifacts={(make_run(0).run_id, "data/pictures.png"): file.getvalue()})
    page_file = write_report([make_record([make_run(0)])], reader, tmp_path, formats=["html"]).page
    widths = {}
    for width in (1280, 390):
        page = browser.new_context(viewport={"width": width, "height": 900}).new_page()
        page.goto(page_file.as_uri())
        widths[width] = page.locator("figure img").bounding_box()["width"]
        assert page.evaluate("document.documentElement.scrollWidth <= window.innerWidth")
        page.close()
    assert widths == {1280: 876, 390: 657}


def test_lines_end_within_paths_and_not_within_numbers(opened: Any) -> None:
    """By elements that hold no text: what is read and copied stays as it is."""
    path = opened.locator("#s1-study-space tbody th", has_text="training.optimizer.lr").first
    assert path.text_content() == "training.optimizer.lr"
    assert path.locator("wbr").count() == 2
    assert opened.locator("#s1-study-space .nowrap").first.text_content() == "1e-5"
