"""Writes the generated pages of the documentation, and its pictures.

    python docs/generate.py             study-file.md, how-to/cli.md, python.md, the modules in architecture.md
    python docs/generate.py --images    the pictures too: runs a sweep, needs chromium

The pages are computed from the code: the JSON Schema of study files, the command line, the docstrings. A test fails
when one of them is out of date.
"""

from __future__ import annotations

import ast
import copy
import os
import re
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

from python_page import python_page
from study_file_page import NOTE, sentence, study_file_page

DOCS = Path(__file__).resolve().parent
REPOSITORY = DOCS.parent
PACKAGE = REPOSITORY / "sweeper"


# --- how-to/cli.md ------------------------------------------------------------------------------------------------

_CLI_INTRODUCTION = f"""{NOTE}
# Command line

`sweeper --help` lists the commands, `sweeper COMMAND --help` explains one. `sweeper --install-completion` adds
completion to your shell, names of studies included.

A command works in the current folder, its workspace; see [Where things are kept](where-things-are.md). Results go to
standard output, problems to standard error. Colours and the live view are for terminals only; a pipe gets plain lines.

## Exit codes

| Code | Meaning |
|---|---|
| 0 | done |
| 1 | error: something failed that the input is not to blame for |
| 2 | bad input: a fault in a file, an option, a name, and nothing was begun; or [access](users.md) was denied |
| 3 | another driver owns the study |
| 130 | stopped on request (Ctrl-C, SIGTERM, `sweeper stop`); `sweeper resume` goes on |

`sweeper --plugin MODULE COMMAND ...` imports a module or a `.py` file first, which adds parts to studies: see
[Add a model, a data set, a loss](extend.md).

## Commands
"""


def cli_page(app: Any) -> str:
    """The reference of the command line."""
    import typer

    group: Any = typer.main.get_command(app)
    parts = [_CLI_INTRODUCTION]
    commands = sorted(commands_of(group))
    parts.append("| Command | What it does |\n|---|---|")
    for name, command in commands:
        parts.append(f"| [`{name}`](#sweeper-{name.replace(' ', '-')}) | {_first_sentence(command.help)} |")
    parts.append("")
    for name, command in commands:
        parts.append(_command(name, command))
    return "\n".join(parts).rstrip("\n") + "\n"


def commands_of(group: Any, before: str = "") -> list[tuple[str, Any]]:
    """Names and commands, those of groups of commands as `group command`."""
    found = []
    for name, command in group.commands.items():
        if hasattr(command, "commands"):
            found += commands_of(command, f"{before}{name} ")
        else:
            found.append((f"{before}{name}", command))
    return found


def _first_sentence(text: str) -> str:
    return re.split(r"(?<=\.)\s", sentence(text), maxsplit=1)[0]


def _command(name: str, command: Any) -> str:
    arguments = [p for p in command.params if p.param_type_name == "argument" and not p.hidden]
    options = [p for p in command.params if p.param_type_name == "option" and not p.hidden]
    usage = " ".join(
        ["sweeper", name, *(["[OPTIONS]"] if options else []), *(_argument_usage(argument) for argument in arguments)]
    )
    parts = [f"### `sweeper {name}`\n", f"```text\n{usage}\n```\n"]
    parts += [sentence(paragraph) + "\n" for paragraph in command.help.split("\n\n")]
    if arguments or options:
        parts.append("| Argument | What it is |\n|---|---|")
        parts += [f"| `{_argument_usage(a)}` | {sentence(a.help or '')} |" for a in arguments]
        parts += [f"| {_option_names(o)} | {_option_help(o)} |" for o in options]
        parts.append("")
    examples = re.sub(r"^Examples?:", "", command.epilog or "").split("\n")
    lines = "\n".join(f"$ {example.strip()}" for example in examples if example.strip())
    if lines:
        parts.append(f"```console\n{lines}\n```\n")
    return "\n".join(parts)


def _argument_usage(argument: Any) -> str:
    usage = argument.metavar or argument.name.upper()
    return str(usage) if argument.required else f"[{usage}]"


def _option_names(option: Any) -> str:
    value = ""
    if not isinstance(option.default, bool):
        value = f" {option.metavar or option.name.upper()}"
    names = ", ".join(f"`{name}{value}`" for name in option.opts)
    return names + "".join(f" / `{name}`" for name in option.secondary_opts)


def _option_help(option: Any) -> str:
    text = sentence(option.help or "").replace("|", r"\|")
    if option.default is None or option.default is False or "Default:" in text:
        return text
    default = option.opts[0] if option.default is True else option.default
    return f"{text} Default: `{default}`."


# --- the table of modules in architecture.md ----------------------------------------------------------------------

PACKAGES: dict[str, str] = {
    "study": "what to try",
    "data": "what to train on",
    "models": "what is trained",
    "training": "how one trial trains",
    "tracking": "where it is recorded; the only door to MLflow",
    "search": "what to try next; the only door to Optuna",
    "launch": "where trials run",
    "sweep": "the driver",
    "analysis": "what a run hides",
    "report": "what was learnt; the only door to Plotly and matplotlib",
    "cli": "commands; the only door to typer",
}
"""Every subpackage, low to high, and what it is for."""

MODULES_BEGIN = "<!-- modules: generated by docs/generate.py -->"
MODULES_END = "<!-- end of modules -->"


def modules() -> Iterator[tuple[str, str]]:
    """Every module with code in it, as its path below the package, and the first sentence of its docstring."""
    for path in sorted(PACKAGE.rglob("*.py")):
        text = path.read_text(encoding="utf-8")
        if not text.strip():
            continue
        relative = path.relative_to(PACKAGE)
        docstring = ast.get_docstring(ast.parse(text))
        if path.name == "__init__.py" and len(relative.parts) == 2 and relative.parts[0] in PACKAGES:
            continue  # the heading of its package says what it is for
        if not docstring:
            raise SystemExit(f"{path}: no docstring; its first sentence goes into architecture.md")
        yield relative.as_posix(), _first_sentence(docstring.split("\n\n")[0]).rstrip(".").replace("|", r"\|")


def module_table() -> str:
    """One line for every module, by package."""
    by_package: dict[str, list[tuple[str, str]]] = {"": []}
    for path, line in modules():
        head, _, rest = path.partition("/")
        by_package.setdefault(head if rest else "", []).append((path, line))
    parts = []
    for package, entries in sorted(by_package.items(), key=lambda item: _position(item[0])):
        title = f"**sweeper/{package}/** – {PACKAGES[package]}" if package else "**sweeper/**"
        parts.append(f"{title}\n\n| Module | What it does |\n|---|---|")
        parts += [f"| `{path.removeprefix(f'{package}/')}` | {sentence} |" for path, sentence in entries]
        parts.append("")
    return "\n".join(parts)


def _position(package: str) -> int:
    return list(PACKAGES).index(package) if package else -1


def architecture_page() -> str:
    """docs/architecture.md with its table of modules made anew."""
    text = (DOCS / "architecture.md").read_text(encoding="utf-8")
    before, rest = text.split(MODULES_BEGIN)
    _, after = rest.split(MODULES_END)
    return f"{before}{MODULES_BEGIN}\n\n{module_table()}\n{MODULES_END}{after}"


# --- all pages ----------------------------------------------------------------------------------------------------


def _cli_page() -> str:
    from sweeper.cli.main import app

    return cli_page(app)


PAGES: dict[str, Callable[[], str]] = {
    "study-file.md": study_file_page,
    "how-to/cli.md": _cli_page,
    "python.md": python_page,
    "architecture.md": architecture_page,
}
"""The generated pages, by their path below docs/."""


# --- pictures -----------------------------------------------------------------------------------------------------

STUDY = "studies/digits/mlp.yaml"
MAX_BYTES = 200_000


def draw_images() -> None:
    """Run the digits study and record what its sweep, its table and its report look like."""
    images = DOCS / "images"
    images.mkdir(exist_ok=True)
    with tempfile.TemporaryDirectory() as folder:
        shutil.copytree(REPOSITORY / "studies", Path(folder) / "studies")
        os.chdir(folder)
        _record_terminal(images / "terminal.svg")
        subprocess.run([sys.executable, "-m", "sweeper", "report", "digits-mlp"], check=True)
        _photograph(Path("reports/digits-mlp/index.html"), images / "report.png")
    for image in images.iterdir():
        print(f"{image.relative_to(REPOSITORY)}: {image.stat().st_size / 1e3:.0f} kB")


def _record_terminal(path: Path) -> None:
    """`sweeper start` in the middle of its sweep and `sweeper best` after it, with the program's own views."""
    from rich.console import Console
    from rich.text import Text

    import sweeper
    from sweeper.cli import output, results, views
    from sweeper.sweep.progress import Progress

    class RecordingView(views.LiveView):
        """Keeps the middle of a sweep instead of showing it."""

        def __init__(self, console: Console) -> None:
            self._console = console
            self.middle: Progress | None = None

        def update(self, progress: Progress) -> None:
            busy = [worker.number is not None and 2 < worker.epoch < worker.n_epochs for worker in progress.workers]
            if progress.n_ended >= 6 and all(busy) and self.middle is None:
                self.middle = copy.deepcopy(progress)

        def trial_ended(self, trial: Any) -> None:
            if self.middle is None:
                super().trial_ended(trial)

    with Path(os.devnull).open("w") as nowhere:
        console = Console(record=True, file=nowhere, force_terminal=True, width=150, highlight=False)
        console.print(Text(f"$ sweeper start {STUDY} --workers 2", style="bold"))
        view = RecordingView(console)
        sweeper.start(STUDY, workers=2, view=view)
        assert view.middle is not None
        console.print(views.render(view.middle))
        console.print(Text("\n$ sweeper best digits-mlp --top 5", style="bold"))
        output.console = lambda *, stderr=False: console
        results.best("digits-mlp", top=5)
    path.write_text(console.export_svg(title="sweeper", unique_id="sweeper"), encoding="utf-8")


def _photograph(page: Path, picture: Path) -> None:
    from PIL import Image

    with tempfile.TemporaryDirectory() as profile:
        shot = Path(profile) / "shot.png"
        subprocess.run(
            [
                "chromium",
                "--headless",
                "--no-sandbox",
                "--disable-gpu",
                "--disable-quic",
                "--no-first-run",
                "--disable-background-networking",
                "--disable-component-update",
                "--disable-sync",
                "--hide-scrollbars",
                "--virtual-time-budget=10000",
                f"--user-data-dir={profile}/profile",
                f"--screenshot={shot}",
                "--window-size=1280,1600",
                page.resolve().as_uri(),
            ],
            check=True,
            stderr=subprocess.DEVNULL,
        )
        image = Image.open(shot).convert("RGB")
        for colours in (256, 128, 64, 32):
            image.quantize(colours).save(picture, optimize=True)
            if picture.stat().st_size <= MAX_BYTES:
                return
    raise SystemExit(f"{picture} is larger than {MAX_BYTES} bytes")


def main() -> None:
    """Write the pages, and with `--images` the pictures."""
    for name, page in PAGES.items():
        (DOCS / name).write_text(page(), encoding="utf-8")
    if "--images" in sys.argv[1:]:
        draw_images()


if __name__ == "__main__":
    main()
