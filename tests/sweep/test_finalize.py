"""`sweeper finalize`: the best configurations trained again and measured on test, each once, whatever happens."""

from __future__ import annotations

import json
import re
from pathlib import Path
from statistics import mean
from typing import Any

import pytest

import sweeper
from sweeper.errors import InputError
from sweeper.search.storage import StoredStudy, TrialRecord
from sweeper.study.study import Study
from sweeper.sweep.finalize import choose, rank_configurations
from sweeper.tracking.workspace import Workspace
from tests.sweep.accounts import Accounts, check_accounts
from tests.sweep.conftest import GUARD_SECONDS, INLINE, CommandLine, wait_until
from tests.sweep.studies import study_dict, write_study


def search(cli: CommandLine, **parts: Any) -> Accounts:
    """A finished study `tiny`."""
    write_study(cli.folder, **parts)
    cli.call("start", "tiny.yaml", *INLINE, "--quiet")
    return check_accounts(cli.folder, n_trials=len(json.loads(cli.call("runs", "tiny", "--json"))))


def finalize(cli: CommandLine, *arguments: str) -> dict[str, Any]:
    """What the command says, as data."""
    printed = cli.call("finalize", "tiny", *arguments, *INLINE, "--json")
    result: dict[str, Any] = json.loads(printed[printed.index("{") :])  # notes, on standard error, come first
    return result


def pairs(accounts: Accounts) -> list[tuple[int, int]]:
    """The trial and the seed of each run of a test, by number."""
    return [(int(t.tags["sweeper.source_trial"]), int(t.params["seed"])) for t in accounts.trials]


def test_the_best_are_trained_again_and_measured_on_test(cli: CommandLine, workspace: Workspace) -> None:
    searched = search(cli, trials=4, epochs=3)
    assert not any(name.startswith("test/") for trial in searched.trials for name in trial.rows)
    cli.call("report", "tiny", "--section", "test")
    assert "The test part has not been touched" in (cli.folder / "reports/tiny/report.md").read_text()

    result = finalize(cli, "--top", "2", "--seeds", "2")
    tests = check_accounts(cli.folder, "tiny.final", n_trials=4)
    best = sorted(searched.trials, key=lambda t: (-(t.value or 0.0), t.number))[:2]
    assert pairs(tests) == [(t.number, seed) for t in best for seed in (1, 2)]  # seed 0 was the search's
    for trial in tests.trials:
        source = searched.trials[int(trial.tags["sweeper.source_trial"])]
        assert trial.tags["sweeper.source_run"] == source.run_id
        assert {**trial.params, "seed": "0"} == source.params
        assert len(trial.rows["test/accuracy"]) == 3
    by_number = {c["trial"]: c for c in result["configurations"]}
    for source in best:
        runs = [t for t in tests.trials if t.tags["sweeper.source_trial"] == str(source.number)]
        judged = [dict(t.rows["test/accuracy"])[int(t.tags["sweeper.best_epoch"])] for t in runs]
        measured = by_number[source.number]["metrics"]["test/accuracy"]
        assert measured["mean"] == pytest.approx(mean(judged))
        assert measured["low"] <= measured["mean"] <= measured["high"]
        assert by_number[source.number]["value"] == pytest.approx(mean(t.value or 0.0 for t in runs))
    assert result["chosen"] == max(by_number.values(), key=lambda c: (c["value"], -c["trial"]))["trial"]
    assert {key: result["test"][key] for key in ("n_pictures", "n_runs", "n_evaluations")} == {
        "n_pictures": 360,
        "n_runs": 4,
        "n_evaluations": 12,
    }

    # Asked again, nothing is touched; asked for more, only what is missing is trained.
    assert finalize(cli, "--top", "2", "--seeds", "2") == result
    again = cli.call("finalize", "tiny", "--top", "1", "--seeds", "2", *INLINE)
    assert "all of it was tested before; test is not touched again" in again
    assert f"validation chooses trial {result['chosen']}" in again
    more = finalize(cli, "--trial", str(best[1].number), "--seeds", "3")
    tests = check_accounts(cli.folder, "tiny.final", n_trials=5)
    assert pairs(tests)[4:] == [(best[1].number, 3)]
    assert [r["n_runs"] for r in more["test"]["rounds"]] == [4, 1]

    frame = sweeper.final_runs("tiny", workspace=workspace)
    assert frame["source_trial"].tolist() == [number for number, _ in pairs(tests)]
    assert frame["round"].tolist() == [1, 1, 1, 1, 2]
    assert frame["test/accuracy"].tolist() == [
        dict(t.rows["test/accuracy"])[int(t.tags["sweeper.best_epoch"])] for t in tests.trials
    ]
    assert frame["training.epochs"].tolist() == [3] * 5

    check_report(cli)
    assert cli.call("doctor").count(" agree\n") == 2
    check_delete(cli)


def check_report(cli: CommandLine) -> None:
    cli.call("report", "tiny", "--section", "test", "--out", "a")
    cli.call("report", "tiny", "--section", "test", "--out", "b")
    assert (cli.folder / "a/index.html").read_bytes() == (cli.folder / "b/index.html").read_bytes()
    section = (cli.folder / "a/report.md").read_text().partition("## Test\n")[2].partition("\n## ")[0]
    assert "Touched: 2 rounds, 5 trainings, 15 evaluations" in section
    assert len(re.findall(r"round \d, \d{4}-\d\d-\d\d \d\d:\d\d UTC: \d training", section)) == 2
    cells = (cli.folder / "a/data/test-confusion-test.csv").read_text().splitlines()
    assert len(cells) == 101
    n_seeds = 3 if "sum over 3 seeds" in section else 2
    assert sum(int(line.split(",")[2]) for line in cells[1:]) == 360 * n_seeds
    cli.call("report", "tiny.final", "--format", "html", "--out", "c")


def check_delete(cli: CommandLine) -> None:
    assert "stays as long as that study" in cli.call("delete", "tiny.final", "--yes", exit_code=2)
    assert "draws no trials of its own" in cli.call("resume", "tiny.final", "--trials", "1", exit_code=2)
    assert "holds the tests of tiny" in cli.call("finalize", "tiny.final", exit_code=2)
    said = cli.call("delete", "tiny", "--yes")
    assert said.startswith("study tiny.final: 5 trials")
    assert said.endswith("tiny.final is deleted\ntiny is deleted\n")
    assert "no studies yet" in cli.call("status")
    assert [path.name for path in (cli.folder / ".sweeper").glob("[!.]*")] == []


@pytest.mark.xdist_group("kills")
def test_a_driver_that_is_killed_while_it_tests(cli: CommandLine) -> None:
    search(cli, trials=2, epochs=12, batch_size=16)
    command = ("finalize", "tiny", "--top", "2", "--seeds", "2")
    driver = cli.begin(*command, "--workers", "1", "--checkpoint-seconds", "0.05")
    tests = cli.folder / ".sweeper/tiny.final"
    wait_until(lambda: [*tests.glob("*/trials/*/checkpoint.pt")] or driver.poll() is not None, "a checkpoint")
    driver.kill()
    output, _ = driver.communicate(timeout=GUARD_SECONDS)
    assert driver.returncode == -9, output
    cli.call(*command, *INLINE)
    accounts = check_accounts(cli.folder, "tiny.final", n_trials=4)
    assert sorted(pairs(accounts)) == [(0, 1), (0, 2), (1, 1), (1, 2)]
    assert {t.state for t in accounts.trials} == {"COMPLETE"}
    assert {t.tags["sweeper.final_round"] for t in accounts.trials} == {"1"}
    assert all([epoch for epoch, _ in t.rows["test/loss"]] == list(range(1, 13)) for t in accounts.trials)


@pytest.mark.xdist_group("kills")
@pytest.mark.parametrize("place", ["created", "planned", "enqueued"])
def test_killed_while_the_tests_are_stored(cli: CommandLine, place: str) -> None:
    search(cli, trials=1, epochs=1)
    cli.environment["SWEEPER_FAILPOINTS"] = f"derived.{place}=kill@{2 if place == 'enqueued' else 1}"
    cli.run("finalize", "tiny", "--seeds", "3", *INLINE, exit_code=-9)
    del cli.environment["SWEEPER_FAILPOINTS"]
    assert "1 instead of 3" in cli.call("finalize", "tiny", "--seeds", "3", *INLINE)
    accounts = check_accounts(cli.folder, "tiny.final", n_trials=3)
    assert pairs(accounts) == [(0, 1), (0, 2), (0, 3)]
    assert {t.tags["sweeper.final_round"] for t in accounts.trials} == {"1"}


def test_ctrl_c_and_resume(cli: CommandLine) -> None:
    search(cli, trials=1, epochs=40, batch_size=32)
    driver = cli.begin("finalize", "tiny", "--top", "1", "--seeds", "2", "--workers", "1")
    tests = cli.folder / ".sweeper/tiny.final"
    wait_until(lambda: [*tests.glob("*/trials/*/outbox.jsonl")] or driver.poll() is not None, "an epoch")
    driver.send_signal(2)
    output, _ = driver.communicate(timeout=GUARD_SECONDS)
    assert driver.returncode == 130, output
    assert "go on with: sweeper finalize tiny --top 1 --seeds 2" in output
    assert "measured" not in output
    cli.call("resume", "tiny.final", *INLINE, "--quiet")
    check_accounts(cli.folder, "tiny.final", n_trials=2)
    assert "test is not touched again" in cli.call("finalize", "tiny", "--top", "1", "--seeds", "2", *INLINE)


def test_seeds_and_failures(cli: CommandLine) -> None:
    optimizer = {"name": "sgd", "lr": {"choice": [0.05, 1e6]}}
    search(
        cli,
        sampler={"name": "grid", "seed": 0},
        budget={"seeds": 2},
        trial={**study_dict()["trial"], "training": {"epochs": 2, "batch_size": 128, "optimizer": optimizer}},
    )
    result = finalize(cli, "--seeds", "1")
    accounts = check_accounts(cli.folder, "tiny.final", n_trials=1)
    assert [float(t.params["training.optimizer.lr"]) for t in accounts.trials] == [0.05]
    assert [t.params["seed"] for t in accounts.trials] == ["2"]  # 0 and 1 were the search's
    measured = result["configurations"][0]["metrics"]["test/accuracy"]
    k = round(measured["mean"] * 360)
    wilson = sweeper_wilson(k, 360)
    assert (measured["low"], measured["high"]) == pytest.approx(wilson, abs=1e-9)


def sweeper_wilson(k: int, n: int) -> tuple[float, float]:
    z, p = 1.959963984540054, k / n
    centre, half = p + z * z / (2 * n), z * (p * (1 - p) / n + z * z / (4 * n * n)) ** 0.5
    return (centre - half) / (1 + z * z / n), (centre + half) / (1 + z * z / n)


def test_what_cannot_be_tested(cli: CommandLine) -> None:
    optimizer = {"name": "sgd", "lr": 1e6}
    trial = {**study_dict()["trial"], "training": {"epochs": 2, "batch_size": 128, "optimizer": optimizer}}
    search(cli, trials=1, trial=trial)
    said = cli.call("finalize", "tiny", *INLINE, exit_code=2)
    assert "tiny has no complete trial (its trials: 1 FAIL), and there is nothing to test" in said
    assert "which is FAIL; allowed: complete trials of tiny" in cli.call(
        "finalize", "tiny", "--trial", "0", exit_code=2
    )
    assert "given 7; allowed: numbers of trials of tiny, 0 to 0" in cli.call(
        "finalize", "tiny", "--trial", "7", exit_code=2
    )
    assert "no study 'other'" in cli.call("finalize", "other", exit_code=2)
    assert "tiny.final" not in cli.call("status")


def test_a_data_set_without_test_and_a_name_that_is_taken(cli: CommandLine) -> None:
    search(cli, trials=1, epochs=1)
    (data,) = cli.folder.glob(".sweeper/tiny/*/trials/00000/artifacts/data.json")
    recorded = data.read_text()
    data.write_text(json.dumps({**json.loads(recorded), "counts": {"train": [9], "val": [9], "test": [0]}}))
    assert "digits has no test part, on which tiny could be tested" in cli.call("finalize", "tiny", exit_code=2)
    data.write_text(recorded)
    write_study(cli.folder, "tiny.final", trials=1, epochs=1)
    cli.call("start", "tiny.final.yaml", *INLINE, "--quiet")
    assert "a study of that name is there already" in cli.call("finalize", "tiny", exit_code=2)


def test_from_python(workspace: Workspace, folder: Path) -> None:
    write_study(folder, trials=1, epochs=1)
    sweeper.start(folder / "tiny.yaml", launcher="inline", devices=["cpu"], workspace=workspace)
    with pytest.raises(sweeper.SweeperError, match="nothing of 'tiny' was tested yet"):
        sweeper.final_runs("tiny", workspace=workspace)
    with pytest.raises(InputError, match="seeds: given 0"):
        sweeper.finalize("tiny", seeds=0, workspace=workspace)
    result = sweeper.finalize("tiny", top=1, seeds=1, launcher="inline", devices=["cpu"], workspace=workspace)
    assert result.finished
    assert len(sweeper.final_runs("tiny", workspace=workspace)) == 1


# --- choosing -----------------------------------------------------------------------------------------------------


def stored(*trials: tuple[str, float | None, dict[str, Any], dict[str, Any]]) -> StoredStudy:
    """A study of trials given by state, value, parameters and attributes."""
    records = [
        TrialRecord(number=i, state=s, value=v, params=p, epochs={}, attrs=a, start=None, end=None)
        for i, (s, v, p, a) in enumerate(trials)
    ]
    study = Study.model_validate(study_dict())
    return StoredStudy(study=study, uuid="0" * 32, n_trials=len(records), created=None, trials=tuple(records))


def second(of: int) -> dict[str, Any]:
    return {"sweeper.replicate_of": of, "sweeper.seed_offset": 1}


def test_a_configuration_is_as_good_as_its_seeds_on_average() -> None:
    study = stored(
        ("COMPLETE", 0.9, {"lr": 1.0}, {}),
        ("COMPLETE", 0.1, {"lr": 1.0}, second(0)),
        ("COMPLETE", 0.6, {"lr": 2.0}, {}),
        ("COMPLETE", 0.6, {"lr": 2.0}, second(2)),
    )
    assert [(c.number, c.value) for c in rank_configurations(study)] == [(2, 0.6), (0, 0.5)]


@pytest.mark.parametrize("state", ["FAIL", "PRUNED", "WAITING"])
def test_a_configuration_of_which_a_seed_is_missing_is_not_among_the_best(state: str) -> None:
    study = stored(
        ("COMPLETE", 0.9, {"lr": 1.0}, {}),
        (state, None, {} if state == "WAITING" else {"lr": 1.0}, second(0)),
        ("COMPLETE", 0.2, {"lr": 2.0}, {}),
        ("COMPLETE", 0.2, {"lr": 2.0}, second(2)),
    )
    assert [c.number for c in choose(study, top=3)] == [2]
    assert [c.number for c in choose(study, top=1, trials=[0])] == [0]


def test_a_configuration_that_was_drawn_twice_counts_once() -> None:
    study = stored(
        ("PRUNED", None, {"lr": 1.0}, {}),
        ("COMPLETE", 0.9, {"lr": 1.0}, {}),
        ("COMPLETE", 0.8, {"lr": 2.0}, {}),
        ("COMPLETE", 0.9, {"lr": 1.0}, {}),
    )
    assert [(c.number, c.value) for c in choose(study, top=2)] == [(1, 0.9), (2, 0.8)]
