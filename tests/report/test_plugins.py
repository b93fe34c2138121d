"""Sections of other packages: found by entry points, picked by key, and alone in their failures."""

from __future__ import annotations

import re
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from textwrap import dedent

import pytest

from sweeper.errors import InputError
from sweeper.report.files import FORMATS
from sweeper.report.sections import SECTIONS, choose_sections
from sweeper.report.write import write_report

from .synthetic import MemoryReader, make_record, make_run, synthetic

Install = Callable[..., None]

GOOD = """
    import pandas as pd
    import plotly.graph_objects as go

    from sweeper.report.blocks import Column, Figure, Table
    from sweeper.report.theme import blank_figure

    def build(data):
        frame = pd.DataFrame({"trial": [run.number for run in data.runs], "value": [run.value for run in data.runs]})
        figure = blank_figure(x="trial", y="value")
        figure.add_trace(go.Scatter(x=frame["trial"], y=frame["value"], mode="markers"))
        columns = [Column(key="trial", label="trial", numeric=True, header=True), Column(key="value", label="value")]
        return [
            Table(key="speeds", title="Speeds", frame=frame, columns=columns),
            Figure(key="plot", title="Speed", description="Points.", figure=figure, data=frame),
        ]
"""


@pytest.fixture
def install(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Install]:
    """Installs a distribution as pip leaves it: a module, and metadata with entry points, in a folder of sys.path."""
    site = tmp_path / "site"
    site.mkdir()
    monkeypatch.syspath_prepend(str(site))
    modules = []

    def make(module: str, source: str, *, key: str = "learning-speed", version: str = "1.2") -> None:
        modules.append(module)
        (site / f"{module}.py").write_text(dedent(source), encoding="utf-8")
        info = site / f"{module}-{version}.dist-info"
        info.mkdir()
        name = module.replace("_", "-")
        (info / "METADATA").write_text(f"Metadata-Version: 2.1\nName: {name}\nVersion: {version}\n", encoding="utf-8")
        (info / "entry_points.txt").write_text(f"[sweeper.report_sections]\n{key} = {module}:build\n", encoding="utf-8")

    yield make
    for module in modules:
        sys.modules.pop(module, None)


def write(out: Path, *keys: str) -> tuple[str, tuple[str, ...], set[str]]:
    """The page, what went wrong, and the files of a report of one trial."""
    sections = choose_sections(keys)
    files = write_report([make_record([make_run(0)])], MemoryReader(), out, sections=sections)
    names = {str(path.relative_to(out)) for path in files.paths}
    return files.page.read_text(encoding="utf-8"), files.problems, names


def test_a_section_is_last_and_has_all_its_files(install: Install, tmp_path: Path) -> None:
    install("our_speed", GOOD)
    assert [s.key for s in choose_sections([])] == [*(s.key for s in SECTIONS), "learning-speed"]
    page, problems, names = write(tmp_path / "out")
    assert problems == ()
    assert ">Learning speed</h2>" in page
    assert page.index('id="s1-trials"') < page.index('id="s1-learning-speed"')
    assert {"data/learning-speed-speeds.csv", "data/learning-speed-plot.csv", "figures/learning-speed-plot.svg"} < names


def test_it_is_picked_by_its_key_and_imported_only_then(install: Install, tmp_path: Path) -> None:
    install("our_speed", GOOD)
    write(tmp_path / "other", "study")
    assert "our_speed" not in sys.modules
    page, _, _ = write(tmp_path / "own", "learning-speed")
    assert page.count("<section") == 1
    with pytest.raises(InputError, match=r"trials, learning-speed$"):
        choose_sections(["speed"])


@pytest.mark.parametrize(
    ("source", "words"),
    [
        ("import no_such_module", "our_speed:build cannot be loaded: ModuleNotFoundError: No module named"),
        ("def other(data): return []", "our_speed:build cannot be loaded: AttributeError"),
        ("build = 3", "is no function but int"),
        ("def build(data):\n    return 1 / 0", "ZeroDivisionError: division by zero (our_speed.py, line 2)"),
        ("def build(data): return 'text'", "a section returns a list of blocks, not str"),
        ("def build(data): return None", "a section returns a list of blocks, not NoneType"),
        ("def build(data): return ['text']", "a block is one of Table, Figure, Picture"),
        (GOOD.replace('key="plot"', 'key="speeds"'), "no other block has it: not 'speeds'"),
        (GOOD.replace('key="speeds"', 'key="a/../b"'), "a block's key has letters"),
        (GOOD.replace('Column(key="value"', 'Column(key="speed"'), "has no column 'speed'; it has trial, value"),
        (GOOD.replace('label="value"', 'label="value", show=lambda v: v'), "shows 0.5 as 0.5, no text"),
    ],
)
def test_one_that_fails_is_named_and_the_rest_is_written(
    source: str, words: str, install: Install, tmp_path: Path
) -> None:
    install("our_speed", source)
    page, problems, _ = write(tmp_path / "out")
    assert len(problems) == 1
    assert problems[0].startswith("section 'learning-speed' of our-speed 1.2: ")
    assert words in problems[0]
    assert str(tmp_path) not in problems[0]
    assert "This section is missing: section &#39;learning-speed&#39; of our-speed 1.2" in page
    assert page.count("<section") > 2


def test_keys_that_are_taken_or_no_keys_fail_alone(install: Install, tmp_path: Path) -> None:
    install("our_speed", GOOD, key="study")
    install("their_speed", GOOD, key="a b")
    page, problems, _ = write(tmp_path / "out")
    assert sorted(problems) == [
        "section 'a b' of their-speed 1.2: a key has letters, digits, '-' and '_' only",
        "section 'study' of our-speed 1.2: another section has the key 'study'; rename the entry point",
    ]
    assert 'id="s1-study"' in page
    assert 'id="s1-study-2"' in page


def test_one_package_seen_twice_is_one_section(
    install: Install, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    install("our_speed", GOOD)
    monkeypatch.syspath_prepend(str(tmp_path / "site"))
    assert [s.key for s in choose_sections([])].count("learning-speed") == 1


def test_the_documentation_names_every_key() -> None:
    page = (Path(__file__).parents[2] / "docs" / "how-to" / "report.md").read_text(encoding="utf-8")
    named = re.findall(r"`([a-z-]+)`", page.partition("by their\nkey: ")[2].partition(", and those of")[0])
    assert named == [section.key for section in SECTIONS]


def test_the_example_of_the_documentation_works(install: Install, tmp_path: Path) -> None:
    page = (Path(__file__).parents[2] / "docs" / "how-to" / "report.md").read_text(encoding="utf-8")
    source = re.search(r"```python\n# our_sections\.py\n(.*?)```", page, re.DOTALL)
    assert source is not None
    assert 'training-time = "our_sections:training_time"' in page
    install("our_sections", source[1] + "\n\nbuild = training_time\n", key="training-time")
    record, reader = synthetic(n_trials=12, n_epochs=2)
    files = write_report(
        [record], reader, tmp_path / "out", sections=choose_sections(["training-time"]), formats=FORMATS
    )
    assert files.problems == ()
    names = {str(path.relative_to(files.folder)) for path in files.paths}
    assert {"tables/training-time-medians.tex", "figures/training-time-points.pdf", "report.tex"} < names
    assert "Median time" in files.markdown.read_text(encoding="utf-8")
