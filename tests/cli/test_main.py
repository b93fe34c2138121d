"""The command itself: quick help, one message for bad input, every command explained."""

from __future__ import annotations

import json
import re
import subprocess
import sys
from pathlib import Path

import click
import pytest
import typer

from sweeper.cli.main import app
from tests.cli.conftest import Run
from tests.study.conftest import PLAIN

pytestmark = pytest.mark.xdist_group("cli")


def commands_of(group: click.Command, before: str = "") -> dict[str, click.Command]:
    """All commands by what is typed, groups of commands and those in them."""
    found: dict[str, click.Command] = {}
    for name, command in getattr(group, "commands", {}).items():
        found[f"{before}{name}"] = command
        found |= commands_of(command, f"{before}{name} ")
    return found


COMMANDS = commands_of(typer.main.get_command(app))
HEAVY = {"torch", "mlflow", "optuna", "pandas", "plotly", "numpy", "sklearn", "sqlalchemy"}


@pytest.mark.parametrize("arguments", [["--help"], ["start", "--help"]])
def test_help_imports_nothing_heavy(arguments: list[str]) -> None:
    code = f"""
import json, sys
sys.argv = ["sweeper", *{arguments!r}]
from sweeper.cli.main import main
try:
    main()
except SystemExit as exit:
    assert not exit.code, exit.code
print(json.dumps(sorted({{name.partition(".")[0] for name in sys.modules}})))
"""
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert not HEAVY & set(json.loads(done.stdout.splitlines()[-1]))


@pytest.mark.parametrize("arguments", [["check", "study.yaml"], ["import", "wandb", "w.yaml", "--base", "study.yaml"]])
def test_checking_a_study_imports_no_torch_and_no_tracker(arguments: list[str], tmp_path: Path) -> None:
    (tmp_path / "study.yaml").write_text(PLAIN)
    (tmp_path / "w.yaml").write_text("{method: random, parameters: {lr: {value: 0.1}}}")
    code = f"""
import json, sys
sys.argv = ["sweeper", *{arguments!r}]
from sweeper.cli.main import main
try:
    main()
except SystemExit as exit:
    assert not exit.code, exit.code
print(json.dumps(sorted({{name.partition(".")[0] for name in sys.modules}})))
"""
    done = subprocess.run([sys.executable, "-c", code], cwd=tmp_path, capture_output=True, text=True, check=True)
    assert not {"torch", "mlflow", "optuna", "pandas", "plotly"} & set(json.loads(done.stdout.splitlines()[-1]))


@pytest.mark.parametrize("name", COMMANDS)
def test_every_command_says_what_it_does_and_gives_an_example(name: str) -> None:
    command = COMMANDS[name]
    assert command.help
    assert command.help.split("\n")[0].rstrip().endswith(".")
    assert command.epilog is not None
    assert re.match(rf"Example(: |s:\s+)sweeper {name}\b", command.epilog)
    for parameter in command.params:
        if isinstance(parameter, click.Option):
            assert parameter.help, f"{name} {parameter.name}"


@pytest.mark.parametrize("name", COMMANDS)
def test_help_names_arguments_as_the_documentation_does(name: str, run: Run, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("COLUMNS", "80")
    help_page = run(*name.split(), "--help").stdout
    usage, _, rest = help_page.partition("\n\n")
    command = COMMANDS[name]
    if hasattr(command, "commands"):
        assert " ".join(usage.split()) == f"Usage: sweeper {name} [OPTIONS] COMMAND [ARGS]..."
        return
    page = (Path(__file__).parents[2] / "docs/how-to/cli.md").read_text()
    documented = re.search(rf"^sweeper {name}.*$", page.partition(f"### `sweeper {name}`\n")[2], re.MULTILINE)
    assert documented is not None
    assert " ".join(usage.split()) == f"Usage: {documented[0]}{'' if command.params else ' [OPTIONS]'}"
    assert not re.search(r"<\w+", rest)
    examples = re.findall(r"sweeper .*", command.epilog or "")
    shown = [line.strip().removeprefix("Example: ") for line in rest.splitlines()]
    assert shown[-len(examples) :] == examples, "each on a line of its own, whole"


BAD = {
    "no command of that name": (["chek"], "Did you mean 'check'"),
    "no option of that name": (["status", "--jsn"], "No such option"),
    "missing argument": (["runs"], "Missing argument"),
    "count of 0": (["preview", "study.yaml", "-n", "0"], "-n"),
    "no such launcher": (["start", "study.yaml", "--launcher", "slurm"], "given 'slurm'; allowed: local, inline"),
    "no such device": (["start", "study.yaml", "--devices", "x"], "--devices: given 'x'; allowed: "),
    "no such device to preview on": (["preview", "study.yaml", "--devices", "x"], "--devices: given 'x'; allowed: "),
    "bad assignment": (["start", "study.yaml", "--set", "nonsense"], "--set nonsense: nonsense: allowed: field=value"),
    "bad port": (["ui", "--port", "0"], "--port"),
    **{
        f"{command} of a file that is missing": ([command, "nope.yaml"], "nope.yaml: cannot be read: No such file")
        for command in ("check", "preview", "start")
    },
    **{
        f"{command} before anything was started": ([command, "small"], "no studies yet: ")
        for command in ("status", "watch", "stop", "resume", "delete", "sync")
    },
    **{
        f"{command} before anything was tracked": ([command, "small"], "nothing is tracked yet: ")
        for command in ("runs", "best", "report")
    },
}


@pytest.mark.parametrize("kind", BAD)
def test_bad_input_is_one_message_and_exit_code_2(kind: str, run: Run, tmp_path: Path) -> None:
    arguments, message = BAD[kind]
    folder = tmp_path / "empty"
    (folder / "study.yaml").write_text(PLAIN)
    done = run(*arguments)
    assert done.code == 2, done.stderr
    assert message in done.stderr
    assert "Traceback" not in done.stderr
    assert done.stdout == ""
    assert [path.name for path in folder.iterdir()] == ["study.yaml"]


def test_a_program_started_by_a_shell_does_the_same(tmp_path: Path) -> None:
    command = [sys.executable, "-m", "sweeper", "check", "nope.yaml"]
    done = subprocess.run(command, cwd=tmp_path, capture_output=True, text=True, check=False)
    assert (done.returncode, done.stdout) == (2, "")
    assert done.stderr == "nope.yaml: cannot be read: No such file or directory\n1 fault\n"


@pytest.mark.parametrize("command", ["status", "watch", "stop", "resume", "delete", "sync", "runs", "best", "report"])
def test_a_study_that_is_not_there_names_those_that_are(command: str, run: Run, swept: Path) -> None:
    done = run(command, "nope", folder=swept)
    assert done.code == 2
    assert "'nope'" in done.stderr
    assert "small" in done.stderr
    assert len(done.stderr.splitlines()) == 1


def test_a_database_that_cannot_be_opened_is_one_message_without_password(
    run: Run, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("SWEEPER_STORAGE", "postgresql+psycopg://user:hunter2@127.0.0.1:1/db")
    done = run("status")
    assert done.code == 2
    assert "cannot open Optuna's database" in done.stderr
    assert "hunter2" not in done.stderr
    assert "Traceback" not in done.stderr
