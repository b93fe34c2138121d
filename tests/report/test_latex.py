"""LaTeX: it compiles, tables are whole, and no name is a command."""

from __future__ import annotations

import re
import shutil
import subprocess
from collections.abc import Iterator
from pathlib import Path

import pandas as pd
import pytest

from sweeper.report.blocks import Column, Table
from sweeper.report.latex import render_latex_table
from sweeper.report.latex.table import is_long, is_wide
from sweeper.report.latex.text import breakable, escape, escape_number, needs_unicode
from sweeper.report.write import write_report

from .synthetic import synthetic

HOSTILE = r"\input{/etc/passwd} 50% & a_b #1 {x} $y^2$ ~ <|> `a` ''b'' --"


def unbalanced(tex: str) -> list[str]:
    """Braces, mathematics and environments that are opened and not closed, or the other way round."""
    tex = re.sub(r"(?<!\\)%[^\n]*", "", tex)
    open_: list[str] = []
    for token in re.finditer(r"\\(begin|end)\{(\w+)\}|\\.|[{}$]", tex, re.DOTALL):
        text = token.group()
        if token[1] == "begin" or text == "{" or (text == "$" and open_[-1:] != ["$"]):
            open_.append(token[2] or text)
        elif token[1] == "end" or text in "}$":
            expected = token[2] or {"}": "{", "$": "$"}[text]
            if open_[-1:] != [expected]:
                return [*open_, f"closes {expected}"]
            open_.pop()
    return open_


def rows(tex: str) -> Iterator[list[str]]:
    """Cells of the rows of a table, heads included."""
    stacked = re.compile(r"\\begin\{tabular\}\[b\].*?\\end\{tabular\}")
    for line in tex.splitlines():
        if line.endswith(r" \\") and not line.startswith(r"\midrule"):
            yield re.split(r"(?<!\\) & ", stacked.sub("head", line).removesuffix(r" \\"))


def table(n_rows: int = 3, n_columns: int = 3, text: str = "x") -> Table:
    frame = pd.DataFrame({f"c{k}": [text] * n_rows for k in range(n_columns)})
    columns = [Column(key=f"c{k}", label=f"label {k}", numeric=k > 0, header=k == 0) for k in range(n_columns)]
    return Table(key="t", title="A_title", frame=frame, columns=columns)


def test_text_shows_as_it_is() -> None:
    tex = escape(HOSTILE)
    assert unbalanced(tex) == []
    assert tex.startswith(r"\textbackslash{}input\{/etc/passwd\} 50\% \& a\_b \#1 \{x\} \$y\textasciicircum{}2\$")
    assert r"'{}'b'{}'" in tex
    assert tex.endswith("-{}-")
    assert escape("a\nb\0c") == "a b c"
    assert escape("92.3 ± 0.4, 1–2 ε") == r"92.3 \ensuremath{\pm} 0.4, 1--2 \ensuremath{\varepsilon}"


def test_numbers_are_set_as_numbers() -> None:
    assert escape_number("1.300e-3") == r"$1.300\cdot10^{-3}$"
    assert escape_number("-0.5") == "$-0.5$"
    assert escape_number("56.8–63.8") == "56.8--63.8"
    assert escape_number("4,250") == "4,250"
    assert escape_number("a-1 e5") == "a-1 e5"
    assert escape_number("1e-4 ± 2e-5") == r"$1\cdot10^{-4}$ \ensuremath{\pm} $2\cdot10^{-5}$"


def test_names_from_right_to_left_are_turned_and_their_numbers_turned_back() -> None:
    assert escape("of קטן 12 %", ["קטן"]) == r"of \rtl{קטן} 12 \%"
    assert escape("אבג 2", ["אבג 2"]) == r"\rtl{אבג \ltr{2}}"
    assert needs_unicode(escape("קטן"))
    assert not needs_unicode(escape("Größe × 2 – ε ≤ 1"))


def test_long_words_may_break() -> None:
    assert breakable("training.optimizer.lr") == r"training.\allowbreak{}optimizer.\allowbreak{}lr"
    assert breakable("a.b") == "a.b"


def test_a_short_table_is_a_tabular_with_its_numbers_to_the_right() -> None:
    tex = render_latex_table(table(), "l")
    assert r"\begin{tabular}{@{}lrr@{}}" in tex
    assert [len(cells) for cells in rows(tex)] == [3] * 4
    assert [tex.count(rule) for rule in (r"\toprule", r"\midrule", r"\bottomrule")] == [1, 1, 1]
    assert r"\caption" not in tex
    assert unbalanced(tex) == []


def test_a_long_table_goes_on_over_pages() -> None:
    tall = table(n_rows=100)
    tex = render_latex_table(tall, "tab:x")
    assert is_long(tall)
    assert not is_long(table())
    assert r"\begin{longtable}" in tex
    assert r"\caption{A\_title}\label{tab:x}" in tex
    assert [len(cells) for cells in rows(tex)] == [3] * 102
    assert unbalanced(tex) == []


def test_a_wide_table_loses_no_column() -> None:
    tex = render_latex_table(table(n_columns=40, text="1.2345"), "l")
    found = {label for cells in rows(tex) for label in cells if label.startswith("label")}
    assert found == {f"label {k}" for k in range(40)}
    assert all(cells[0] in ("label 0", "1.2345") for cells in rows(tex))
    groups = [cells for cells in rows(tex) if cells[1].startswith("label")]
    assert max(map(len, groups)) - min(map(len, groups)) <= 1
    assert not is_wide(table(n_columns=40))
    assert is_wide(table(n_rows=50, n_columns=40))


def test_a_cell_with_a_bracket_is_no_option_of_the_row_before() -> None:
    assert "\n{}[x] & " in render_latex_table(table(text="[x]"), "l")


@pytest.fixture(scope="module", params=["latin", "right to left"])
def written(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Path:
    names = ("cat", "a|b`*c*", HOSTILE) if request.param == "latin" else ("cat", "קטן", "سفينة", "אבג 2")
    record, reader = synthetic(n_trials=6, n_epochs=3, class_names=names)
    return write_report([record], reader, tmp_path_factory.mktemp("latex"), formats=["latex"]).folder


def test_the_document_names_every_file_once(written: Path) -> None:
    tex = (written / "report.tex").read_text(encoding="utf-8")
    assert unbalanced(tex) == []
    tables = re.findall(r"\\input\{([^}]*)\}", tex)
    figures = re.findall(r"\\includegraphics(?:\[[^]]*\])?\{([^}]*)\}", tex)
    files = {str(p.relative_to(written)) for p in written.rglob("*") if p.suffix in (".tex", ".pdf", ".png")}
    assert sorted([*tables, *figures, "report.tex"]) == sorted(files)
    labels = re.findall(r"\\label\{([^}]*)\}", tex)
    assert len(labels) == len(set(labels))
    for path in tables:
        content = (written / path).read_text(encoding="utf-8")
        assert unbalanced(content) == []
        assert r"\input" not in content


def test_the_document_compiles(written: Path) -> None:
    tex = (written / "report.tex").read_text(encoding="utf-8")
    engine = "lualatex" if r"\RequireTUTeX" in tex else "pdflatex"
    assert engine == ("lualatex" if r"\rtl{" in tex else "pdflatex")
    if shutil.which(engine) is None:
        pytest.skip(f"{engine} is not installed")
    for _ in range(2):
        command = [engine, "-interaction=nonstopmode", "-halt-on-error", "-no-shell-escape", "report.tex"]
        run = subprocess.run(command, cwd=written, capture_output=True, timeout=280)
        assert run.returncode == 0, run.stdout.decode(errors="replace")[-2000:]
    log = (written / "report.log").read_text(encoding="utf-8", errors="replace")
    assert "Missing character" not in log
    assert r"Overfull \vbox" not in log
    widths = [float(w) for w in re.findall(r"Overfull \\hbox \(([\d.]+)pt", log)]
    assert max(widths, default=0.0) < 15.0
