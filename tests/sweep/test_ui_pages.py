"""What MLflow's UI and Optuna's dashboard show of a finished sweep: its trials, under their names, the best first."""

from __future__ import annotations

import json
import re
import shutil
import subprocess
import sys
import urllib.request
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pandas as pd
import pytest

import sweeper
from tests.sweep.conftest import GUARD_SECONDS, CommandLine, interrupt, open_workspace, wait_until
from tests.tracking.mlflow_server import free_port

CHROMIUM = "/usr/bin/chromium" if Path("/usr/bin/chromium").exists() else shutil.which("chromium")
GUARD_MS = GUARD_SECONDS * 1000

pytestmark = pytest.mark.xdist_group("finished")


@pytest.fixture(scope="module")
def trials(finished: CommandLine, cache_dir: Path) -> pd.DataFrame:
    """What sweeper says of the study: a row for each trial."""
    return sweeper.runs("tiny", workspace=open_workspace(finished.folder, cache_dir)).set_index("number")


@dataclass(frozen=True)
class Served:
    """The addresses that `sweeper ui` has printed."""

    mlflow: str
    study: str
    dashboard: str


@pytest.fixture(scope="module")
def served(finished: CommandLine) -> Iterator[Served]:
    ports = (free_port(), free_port())
    process = finished.begin("ui", "--port", str(ports[0]), "--dashboard-port", str(ports[1]))
    assert process.stdout is not None
    lines = [process.stdout.readline().split() for _ in range(4)]
    titles = [" ".join(line[:-1]) for line in lines]
    assert titles == ["MLflow UI", "tiny", "Optuna dashboard", "Ctrl-C ends"], lines
    yield Served(*(line[-1] for line in lines[:3]))
    interrupt(process)
    assert process.wait(timeout=GUARD_SECONDS) == 0


# --- Optuna's dashboard -------------------------------------------------------------------------------------------


@contextmanager
def optuna_dashboard(folder: Path) -> Iterator[str]:
    """The dashboard as Optuna's users start it, on the study's storage; its address."""
    port = free_port()
    command = Path(sys.executable).with_name("optuna-dashboard")
    log = folder / "dashboard.log"
    with log.open("wb") as output:
        process = subprocess.Popen(
            [command, "sqlite:///optuna.db", "--port", str(port)], cwd=folder, stdout=output, stderr=output
        )
    address = f"http://127.0.0.1:{port}"

    def answers() -> bool:
        assert process.poll() is None, log.read_text()
        try:
            return bool(ask(f"{address}/api/studies"))
        except OSError:
            return False

    try:
        wait_until(answers, "the dashboard")
        yield address
    finally:
        process.terminate()
        process.wait(timeout=GUARD_SECONDS)


def ask(url: str) -> Any:
    with urllib.request.urlopen(url, timeout=GUARD_SECONDS) as answer:
        return json.load(answer)


def check_dashboard(address: str, trials: pd.DataFrame) -> None:
    """The dashboard at an address shows these trials and no other, with their states, values and parameters."""
    (study,) = ask(f"{address}/api/studies")["study_summaries"]
    assert (study["study_name"], study["directions"]) == ("tiny", ["maximize"])
    shown = ask(f"{address}/api/studies/{study['study_id']}")
    assert shown["objective_names"] == ["val/accuracy"]
    assert [trial["number"] for trial in shown["trials"]] == sorted(trials.index)
    for trial in shown["trials"]:
        tracked = trials.loc[trial["number"]]
        assert trial["state"].upper() == tracked["state"]
        assert trial["values"] == [tracked["value"]]
        assert {param["name"] for param in trial["params"]} >= {"training.batch_size", "training.optimizer"}
        for param in trial["params"]:
            column = re.sub(r"\[.*?\]", "", param["name"])  # MLflow has the path without the branch
            value = tracked[column if column in tracked else f"{column}.name"]
            assert str(value) == param["param_external_value"], param["name"]
    best = trials["value"].max()
    assert {trial["values"][0] for trial in shown["best_trials"]} == {best}


def test_optunas_dashboard_shows_the_same_trials(finished: CommandLine, trials: pd.DataFrame) -> None:
    with optuna_dashboard(finished.folder) as address:
        check_dashboard(address, trials)


def test_the_dashboard_of_sweeper_ui_shows_the_same_trials(served: Served, trials: pd.DataFrame) -> None:
    check_dashboard(served.dashboard, trials)


# --- MLflow's UI --------------------------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def browser() -> Iterator[Any]:
    if CHROMIUM is None:
        pytest.skip("chromium is neither at /usr/bin/chromium nor on PATH")
    playwright = pytest.importorskip("playwright.sync_api", reason="playwright is not installed")
    with playwright.sync_playwright() as running:
        started = running.chromium.launch(
            executable_path=CHROMIUM, args=["--no-sandbox", "--disable-gpu", "--disable-background-networking"]
        )
        yield started
        started.close()


@pytest.fixture
def page(browser: Any) -> Iterator[Any]:
    """A page of a browser that has not seen MLflow before."""
    context = browser.new_context(viewport={"width": 1600, "height": 1000})
    context.set_default_timeout(GUARD_MS)
    yield context.new_page()
    context.close()


def check_runs(page: Any, trials: pd.DataFrame) -> None:
    """The page shows the trials, the best first, each with what was measured and drawn."""
    page.get_by_role("link", name="trial-000").wait_for()
    shown = page.get_by_role("link", name=re.compile(r"^trial-\d+$")).all_inner_texts()
    expected = trials.sort_values("value", ascending=False)["value"]
    assert len(shown) == len(expected)
    assert [trials.loc[int(name.removeprefix("trial-")), "value"] for name in shown] == list(expected)
    columns = set(page.get_by_role("columnheader").all_inner_texts())
    assert {"objective", "val/accuracy", "val/loss"} <= columns


@pytest.mark.browser
def test_the_printed_address_shows_the_trials(served: Served, page: Any, trials: pd.DataFrame) -> None:
    page.goto(served.study)
    check_runs(page, trials)


@pytest.mark.browser
def test_any_page_of_the_experiment_links_to_the_trials(served: Served, page: Any, trials: pd.DataFrame) -> None:
    page.goto(served.mlflow)
    page.get_by_role("link", name="tiny").first.click()
    link = page.locator("a", has_text="Trials, best first")
    link.wait_for()
    assert page.locator("a", has_text="trial-").count() == 0, "the link is not needed any more"
    page.goto(link.evaluate("link => link.href"))  # not clicked: MLflow lays a hint for beginners over its page
    check_runs(page, trials)
