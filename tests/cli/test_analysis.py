"""attack, audit-labels, embed: end to end on digits."""

from __future__ import annotations

import csv
import json
import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import psutil
import pytest

import sweeper
from sweeper.tracking.workspace import Workspace
from tests.cli.conftest import Done, Run

pytestmark = pytest.mark.xdist_group("cli")

NOISY = """\
name: noisy
sampler: {name: random, seed: 1}
budget: {trials: 1}
trial:
  data: {name: digits, noise: {"3": {"8": 0.4}, "4": {"7": 0.2}}}
  model: {name: mlp, hidden: [64]}
  training: {epochs: 8, batch_size: 64, optimizer: {name: adam, lr: 0.003}}
"""


@pytest.fixture(scope="module")
def noisy(tmp_path_factory: pytest.TempPathFactory, cache_dir: Path) -> Path:
    """A workspace with a finished study `noisy`: of the digits for training and validation, two fifths of the 3s are
    given as 8, a fifth of the 4s as 7."""
    folder = tmp_path_factory.mktemp("noisy")
    (folder / "study.yaml").write_text(NOISY)
    workspace = Workspace.from_environment(folder, {"SWEEPER_CACHE": str(cache_dir)})
    sweeper.start(folder / "study.yaml", launcher="inline", devices=["cpu"], workspace=workspace)
    return folder


def told(done: Done) -> dict[str, object]:
    assert done.code == 0, done.stderr
    result: dict[str, object] = json.loads(done.stdout)
    return result


def test_attack_lowers_accuracy_and_the_report_shows_it(run: Run, swept: Path) -> None:
    arguments = ("attack", "small", "--epsilon", "0.1", "--epsilon", "0.3", "--examples", "2")
    result = told(run(*arguments, "--json", folder=swept))
    right = {e: sum(r["right"] for r in result["accuracy"] if r["epsilon"] == e) for e in (0.0, 0.1, 0.3)}  # type: ignore[attr-defined]
    assert right[0.0] > right[0.1] > right[0.3]
    assert told(run(*arguments, "--json", folder=swept))["kept"] == result["kept"]
    table = run(*arguments, folder=swept)
    assert "ε" in table.stderr
    assert table.stdout.splitlines()[0].startswith("216 pictures of small, trial ")
    run("report", "small", "--format", "csv", "--out", "attacked", folder=swept)
    assert (swept / "attacked" / "data").joinpath(f"adversarial-t{result['trial']}-fgsm-accuracy.csv").is_file()


def test_a_run_is_named_by_study_number_or_id(run: Run, swept: Path) -> None:
    runs = json.loads(run("runs", "small", "--json", folder=swept).stdout)
    best = json.loads(run("best", "small", "--top", "1", "--json", folder=swept).stdout)[0]
    options = ("--epsilon", "0.1", "--pictures", "20", "--examples", "0", "--json")
    assert told(run("attack", "small", *options, folder=swept))["run_id"] == best["run_id"]
    assert told(run("attack", f"small/{best['number']}", *options, folder=swept))["run_id"] == best["run_id"]
    assert told(run("attack", best["run_id"], *options, folder=swept))["trial"] == best["number"]
    worst = min(runs, key=lambda each: each["value"])
    refused = run("attack", worst["run_id"], *options, folder=swept)  # the best three keep their models
    assert refused.code == 2
    assert "kept no model" in refused.stderr


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (("attack", "small/99"), "no trial 99 in small; trials there: 0 to 3"),
        (("attack", "small/x"), "given 'small/x'; allowed: STUDY, STUDY/NUMBER such as small/0, or a run's id"),
        (("attack", "0" * 32), "no run 00000000000000000000000000000000 in any tracked study"),
        (("attack", "other"), "no tracked study 'other'"),
        (("attack", "small", "--method", "x"), "--method: given 'x'; allowed: fgsm, bim, pgd"),
        (("attack", "small", "--target", "cat"), "--target: given 'cat'; allowed: 0, 1, 2"),
        (("attack", "small", "--target", "1", "--source", "1"), "--source: given '1', which is the target"),
        (("attack", "small", "--epsilon", "2"), "--epsilon: given [2.0]; allowed: 0 to 1"),
        (("embed", "small", "--part", "test"), "--part: given 'test'; allowed: val, train, both"),
        (("audit-labels", "small", "--prune", "x"), "--prune: given 'x'; allowed: mixture, confident"),
        (("audit-labels", "small", "--folds", "999"), "--folds: given 999; allowed: at most "),
        (("audit-labels", "small", "--out", "none/x.csv"), "--out: given none/x.csv, in a folder that is not there"),
    ],
)
def test_what_cannot_be_is_refused(run: Run, swept: Path, arguments: tuple[str, ...], message: str) -> None:
    done = run(*arguments, folder=swept)
    assert done.code == 2
    assert message in done.stderr


def test_embed_compares_features_with_pixels(run: Run, swept: Path) -> None:
    result = told(run("embed", "small", "--part", "both", "--pictures", "200", "--json", folder=swept))
    assert (result["features"], result["n_pictures"]) == ("penultimate", 200)
    spaces = result["spaces"]
    assert isinstance(spaces, dict)
    assert (spaces["features"]["n_dimensions"], spaces["pixels"]["n_dimensions"]) == (16, 64)
    assert all(len(space["points"]) == 200 for space in spaces.values())
    assert spaces["pixels"]["all"]["knn_accuracy"] > spaces["pixels"]["plane"]["knn_accuracy"] > 0.3
    assert "penultimate" in run("embed", "small", "--pictures", "200", folder=swept).stdout


def test_planted_errors_are_found_corrected_and_fed_back(run: Run, noisy: Path) -> None:
    arguments = ("audit-labels", "noisy", "--folds", "4", "--workers", "2")
    result = told(run(*arguments, "--json", folder=noisy))
    truth = result["truth"]
    assert isinstance(truth, dict)
    assert truth["wrong"] > 70
    assert truth["precision"] >= 0.9
    assert truth["recall"] >= 0.5
    assert truth["relabelled"] >= 0.95 * truth["found"]

    again = run(*arguments, folder=noisy)
    assert "4 of 4 kept from before" in again.stderr
    assert f"precision {truth['precision']:.4g}" in again.stdout
    assert told(run(*arguments, "--json", folder=noisy))["kept"] == result["kept"]

    lines = list(csv.DictReader((noisy / "noisy-suspects.csv").open(encoding="utf-8")))
    assert len(lines) == truth["suspects"]
    assert "true" not in lines[0]
    assert {line["given"] for line in lines} >= {"8", "7"}
    corrected = run(
        "start", "study.yaml", "--launcher", "inline", "--set", "name=corrected",
        "--set", "trial.data.relabel=noisy-suspects.csv", folder=noisy,
    )  # fmt: skip
    assert corrected.code == 0, corrected.stderr
    counts = {}
    for name in ("noisy", "corrected"):
        (tracked,) = sweeper.best_runs(name, workspace=Workspace.from_environment(noisy, {}))
        counts[name] = tracked.artifact_json("data.json")["counts"]
    in_pool = {name: [sum(pair) for pair in zip(c["train"], c["val"], strict=True)] for name, c in counts.items()}
    for k in range(10):
        change = sum(line["label"] == str(k) for line in lines) - sum(line["given"] == str(k) for line in lines)
        assert in_pool["corrected"][k] == in_pool["noisy"][k] + change
    assert in_pool["corrected"][3] >= in_pool["noisy"][3] + 20

    run("report", "noisy", "--format", "csv", "--out", "audited", folder=noisy)
    assert (noisy / "audited" / "data" / "audit-suspects.csv").is_file()


def test_an_interrupted_audit_leaves_no_process_and_goes_on(
    run: Run, noisy: Path, cache_dir: Path, tmp_path: Path
) -> None:
    """Each of its processes waits after its first fold, so that the audit cannot end before it is interrupted."""
    arguments = ("audit-labels", "noisy", "--folds", "5", "--seeds", "4", "--workers", "2")
    env = {**os.environ, "SWEEPER_CACHE": str(cache_dir)}
    env["SWEEPER_FAILPOINTS"] = f"analysis.fold_written=until:{tmp_path / 'never'}"
    audit = subprocess.Popen(
        [sys.executable, "-m", "sweeper", *arguments],
        cwd=noisy,
        env=env,
        stderr=subprocess.PIPE,
        stdout=subprocess.DEVNULL,
        text=True,
    )
    files = noisy / ".sweeper" / "noisy"

    def folds() -> set[Path]:
        return {path for path in files.rglob("audit/*.npy") if not path.name.startswith("labels-")}

    before = folds()
    deadline = time.monotonic() + 120
    while not folds() - before and time.monotonic() < deadline:
        time.sleep(0.05)
    children = psutil.Process(audit.pid).children()
    assert children
    audit.send_signal(signal.SIGINT)
    _, stderr = audit.communicate(timeout=120)
    assert audit.returncode == 130
    assert "interrupted; the same command goes on from here" in stderr
    assert "Traceback" not in stderr
    _, alive = psutil.wait_procs(children, timeout=10)
    assert not alive
    done = run(*arguments, folder=noisy)
    assert done.code == 0, done.stderr
    assert len(folds() - before) == 20
    assert " of 20 kept from before)" in done.stderr
