"""The documentation: what it says can be done is done, what it says there is is there."""

from __future__ import annotations

import itertools
import os
import re
import shlex
import shutil
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Iterator
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Any

import generate
import pytest
import study_file_page
import torch
import typer
from ruamel.yaml import YAML

import sweeper
from sweeper.cli.main import app
from sweeper.study.schema import study_schema
from sweeper.sweep.check import check_study
from tests.faults.postgres import PostgresServer
from tests.sweep.conftest import CommandLine, cache_dir, cli, folder
from tests.sweep.studies import write_study

__all__ = ["cache_dir", "cli", "folder"]  # fixtures

REPOSITORY = Path(__file__).resolve().parent.parent
DOCS = REPOSITORY / "docs"
PAGES = sorted([*REPOSITORY.glob("*.md"), *DOCS.rglob("*.md")])
RUN = (
    "README.md",
    "docs/tutorial.md",
    "docs/how-to/python.md",
    "docs/how-to/enqueue.md",
    "docs/how-to/promote.md",
    "docs/how-to/serve.md",
    "docs/how-to/reproduce.md",
    "docs/how-to/wandb.md",
    "docs/how-to/extend.md",
    "docs/how-to/own-loop.md",
    "docs/how-to/imbalanced.md",
    "docs/how-to/wrong-labels.md",
    "docs/how-to/transfer.md",
    "docs/how-to/seeds.md",
    "docs/how-to/devices.md",
    "docs/how-to/failed.md",
    "docs/how-to/ui.md",
)
"""Pages whose commands and Python are run, in this order, in one workspace."""
NOT_RUN = (
    "git clone",
    "python3 -m venv",
    "pip install",
    "make ",
    "export ",
    "mlflow server",
    "mlflow models serve",  # by tests/sweep/test_register.py
    "optuna-dashboard ",  # by tests/sweep/test_ui_pages.py
    "curl ",
    ".venv/bin/python docs/",
)
"""Beginnings of commands that set up, or that `make` and CI run."""


def _name(page: Path) -> str:
    return page.relative_to(REPOSITORY).as_posix()


def _load_yaml(text: str) -> dict[str, Any]:
    data: dict[str, Any] = YAML(typ="safe", pure=True).load(text)
    return data


COMMANDS: dict[str, Any] = dict(generate.commands_of(typer.main.get_command(app)))


@dataclass(frozen=True, kw_only=True)
class Block:
    """A fenced block of a page."""

    language: str
    text: str
    line: int
    needs_data: bool
    """Marked with `<!-- test: needs SWEEPER_DATA -->`."""
    needs_gpus: int
    """Marked with `<!-- test: needs N GPUs -->`."""
    file: str | None
    """Marked with `<!-- test: file NAME -->`: what commands on the page expect to be there."""


def _blocks(page: Path) -> Iterator[Block]:
    lines = page.read_text(encoding="utf-8").splitlines()
    start = None
    for i, line in enumerate(lines):
        if not line.startswith("```"):
            continue
        if start is None:
            start = i
            continue
        before = lines[start - 1] if start else ""
        marked = re.fullmatch(r"<!-- test: file (\S+) -->", before)
        n_gpus = re.fullmatch(r"<!-- test: needs (\d+) GPUs -->", before)
        yield Block(
            language=lines[start].removeprefix("```"),
            text="\n".join(lines[start + 1 : i]) + "\n",
            line=start + 1,
            needs_data=before == "<!-- test: needs SWEEPER_DATA -->",
            needs_gpus=int(n_gpus[1]) if n_gpus else 0,
            file=marked and marked[1],
        )
        start = None
    assert start is None, f"{_name(page)}: a block is not closed"


def _commands(block: Block) -> Iterator[tuple[str, list[str]]]:
    """Each command of a console block with the lines that it is said to print."""
    command, printed = "", []
    for line in block.text.splitlines():
        if line.startswith("$ "):
            if command:
                yield command, printed
            command, printed = re.sub(r"\s{2,}#.*", "", line[2:]).strip(), []
        else:
            printed.append(line)
    if command:
        yield command, printed


def _all_commands() -> Iterator[Any]:
    for page in PAGES:
        for block in _blocks(page):
            if block.language == "console":
                for command, _ in _commands(block):
                    yield pytest.param(command, id=f"{_name(page)}:{block.line}: {command}")


# --- running ------------------------------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def workspace(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("docs")
    shutil.copytree(REPOSITORY / "studies", folder / "studies")
    return folder


@pytest.fixture(scope="module")
def command_line(workspace: Path, cache_dir: Path) -> Iterator[CommandLine]:
    command_line = CommandLine(workspace, cache_dir)
    command_line.environment.pop("COLUMNS", None)
    if "SWEEPER_DATA" in os.environ:
        command_line.environment["SWEEPER_DATA"] = os.environ["SWEEPER_DATA"]
    yield command_line
    command_line.end()


def _run(command: str, command_line: CommandLine, *, anew: bool = False) -> str:
    """What a command prints; in this process, which has imports done, or anew."""
    _, *arguments = shlex.split(command)
    if arguments == ["ui"]:
        return _run_ui(command_line)
    return command_line.run(*arguments) if anew else command_line.call(*arguments)


def _run_python(code: str, command_line: CommandLine, *, anew: bool = False) -> None:
    """Run the code of a page; in this process, which has imports done, or anew."""
    if not anew:
        with pytest.MonkeyPatch.context() as patch:
            patch.chdir(command_line.folder)
            patch.setattr(os, "environ", dict(command_line.environment))
            exec(compile(code, "page", "exec"), {"__name__": "__main__"})
        return
    done = subprocess.run(
        [sys.executable, "-c", code],
        cwd=command_line.folder,
        env=command_line.environment,
        capture_output=True,
        text=True,
    )
    assert done.returncode == 0, done.stdout + done.stderr


@cache
def _run_ui(command_line: CommandLine) -> str:
    """`sweeper ui` until it has printed its last line, then Ctrl-C. On free ports, which a README cannot know. Once for
    all pages: they show the same."""
    ports = []
    for _ in range(2):
        with socket.socket() as probe:
            probe.bind(("127.0.0.1", 0))
            ports.append(str(probe.getsockname()[1]))
    process = command_line.begin("ui", "--port", ports[0], "--dashboard-port", ports[1])
    assert process.stdout is not None
    printed = ""
    for line in process.stdout:
        printed += line
        if line.startswith("Ctrl-C"):
            break
    time.sleep(0.5)  # it prints its last line just before it waits
    process.send_signal(signal.SIGINT)
    assert process.wait(timeout=30) == 0, printed
    return printed


def _shape(line: str) -> str:
    """A line without what differs from run to run: numbers and widths."""
    return re.sub(r"\d[\d.,e+-]*", "0", " ".join(line.split()))


def _assert_printed(said: list[str], printed: str, where: str) -> None:
    """Every line that the page shows is printed, in this order; `...` stands for any lines."""
    lines = iter([_shape(line) for line in printed.splitlines()])
    for line in said:
        if line.strip() and line != "...":
            assert _shape(line) in lines, f"{where}: not printed: {line!r}; printed was:\n{printed}"


@pytest.mark.xdist_group("docs")
@pytest.mark.timeout(600)  # a minute for all pages on an idle machine with 2 cores, more on a shared one
@pytest.mark.parametrize("name", RUN)
def test_commands_and_python_of_a_page_run(name: str, workspace: Path, command_line: CommandLine) -> None:
    page = REPOSITORY / name
    anew = name == RUN[0]  # the first sweep and the first script are processes, as they are for a reader
    python: list[str] = []
    left_out = False
    for block in _blocks(page):
        where = f"{name}:{block.line}"
        if block.needs_data and "SWEEPER_DATA" not in os.environ:
            left_out = True
            continue
        if block.needs_gpus > torch.cuda.device_count():
            continue
        if block.file is not None:
            (workspace / block.file).write_text(block.text, encoding="utf-8")
        elif block.language == "yaml":
            study = _load_yaml(block.text)
            if "name" in study:  # others are parts of a study file, for another test
                (workspace / f"{study['name']}.yaml").write_text(block.text, encoding="utf-8")
        elif block.language == "python":
            # Blocks of a page build on each other. Run when a command may need their result, and at the end.
            python.append(block.text)
        elif block.language == "console":
            for command, said in _commands(block):
                if command.startswith("sweeper "):
                    is_sweep = command.startswith("sweeper start ")
                    _assert_printed(said, _run(command, command_line, anew=anew and is_sweep), where)
    if python:
        code = "\n".join(python)
        _run_python(code, command_line, anew=anew or "mlflow" in code)  # whose settings a process keeps
    if left_out:
        pytest.skip("SWEEPER_DATA is not set: all ran but the blocks that need it")


@pytest.mark.xdist_group("postgres")
def test_a_study_moves_to_a_server_as_the_page_says(folder: Path, cli: CommandLine, postgres: PostgresServer) -> None:
    cli.call("start", str(write_study(folder, "digits-mlp")), "--launcher", "inline", "--devices", "cpu", "--quiet")
    before = cli.call("best", "digits-mlp", "--json")
    for name in ("optuna", "mlflow"):
        postgres.create_database(name)
    for block in _blocks(DOCS / "how-to/moving.md"):
        for command, said in _commands(block):
            if command.startswith("export "):
                name, _, value = command.removeprefix("export ").partition("=")
                assert "user:password@host" in value
                cli.environment[name] = value.replace("user:password@host", f"postgres@127.0.0.1:{postgres.port}")
            elif command.startswith("sweeper "):
                _assert_printed(said, _run(command, cli), "docs/how-to/moving.md")
    assert cli.call("best", "digits-mlp", "--json") == before
    assert "no faults" in cli.call("doctor")


@pytest.mark.parametrize("command", [*_all_commands()])
def test_every_command_line_can_be_parsed(command: str) -> None:
    words = shlex.split(command.split(" > ")[0].split(" && ")[0])
    if command.startswith("ray job submit "):
        words = words[words.index("sweeper") :]  # what the job runs
    if words[0] != "sweeper":
        assert command.startswith(NOT_RUN), f"unknown command: {command}"
        return
    if words[1] in ("--help", "--version"):
        return
    n = 2 if words[1] in COMMANDS else 3  # a command, or one of a group
    COMMANDS[" ".join(words[1:n])].make_context(words[n - 1], words[n:])


# --- study files in pages -----------------------------------------------------------------------------------------


def _studies() -> Iterator[Any]:
    for page in PAGES:
        for block in _blocks(page):
            if block.language == "yaml":
                yield pytest.param(block.text, page, id=f"{_name(page)}:{block.line}")


def _merged(base: dict[str, Any], part: dict[str, Any]) -> dict[str, Any]:
    """`base` with the fields of `part`; what has a name or is a distribution replaces what is in its place."""
    result = dict(base)
    for key, value in part.items():
        inner = base.get(key)
        is_whole = not isinstance(value, dict) or value.keys() & {"name", "float", "int", "choice", "repeat"}
        result[key] = value if is_whole or not isinstance(inner, dict) else _merged(inner, value)
    return result


@pytest.mark.parametrize(("text", "page"), [*_studies()])
def test_study_files_in_pages_have_no_faults(
    text: str, page: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    for block in _blocks(page):
        if block.file is not None:
            (tmp_path / block.file).write_text(block.text, encoding="utf-8")
    (tmp_path / "digits-mlp-suspects.csv").write_text("picture,label\n")  # as an audit leaves it in a workspace
    whole = _load_yaml(text)
    if "name" not in whole:  # a part of a study file
        base = _load_yaml((REPOSITORY / "studies/digits/mlp.yaml").read_text(encoding="utf-8"))
        whole = _merged(base, whole)
    path = tmp_path / "study.yaml"
    with path.open("w", encoding="utf-8") as file:
        YAML(typ="safe", pure=True).dump(whole, file)
    assert check_study(path).complete


def _results() -> Iterator[Any]:
    """Study files and overrides of all commands by which docs/results.md is made."""
    sections = YAML(typ="safe", pure=True).load((DOCS / "results.yaml").read_text(encoding="utf-8"))
    for study in (study for section in sections for study in section["studies"]):
        for command in study["commands"]:
            words = shlex.split(command)
            if words[0] == "start":
                overrides = [word for before, word in itertools.pairwise(words) if before == "--set"]
                yield pytest.param(words[1], overrides, id=study["key"])


@pytest.mark.parametrize(("file", "overrides"), [*_results()])
def test_studies_of_the_results_have_no_faults(
    file: str, overrides: list[str], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    (tmp_path / "suspects.csv").write_text("picture,label\n")  # as an audit leaves it in a workspace
    assert check_study(REPOSITORY / "studies" / file, overrides).complete


# --- what there is -------------------------------------------------------------------------------------------------


def _anchors(page: Path) -> set[str]:
    """Anchors as GitHub makes them from headings."""
    inside, anchors = False, set()
    for line in page.read_text(encoding="utf-8").splitlines():
        inside ^= line.startswith("```")
        heading = re.match(r"#+ (.*)", line)
        if heading and not inside:
            anchors.add(re.sub(r"[^\w\- ]", "", heading[1].lower()).replace(" ", "-"))
    return anchors


@pytest.mark.parametrize("page", PAGES, ids=_name)
def test_links_between_pages_resolve(page: Path) -> None:
    text = re.sub(r"^```.*?^```", "", page.read_text(encoding="utf-8"), flags=re.MULTILINE | re.DOTALL)
    for target in re.findall(r"\]\(([^)\s]+)\)", re.sub(r"`[^`]*`", "", text)):
        if target.startswith(("http://", "https://")):
            continue
        path, _, anchor = target.partition("#")
        linked = (page.parent / path).resolve() if path else page
        assert linked.is_file(), f"{_name(page)} links to {target}, which does not exist"
        if anchor:
            assert anchor in _anchors(linked), f"{_name(page)} links to {target}, which has no such heading"


def test_the_site_is_built_without_a_warning(tmp_path: Path) -> None:
    done = subprocess.run(
        [sys.executable, "-m", "mkdocs", "build", "--strict", "--site-dir", str(tmp_path / "site")],
        cwd=REPOSITORY,
        env={**os.environ, "NO_MKDOCS_2_WARNING": "1"},
        capture_output=True,
        text=True,
    )
    assert done.returncode == 0, done.stderr
    built = {path.relative_to(tmp_path / "site").with_suffix(".md") for path in (tmp_path / "site").rglob("*.html")}
    assert built - {Path("404.md")} == {page.relative_to(DOCS) for page in DOCS.rglob("*.md")}
    text = "".join(path.read_text(encoding="utf-8") for path in (tmp_path / "site").rglob("*.html"))
    assert not re.findall(r"<(?:script|img|link)[^>]*(?:src|href)=\"https?://[^\"]*\"", text), "asks other servers"


def test_tests_that_pages_name_are_there() -> None:
    named = {
        match.groups()
        for page in PAGES
        for match in re.finditer(r"`(tests/[\w/]+\.py)::(\w+)`", page.read_text(encoding="utf-8"))
    }
    assert len(named) > 10
    missing = [
        f"{path}::{name}"
        for path, name in sorted(named)
        if not (REPOSITORY / path).is_file() or f"\ndef {name}(" not in (REPOSITORY / path).read_text(encoding="utf-8")
    ]
    assert missing == []


def test_every_page_can_be_reached_from_the_readme() -> None:
    seen: set[Path] = set()
    waiting = [REPOSITORY / "README.md"]
    while waiting:
        page = waiting.pop()
        seen.add(page)
        for target in re.findall(r"\]\(([^)\s#]+\.md)", page.read_text(encoding="utf-8")):
            linked = (page.parent / target).resolve()
            if linked not in seen and linked.is_file():
                waiting.append(linked)
    assert [_name(page) for page in PAGES if page not in seen] == []


@pytest.mark.parametrize("name", generate.PAGES)
def test_generated_pages_are_current(name: str) -> None:
    current = (DOCS / name).read_text(encoding="utf-8")
    assert current == generate.PAGES[name](), f"docs/{name} is out of date; run: python docs/generate.py"


def test_every_command_and_option_is_documented() -> None:
    page = (DOCS / "how-to/cli.md").read_text(encoding="utf-8")
    for name, command in COMMANDS.items():
        section = page.partition(f"### `sweeper {name}`")[2].partition("\n### ")[0]
        assert "$ sweeper" in section, f"{name} has no example"
        for parameter in command.params:
            for option in parameter.opts if parameter.param_type_name == "option" else ():
                assert f"`{option}" in section, f"{name} {option} is not documented"
            assert parameter.help, f"{name}: {parameter.name} has no help"


def test_every_field_is_documented() -> None:
    schema = study_schema()
    page = (DOCS / "study-file.md").read_text(encoding="utf-8")
    documented = {name for _, _, names in study_file_page.SECTIONS for name in names} | set(
        study_file_page.DISTRIBUTIONS
    )
    assert documented == set(schema["$defs"])
    for name, definition in {"Study": schema, **schema["$defs"]}.items():
        for field, about in definition["properties"].items():
            if name in study_file_page.DISTRIBUTIONS:
                assert f"{field}: " in page
            elif "const" in about:
                assert f"### `{about['const']}`" in page
            else:
                assert f"| `{field}` |" in page


def test_every_package_and_module_has_a_line() -> None:
    package = REPOSITORY / "sweeper"
    packages = {path.parent.name for path in package.glob("*/__init__.py")}
    assert packages == set(generate.PACKAGES)
    page = (DOCS / "architecture.md").read_text(encoding="utf-8")
    for path, _ in generate.modules():
        head, _, rest = path.partition("/")
        section = page.partition(f"**sweeper/{head}/**" if rest else "**sweeper/**")[2]
        assert f"| `{rest or head}` |" in section


@pytest.mark.parametrize("name", sweeper.__all__)
def test_every_public_name_is_documented(name: str) -> None:
    if name != "__version__":
        assert name in (DOCS / "how-to/python.md").read_text(encoding="utf-8")
        assert f"### `sweeper.{name}`\n" in (DOCS / "python.md").read_text(encoding="utf-8")


@pytest.mark.parametrize("image", sorted((DOCS / "images").iterdir()), ids=lambda path: path.name)
def test_images_are_small_and_name_no_machine(image: Path) -> None:
    content = image.read_bytes()
    assert len(content) < generate.MAX_BYTES
    assert b"/home/" not in content
    assert b"/tmp/" not in content
