"""The files of a report: same runs, same bytes; hostile names; studies with little in them."""

from __future__ import annotations

import base64
import csv
import importlib
import io
import json
import os
import pkgutil
import re
import subprocess
import sys
from dataclasses import replace
from pathlib import Path

import pandas as pd
import pytest

from sweeper import report
from sweeper.errors import InputError
from sweeper.report.blocks import Column, Note, Section, Table
from sweeper.report.document import build_document
from sweeper.report.files import FORMATS, build_files, choose_formats
from sweeper.report.page import render_page
from sweeper.report.sections import choose_sections
from sweeper.report.standings import gather_overview, rank_studies
from sweeper.report.study_data import StudyData
from sweeper.report.theme import THEMES, series_style
from sweeper.report.write import write_report
from sweeper.tracking.records import StudyRecord

from .synthetic import MemoryReader, data_json, make_record, make_run, merged, shuffled, synthetic

HOSTILE = "<script>alert('x')</script>"


def contents(folder: Path) -> dict[str, bytes]:
    return {str(path.relative_to(folder)): path.read_bytes() for path in sorted(folder.rglob("*")) if path.is_file()}


def test_same_runs_same_bytes_in_any_order(sweep: tuple[StudyRecord, MemoryReader], tmp_path: Path) -> None:
    record, reader = sweep
    other, other_reader = synthetic("other", n_trials=5, n_epochs=3, seed=2)
    both = merged(reader, other_reader)
    write_report([record, other], both, tmp_path / "a")
    write_report([shuffled(other), shuffled(record)], both, tmp_path / "b")
    assert contents(tmp_path / "a") == contents(tmp_path / "b")


def test_hash_seed_does_not_matter(tmp_path: Path) -> None:
    script = (
        "import sys; from pathlib import Path; from report.synthetic import synthetic;"
        "from sweeper.report.files import FORMATS;"
        "from sweeper.report.write import write_report;"
        "record, reader = synthetic(n_trials=4, n_epochs=3);"
        "write_report([record], reader, Path(sys.argv[1]), formats=FORMATS);"
        "assert not {'torch', 'mlflow', 'optuna'} & set(sys.modules)"
    )
    roots = os.pathsep.join(str(Path(__file__).parents[i]) for i in (1, 2))
    seed = "2" if os.environ.get("PYTHONHASHSEED") == "1" else "1"  # not that of this process
    environment = {**os.environ, "PYTHONHASHSEED": seed, "PYTHONPATH": roots}
    subprocess.run([sys.executable, "-c", script, str(tmp_path / "there")], check=True, env=environment)
    record, reader = synthetic(n_trials=4, n_epochs=3)
    write_report([record], reader, tmp_path / "here", formats=FORMATS)
    assert contents(tmp_path / "here") == contents(tmp_path / "there")


def test_page_is_one_file_that_names_no_machine(sweep: tuple[StudyRecord, MemoryReader], tmp_path: Path) -> None:
    files = write_report([sweep[0]], sweep[1], tmp_path)
    page = files.page.read_text(encoding="utf-8")
    assert page.count("plotly.js v") == 1
    assert not re.search(r"<(script|img|iframe)[^>]* src=|<link[^>]* href=\"(?!data:)", page)
    own = page.split("<script>")[0]
    assert "/home/" not in own
    assert str(tmp_path) not in page
    assert "memory:/" not in page
    links = set(re.findall(r'class="data" href="([^"]+)"', page))
    assert links == {str(path.relative_to(tmp_path)) for path in files.data}
    ids = re.findall(r'\bid="([^"]+)"', own)
    assert len(ids) == len(set(ids))
    for target in re.findall(r'aria-(?:labelledby|describedby)="([^"]+)"', own):
        assert target in ids


def test_csv_files_hold_full_precision(sweep: tuple[StudyRecord, MemoryReader], tmp_path: Path) -> None:
    record, reader = sweep
    write_report([record], reader, tmp_path, formats=["csv"])
    rows = list(csv.DictReader(io.StringIO((tmp_path / "data" / "trials.csv").read_text(encoding="utf-8"))))
    best = StudyData(record, reader).best
    assert best is not None
    assert len(rows) == 40
    assert float(rows[0]["value"]) == best.value
    assert float(rows[0]["training.optimizer.lr"]) == best.params["training.optimizer.lr"]


def test_a_page_shows_the_first_of_very_many_trials(tmp_path: Path) -> None:
    runs = [make_run(n, value=n / 3000, params={"training.optimizer.lr": 1 / (n + 1)}) for n in range(2500)]
    files = write_report([make_record(runs)], MemoryReader(), tmp_path, sections=choose_sections(["trials"]))
    words = "The first 2,000 of 2,500 rows; the CSV file has all."
    page, markdown = (path.read_text(encoding="utf-8") for path in (files.page, files.markdown))
    assert words in page
    assert words in markdown
    table = page.partition('id="s1-trials-trials"')[2].partition("</table>")[0]
    assert table.count("<tr>") == 1 + 2000
    assert len((tmp_path / "data" / "trials.csv").read_text(encoding="utf-8").splitlines()) == 1 + 2500


def test_hostile_names_stay_text(tmp_path: Path) -> None:
    classes = (HOSTILE, 'a|b`*c*"', "חתול", "=1+1")
    record, reader = synthetic(n_trials=3, n_epochs=3, class_names=classes, description=f"{HOSTILE}<!--\u2028")
    record = replace(record, runs=[replace(r, tags={**r.tags, "sweeper.host": HOSTILE}) for r in record.runs])
    record = replace(record, name=f"../../{HOSTILE}")
    files = write_report([record, replace(record, name="other")], reader, tmp_path / "out")
    page = files.page.read_text(encoding="utf-8")
    assert HOSTILE not in page
    assert "<!--\u2028" not in page
    assert page.count("</script>") == page.count("<script")
    markdown = files.markdown.read_text(encoding="utf-8")
    assert "<script>" not in markdown
    assert r"a\|b\`\*c\*" in markdown
    assert [path.name for path in tmp_path.iterdir()] == ["out"]
    figures = json.loads(page.split('id="sweeper-figures">')[1].split("</script>")[0])
    curves = figures["s1-classes-curves-val"]["data"]
    assert [trace["name"] for trace in curves][:1] == ["&lt;script&gt;alert('x')&lt;/script&gt;"]
    assert curves[2]["name"] == "\u2068חתול\u2069"


# --- studies with little in them ----------------------------------------------------------------------------------


def empty_study() -> tuple[StudyRecord, MemoryReader]:
    return make_record([]), MemoryReader()


def failed_study() -> tuple[StudyRecord, MemoryReader]:
    runs = [make_run(i, state="FAIL", value=None, tags={"sweeper.reason": "diverged: nan"}) for i in range(3)]
    return make_record(runs), MemoryReader()


def running_study() -> tuple[StudyRecord, MemoryReader]:
    runs = [
        make_run(0, state="RUNNING", value=0.4, end_time=None),
        make_run(1, state="WAITING", value=None, start_time=None, end_time=None, params={}),
    ]
    return make_record(runs), MemoryReader(histories={"s-000": {"val/accuracy": [0.3, 0.4], "val/loss": [2.0, 1.9]}})


def single_study() -> tuple[StudyRecord, MemoryReader]:
    return synthetic(n_trials=1, n_epochs=1)


@pytest.mark.parametrize(
    ("make", "words"),
    [
        (empty_study, ["No trial has been started yet.", "no run has ended", "not started"]),
        (failed_study, ["none is best: 3 failed.", "diverged: nan", "nothing to draw"]),
        (running_study, ["none is best: 1 running, 1 waiting.", "not ended"]),
        (single_study, ["No parameter varied between the trials that have a value.", "is best"]),
    ],
)
def test_a_study_with_little_in_it_is_reported_in_words(make: object, words: list[str], tmp_path: Path) -> None:
    record, reader = make()  # type: ignore[operator]
    files = write_report([record], reader, tmp_path)
    page, markdown = files.page.read_text(encoding="utf-8"), files.markdown.read_text(encoding="utf-8")
    for text in words:
        assert text in page
        assert text in markdown
    assert ">nan<" not in page.lower().split("<script>")[0]
    assert ">None<" not in page


def test_a_page_without_figures_carries_no_plotly(tmp_path: Path) -> None:
    assert write_report([empty_study()[0]], MemoryReader(), tmp_path).page.stat().st_size < 100_000


def test_a_sweep_whose_trials_all_failed_has_a_report(tmp_path: Path) -> None:
    runs = [make_run(n, state="FAIL", value=None, tags={"sweeper.reason": "infeasible: no memory"}) for n in range(3)]
    text = write_report([make_record(runs)], MemoryReader(), tmp_path).markdown.read_text(encoding="utf-8")
    assert "infeasible: no memory" in text
    assert "No trial is complete with a value yet, so that none is best: 3 failed." in text


def test_a_sweep_that_is_still_running_has_a_report(tmp_path: Path) -> None:
    record, reader = synthetic(n_trials=12, n_epochs=3)
    states = ("RUNNING", "WAITING")
    running = [
        replace(run, state=states[k], value=None, end_time=None) if (k := run.number - 10) in (0, 1) else run
        for run in record.runs
    ]
    text = write_report([replace(record, runs=running)], reader, tmp_path).markdown.read_text(encoding="utf-8")
    assert "1 running, 1 waiting" in text
    assert "not ended" in text


# --- several studies ----------------------------------------------------------------------------------------------


def test_overview_ranks_studies() -> None:
    studies, reader = [], MemoryReader()
    for name, accuracy in (("linear", 0.3), ("cnn", 0.6), ("mlp", 0.4)):
        run = make_run(0, study=name, value=accuracy, tags={"sweeper.n_parameters": "1010"})
        reader.histories[run.run_id] = {"val/accuracy": [accuracy], "train/accuracy": [accuracy + 0.1]}
        reader.artifacts[run.run_id, "data.json"] = data_json(("a", "b"), {"val": [375, 375]}, fingerprint=name[0])
        studies.append(make_record([run], name=name))
    studies.append(make_record([], name="later"))
    ranked = rank_studies([StudyData(study, reader) for study in studies])
    frame = gather_overview(ranked)
    assert frame["study"].tolist() == ["cnn", "mlp", "linear", "later"]
    assert frame["gap"].tolist()[0] == pytest.approx(0.1)
    assert frame["n_parameters"].tolist() == [1010, 1010, 1010, None]
    document = build_document(studies, reader, top=5)
    assert [part.title for part in document.parts] == ["Overview", "cnn", "mlp", "linear", "later"]
    notes = [block.text for block in document.parts[0].sections[0].blocks if isinstance(block, Note)]
    assert any("did not use the same data" in text for text in notes)
    assert len({part.folder for part in document.parts}) == 5


@pytest.mark.parametrize("classes", [("a", "b"), ("c", "d")])
def test_a_lead_is_claimed_on_the_same_classes_only(classes: tuple[str, str]) -> None:
    studies, reader = [], MemoryReader()
    for name, accuracy, names in (("cnn", 0.9, ("a", "b")), ("mlp", 0.4, classes)):
        run = make_run(0, study=name, value=accuracy)
        reader.histories[run.run_id] = {"val/accuracy": [accuracy]}
        reader.artifacts[run.run_id, "data.json"] = data_json(names, {"val": [375, 375]}, fingerprint=name)
        studies.append(make_record([run], name=name))
    blocks = build_document(studies, reader, top=5).parts[0].sections[0].blocks
    words = " ".join(block.text for block in blocks if isinstance(block, Note))
    assert ("more than chance explains" in words) == (classes == ("a", "b"))
    assert ("say nothing of which model is better" in words) == (classes != ("a", "b"))


def test_losses_rank_low_first() -> None:
    studies = [
        make_record([make_run(0, study=name, value=value)], name=name, objective={"metric": "val/loss"})
        for name, value in (("a", 2.0), ("b", 1.0))
    ]
    assert [data.record.name for data in rank_studies([StudyData(s, MemoryReader()) for s in studies])] == ["b", "a"]


# --- the folder ---------------------------------------------------------------------------------------------------


def test_an_earlier_report_is_replaced_and_other_files_stay(tmp_path: Path) -> None:
    out = tmp_path / "deep" / "report"
    full, reader = synthetic(n_trials=3, n_epochs=2)
    first = write_report([full], reader, out)
    (out / "data" / "mine.csv").write_text("mine")
    (out / "notes.md").write_text("mine")
    second = write_report([make_record([])], MemoryReader(), out)
    assert set(second.data) < set(first.data)
    kept = {"index.html", "report.md", ".sweeper-report.json", "data/mine.csv", "notes.md"}
    assert set(contents(out)) == kept | {str(path.relative_to(out)) for path in second.data}


def test_forms_are_chosen_and_link_only_what_is_there(tmp_path: Path) -> None:
    record, reader = synthetic(n_trials=4, n_epochs=2)
    page = write_report([record], reader, tmp_path, formats=["html"]).first
    assert set(contents(tmp_path)) == {"index.html", ".sweeper-report.json"}
    assert 'class="data"' not in page.read_text(encoding="utf-8")
    files = write_report([record], reader, tmp_path, formats=["markdown"])
    assert files.first == files.markdown
    assert {path.suffix for path in files.paths} == {".md", ".svg"}
    text = files.markdown.read_text(encoding="utf-8")
    assert sorted(re.findall(r"\]\(([^)]*)\)", text)) == sorted(
        str(path.relative_to(tmp_path)) for path in files.paths if path.suffix == ".svg"
    )
    assert not (tmp_path / "index.html").exists()
    assert choose_formats([]) == ("html", "markdown", "csv")
    assert choose_formats(["all"]) == FORMATS
    assert choose_formats(["csv", "latex"]) == ("latex", "csv")
    with pytest.raises(InputError, match="forms are html, markdown, latex, csv"):
        choose_formats(["pdf"])


def test_every_table_and_figure_has_its_data(tmp_path: Path) -> None:
    record, reader = synthetic(n_trials=6, n_epochs=3)
    other, other_reader = synthetic("other", n_trials=3, n_epochs=2, seed=2)
    both = merged(reader, other_reader)
    document = build_document([record, other], both, top=2)
    files = build_files(document, ["csv"])
    blocks = {item.data: item.block for item in document.items()}
    assert set(files) == set(blocks)
    for path, block in blocks.items():
        frame = pd.read_csv(io.StringIO(str(files[path])))
        expected = block.frame if isinstance(block, Table) else block.data  # type: ignore[union-attr]
        assert frame.shape == expected.shape
        assert len(frame) > 0


def test_a_forged_manifest_removes_nothing_elsewhere(tmp_path: Path) -> None:
    (tmp_path / "precious.csv").write_text("x")
    out = tmp_path / "out"
    out.mkdir()
    forged = {"files": ["../precious.csv", str(tmp_path / "precious.csv"), 3]}
    (out / ".sweeper-report.json").write_text(json.dumps(forged))
    write_report([make_record([])], MemoryReader(), out)
    assert (tmp_path / "precious.csv").exists()


def test_what_cannot_be_written_says_so(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    with pytest.raises(InputError, match="give another folder"):
        write_report([make_record([])], MemoryReader(), tmp_path / "file")
    with pytest.raises(InputError, match="at least one study"):
        write_report([], MemoryReader(), tmp_path)


def test_sections_are_chosen_by_the_caller(tmp_path: Path) -> None:
    own = Section(key="own", title="My own", build=lambda data: [Note(text=f"{len(data.runs)} runs")])
    page = write_report([make_record([])], MemoryReader(), tmp_path, sections=[own]).page.read_text(encoding="utf-8")
    assert "0 runs" in page
    assert "Search space" not in page


# --- colours ------------------------------------------------------------------------------------------------------


def luminance(colour: str) -> float:
    """Relative luminance (WCAG 2.2) of `#rrggbb`."""
    channels = [int(colour[i : i + 2], 16) / 255 for i in (1, 3, 5)]
    linear = [c / 12.92 if c <= 0.04045 else ((c + 0.055) / 1.055) ** 2.4 for c in channels]
    return 0.2126 * linear[0] + 0.7152 * linear[1] + 0.0722 * linear[2]


def contrast(a: str, b: str) -> float:
    high, low = sorted((luminance(a), luminance(b)), reverse=True)
    return (high + 0.05) / (low + 0.05)


def test_texts_of_numbers_are_sorted_by_the_number_they_begin_with(tmp_path: Path) -> None:
    texts = ["57.5 ± 2.1", "−1,200", "41–52", "1e-3", "–", "8 of 9"]
    table = Table(
        key="own",
        title="Own",
        frame=pd.DataFrame({"x": texts}, dtype=object),
        columns=[Column(key="x", label="x", numeric=True)],
    )
    own = Section(key="own", title="Own", build=lambda data: [table])
    page = write_report([make_record([])], MemoryReader(), tmp_path, sections=[own], formats=["html"]).page
    found = re.findall(r'data-sort="([^"]+)">', page.read_text(encoding="utf-8"))
    assert found == ["57.5", "-1200.0", "41.0", "0.001", "8.0"]


@pytest.mark.parametrize("paper", ["#ffffff", "#14171c"])
def test_lines_stand_out_from_the_page(paper: str) -> None:
    assert all(contrast(series_style(i)[0], paper) >= 3.0 for i in range(6))


@pytest.mark.parametrize("theme", ["light", "dark"])
def test_text_in_heat_maps_can_be_read(theme: str) -> None:
    template = THEMES[theme]
    ink = template["data"]["heatmap"][0]["textfont"]["color"]
    assert all(contrast(ink, colour) >= 4.5 for _, colour in template["layout"]["coloraxis"]["colorscale"])


def test_series_differ_in_colour_or_dash() -> None:
    assert len({series_style(i)[:2] for i in range(24)}) == 24


def test_render_is_pure(sweep: tuple[StudyRecord, MemoryReader]) -> None:
    document = build_document([sweep[0]], sweep[1], top=2)
    assert render_page(document) == render_page(document)


def test_public_names_are_declared() -> None:
    for module in pkgutil.walk_packages(report.__path__, "sweeper.report."):
        names = vars(importlib.import_module(module.name))
        own = {n for n, v in names.items() if getattr(v, "__module__", "") == module.name and not n.startswith("_")}
        assert own <= set(names.get("__all__", own)) <= set(names)


# --- pictures -----------------------------------------------------------------------------------------------------

PNG = base64.b64decode(
    "iVBORw0KGgoAAAANSUhEUgAAAAEAAAABCAYAAAAfFcSJAAAADUlEQVR42mNk+M9QDwADhgGAWjR9awAAAABJRU5ErkJggg=="
)


def test_pictures_of_the_study_are_in_the_page_and_beside_it(tmp_path: Path) -> None:
    record = replace(make_record([make_run(0)]), parent_run_id="parent", artifact_uri="memory:/parent")
    reader = MemoryReader(artifacts={("parent", "data/pictures.png"): PNG, ("s-000", "data/augmentations.png"): PNG})
    files = write_report([record], reader, tmp_path)
    assert (tmp_path / "data" / "pictures.png").read_bytes() == PNG
    assert (
        files.page.read_text(encoding="utf-8").count(f'src="data:image/png;base64,{base64.b64encode(PNG).decode()}"')
        == 2
    )
    assert "(data/pictures-augmentations.png)" in files.markdown.read_text(encoding="utf-8")
    write_report([make_record([make_run(0)])], MemoryReader(), tmp_path)
    assert not (tmp_path / "data" / "pictures.png").exists()


def test_what_is_no_picture_is_not_shown(tmp_path: Path) -> None:
    reader = MemoryReader(artifacts={("s-000", "data/pictures.png"): b"<svg onload=alert(1)>"})
    files = write_report([make_record([make_run(0)])], reader, tmp_path)
    assert "<img" not in files.page.read_text(encoding="utf-8")


def test_an_overview_without_classes_has_no_accuracies() -> None:
    studies = [
        make_record([make_run(0, study=n, value=v)], name=n, objective={"metric": "val/loss"})
        for n, v in (("a", 2.0), ("b", 1.0))
    ]
    blocks = build_document(studies, MemoryReader(), top=5).parts[0].sections[0].blocks
    table = next(block for block in blocks if isinstance(block, Table))
    assert [column.key for column in table.columns][:4] == ["rank", "study", "source", "value"]
    assert "val_accuracy" not in [column.key for column in table.columns]
