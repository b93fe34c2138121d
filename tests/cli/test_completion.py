"""Completion in the shells themselves: what is installed is what they run, on a workspace with a study."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest
import typer
from typer._completion_classes import BashComplete

from sweeper.cli.completion import complete_parameter, complete_section
from sweeper.cli.main import app
from sweeper.report.files import FORMATS
from sweeper.report.levels import CONFIGURATION
from sweeper.report.searched import parameters_of_space
from sweeper.report.sections import choose_sections
from sweeper.search.glance import read_space
from sweeper.tracking.workspace import Workspace

pytestmark = pytest.mark.xdist_group("cli")

BASH = """
compopt() { :; }  # Bash has it while it completes for a user
source <(sweeper --show-completion)
for COMP_LINE in "$@"; do
    COMP_POINT=${#COMP_LINE}
    _sweeper_completion sweeper
    echo "${COMPREPLY[*]}"
done
"""
ZSH = """
compdef() { :; }
_describe() { told+=("${(P@)2}"); }
_files() { echo files; }
eval "$(sweeper --show-completion)"
for line in "$@"; do
    words=("${(@s: :)line}") CURRENT=${#words} told=()
    _sweeper_completion
    echo ${(o)told%%:*}
done
"""
FISH = """
sweeper --show-completion | source
for line in $argv
    complete -C $line | string replace --regex '\\t.*' '' | string join ' '
end
"""
SCRIPTS = {"bash": BASH, "zsh": ZSH, "fish": FISH}


def complete(shell: str, folder: Path, lines: tuple[str, ...], tmp_path: Path) -> list[str]:
    """What a shell is told for each line."""
    if shutil.which(shell) is None:
        pytest.skip(f"{shell} is not installed")
    (tmp_path / "bin").mkdir()
    program = tmp_path / "bin" / "sweeper"
    program.write_text(f"#!{sys.executable}\nfrom sweeper.__main__ import run\nrun()\n")
    program.chmod(0o755)
    root = Path(__file__).parents[2]
    environment = {
        **{key: value for key, value in os.environ.items() if not key.startswith(("SWEEPER", "MLFLOW"))},
        "PATH": f"{tmp_path / 'bin'}:{os.environ['PATH']}",
        "PYTHONPATH": str(root),
        "HOME": str(tmp_path),
    }
    script = tmp_path / f"script.{shell}"
    script.write_text(SCRIPTS[shell])
    done = subprocess.run(
        [shell, str(script), *lines], capture_output=True, text=True, env=environment, cwd=folder, check=False
    )
    assert not done.stderr
    return done.stdout.splitlines()


@pytest.mark.parametrize("shell", SCRIPTS)
def test_shells_complete(shell: str, swept: Path, tmp_path: Path) -> None:
    lines = {
        "sweeper best ": "small",
        "sweeper reproduce sm": "small small/",
        "sweeper reproduce small/": "small/0 small/1 small/2 small/3",
        "sweeper enqueue small training.l": "training.loss=",
        "sweeper enqueue small training.loss=n": "training.loss=nll",
        "sweeper enqueue small training.optimizer=": "training.optimizer=adam training.optimizer=sgd",
        "sweeper report small --format m": "markdown",
        "sweeper report small --section conf": "confusion",
        "sweeper repr": "reproduce",
    }
    told = complete(shell, swept, tuple(lines), tmp_path)
    if shell == "bash":  # it asks for what follows the last = of a word
        lines = {
            line: " ".join(v.rpartition("=")[2] if "=" in line else v for v in to.split()) for line, to in lines.items()
        }
    assert told == list(lines.values())


def test_parameters_are_those_of_the_report(swept: Path) -> None:
    space = read_space(Workspace.from_environment(swept, {}).storage_url, "small")
    assert space is not None
    known = {path.removesuffix(".name") for path in parameters_of_space(space)}
    with pytest.MonkeyPatch.context() as patch:
        patch.chdir(swept)
        context = typer.Context(typer.main.get_command(app))
        context.args = ["small"]
        assert set(complete_parameter(context, "")) == {*known, CONFIGURATION}


def test_forms_are_those_of_the_report(swept: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(swept)
    found = BashComplete(typer.main.get_command(app), {}, "sweeper", "").get_completions(["report", "--format"], "")
    assert [item.value for item in found] == [*FORMATS, "all"]


def test_sections_are_those_of_the_report() -> None:
    assert complete_section("") == [section.key for section in choose_sections(())]
    assert complete_section("conf") == ["confusion"]
