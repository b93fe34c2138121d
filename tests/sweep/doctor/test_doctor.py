"""`sweeper doctor`: a sweep broken in each way that it can break is found to be, and mended."""

from __future__ import annotations

import json
import os
import shutil
import time
from dataclasses import asdict
from pathlib import Path
from types import SimpleNamespace

import pytest

from sweeper.errors import NotFoundError
from sweeper.sweep.doctor import places
from sweeper.sweep.doctor.examine import examine_workspace
from sweeper.sweep.owner import Owner, own
from sweeper.tracking.workspace import read_json, write_json
from tests.sweep.accounts import check_accounts
from tests.sweep.conftest import CommandLine, open_workspace, wait_until, workers_of
from tests.sweep.doctor.conftest import Break, Patient
from tests.sweep.studies import write_study

pytestmark = pytest.mark.xdist_group("finished")


# --- ways to break a sweep ------------------------------------------------------------------------------------------


def double_run(patient: Patient) -> None:
    key = read_json(patient.trial(2).trial)["key"]
    patient.client.create_run(patient.experiment_id, tags={"sweeper.trial": key})


def second_parent(patient: Patient) -> None:
    tags = {"sweeper.trial": patient.files.uuid, "sweeper.role": "study", "sweeper.study_uuid": patient.files.uuid}
    patient.client.create_run(patient.experiment_id, start_time=1, tags=tags)


def run_without_a_trial(patient: Patient) -> None:
    patient.client.create_run(patient.experiment_id, tags={"sweeper.trial": f"{patient.files.uuid}/99"})


def run_deleted(patient: Patient) -> None:
    patient.client.delete_run(patient.run_id(1))


def parent_deleted(patient: Patient) -> None:
    patient.client.delete_run(patient.parent_id)


def run_said_to_be_running(patient: Patient) -> None:
    patient.sql(
        "mlflow.db", "UPDATE runs SET status = 'RUNNING', end_time = NULL WHERE run_uuid = ?", patient.run_id(2)
    )


def run_ended_by_an_exit_handler(patient: Patient) -> None:
    patient.sql("mlflow.db", "UPDATE runs SET status = 'FAILED' WHERE run_uuid = ?", patient.run_id(2))


def state_tag_wrong(patient: Patient) -> None:
    patient.client.set_tag(patient.run_id(0), "sweeper.state", "PRUNED")


def parent_running(patient: Patient) -> None:
    patient.client.update_run(patient.parent_id, status="RUNNING")


def run_elsewhere_in_the_tree(patient: Patient) -> None:
    patient.client.set_tag(patient.run_id(3), "mlflow.parentRunId", "0" * 32)


def row_twice(patient: Patient) -> None:
    columns = "key, value, timestamp + 1, run_uuid, step, is_nan"
    names = columns.replace(" + 1", "")
    patient.sql(
        "mlflow.db",
        f"INSERT INTO metrics ({names}) SELECT {columns} FROM metrics WHERE run_uuid = ? AND step = 2",
        patient.run_id(4),
    )


def rows_missing(patient: Patient) -> None:
    patient.sql("mlflow.db", "DELETE FROM metrics WHERE run_uuid = ? AND step = 2", patient.run_id(5))


def never_sent(patient: Patient) -> None:
    patient.client.delete_run(patient.run_id(6))
    patient.trial(6).tracked.unlink()


def state_never_sent(patient: Patient) -> None:
    tracked = patient.trial(6).tracked
    write_json(tracked, {**read_json(tracked), "state": "RUNNING"})


def checkpoint_left(patient: Patient) -> None:
    patient.trial(0).checkpoint.write_bytes(b"left")
    patient.trial(0).previous_checkpoint.write_bytes(b"left")


def unfinished_file_left(patient: Patient) -> None:
    (patient.trial(0).folder / ".checkpoint.pt.tmp").write_bytes(b"left")


def folder_without_a_trial(patient: Patient) -> None:
    shutil.copytree(patient.trial(0).folder, patient.files.trial(99).folder)


def folder_with_another_name(patient: Patient) -> None:
    (patient.trial(0).folder.parent / "notes").mkdir()


def end_never_written(patient: Patient) -> None:
    patient.trial(2).end.unlink()


def left_running(patient: Patient) -> None:
    """As after a crash between the outcome of a trial and Optuna's being told."""
    patient.trial(7).end.unlink()
    patient.sql("optuna.db", "UPDATE trials SET state = 'RUNNING', datetime_complete = NULL WHERE number = 7")


def model_not_published(patient: Patient) -> None:
    trial = next(trial for trial in patient.files.trials() if trial.publish.exists())
    trial.publish.unlink()
    write_json(trial.tracked, {k: v for k, v in read_json(trial.tracked).items() if k != "model"})


def driver_killed(patient: Patient) -> None:
    write_json(patient.files.owner, asdict(Owner(host=os.uname().nodename, pid=2**22 - 1, since="2026-01-01")))


BREAKS: list[tuple[Break, str, str]] = [
    (double_run, "tiny, trial 2", "has a second run, "),
    (second_parent, "tiny", "has a second parent run, "),
    (run_without_a_trial, "tiny", "is of trial 99, which Optuna's database does not have"),
    (run_deleted, "tiny, trial 1", "is gone from MLflow"),
    (parent_deleted, "tiny", "its parent run is gone from MLflow"),
    (run_said_to_be_running, "tiny, trial 2", "is COMPLETE, and its run is RUNNING (COMPLETE)"),
    (run_ended_by_an_exit_handler, "tiny, trial 2", "is COMPLETE, and its run is FAILED (COMPLETE)"),
    (state_tag_wrong, "tiny, trial 0", "is COMPLETE, and its run is FINISHED (PRUNED)"),
    (parent_running, "tiny", "its parent run is RUNNING and should be FINISHED"),
    (run_elsewhere_in_the_tree, "tiny, trial 3", "its run does not hang below the study's"),
    (row_twice, "tiny, trial 4", "rows more than once, such as "),
    (rows_missing, "tiny, trial 5", "its run lacks "),
    (never_sent, "tiny, trial 6", "has rows or a state that MLflow was not sent"),
    (state_never_sent, "tiny, trial 6", "has rows or a state that MLflow was not sent"),
    (checkpoint_left, "tiny, trial 0", "has ended, and left "),
    (unfinished_file_left, "tiny, trial 0", "has ended, and left "),
    (folder_without_a_trial, "tiny, 00099", "is the folder of no trial that Optuna's database has"),
    (folder_with_another_name, "tiny, notes", "is the folder of no trial that Optuna's database has"),
    (end_never_written, "tiny, trial 2", "is COMPLETE in Optuna's database, and not ended in its files"),
    (left_running, "tiny, trial 7", "is RUNNING, and nobody drives the study"),
    (model_not_published, "tiny, trial ", "is among the best, and its model is no artifact yet"),
    (driver_killed, "tiny", "2026-01-01) was killed"),
]


def test_a_finished_sweep_is_sound(patient: Patient) -> None:
    assert patient.problems() == []
    examination = examine_workspace(patient.workspace, fix=True)
    assert examination.sound
    assert examination.mended == ()
    assert "8 of 8 trials have ended; files, Optuna and MLflow agree" in {f.what for f in examination.findings}


@pytest.mark.parametrize(("broken", "where", "what"), BREAKS, ids=lambda value: getattr(value, "__name__", ""))
def test_it_is_found_and_mended(patient: Patient, broken: Break, where: str, what: str) -> None:
    broken(patient)
    problems = patient.problems()
    (found,) = [finding for finding in problems if finding.where.startswith(where) and what in finding.what][:1]
    assert found.mend is not None
    assert found.remedy
    others = [finding for finding in problems if finding.mend is None]
    assert not others, others
    patient.check_mended()


def test_everything_at_once(patient: Patient) -> None:
    parts = (double_run, run_without_a_trial, run_deleted, parent_running, row_twice, rows_missing, checkpoint_left)
    for part in (*parts, folder_without_a_trial, driver_killed, left_running):
        part(patient)
    problems = patient.problems()
    assert len(problems) == len(parts) + 4  # two checkpoints
    patient.check_mended()


def test_all_runs_are_lost_and_made_again(patient: Patient, cache_dir: Path) -> None:
    (patient.folder / "mlflow.db").unlink()
    shutil.rmtree(patient.folder / "mlruns")
    cli = CommandLine(patient.folder, cache_dir)  # MLflow keeps connections to the file that was, in this process
    output = cli.run("doctor", "--fix")
    assert "mended tiny: made its parent run again" in output
    check_accounts(patient.folder, n_trials=8)
    assert len(list((patient.folder / "mlruns").rglob("model.pt"))) == 2


def test_what_is_set_aside_is_kept(patient: Patient) -> None:
    folder_without_a_trial(patient)
    patient.check_mended()
    (kept,) = (patient.folder / ".sweeper" / ".removed").rglob("outbox.jsonl")
    assert kept.read_bytes() == patient.trial(0).outbox.read_bytes()


def test_what_is_deleted_is_in_the_trash_of_mlflow(patient: Patient) -> None:
    double_run(patient)
    patient.check_mended()
    deleted = patient.client.search_runs([patient.experiment_id], run_view_type=2)
    assert len(deleted) == 1


# --- what needs a decision ------------------------------------------------------------------------------------------


def strange_rows(patient: Patient) -> None:
    patient.client.log_metric(patient.run_id(3), "val/accuracy", 1.0, step=77)


def bound_elsewhere(patient: Patient) -> None:
    write_json(patient.files.tracker, {"uri": "http://elsewhere:5000"})


def trial_linked(patient: Patient) -> None:
    folder = patient.trial(3).folder
    moved = folder.rename(patient.folder / "elsewhere")
    folder.symlink_to(moved)


def optuna_of_another_version(patient: Patient) -> None:
    patient.sql("optuna.db", "UPDATE alembic_version SET version_num = 'v1.3.0.a'")


def mlflow_of_another_version(patient: Patient) -> None:
    patient.sql("mlflow.db", "UPDATE alembic_version SET version_num = '451aebb31d03'")


def optuna_not_a_database(patient: Patient) -> None:
    (patient.folder / "optuna.db").write_bytes(b"no database" * 1000)


@pytest.mark.parametrize(
    ("broken", "what"),
    [
        (strange_rows, "its run has 1 rows that its outbox does not, such as val/accuracy of epoch 77"),
        (bound_elsewhere, "is tracked in http://elsewhere:5000, and MLFLOW_TRACKING_URI now says mlflow.db"),
        (trial_linked, "sweeper goes through no links, remove it"),
        (optuna_of_another_version, "no longer compatible with the table schema"),
        (mlflow_of_another_version, "tables of version 451aebb31d03, and MLflow "),
        (optuna_not_a_database, "cannot open Optuna's database"),
    ],
    ids=lambda value: getattr(value, "__name__", ""),
)
def test_it_is_found_and_left_alone(patient: Patient, broken: Break, what: str) -> None:
    broken(patient)
    assert any(what in finding.what and finding.level == "fault" for finding in patient.problems())
    examination = examine_workspace(patient.workspace, fix=True)
    assert not examination.sound
    assert examination.mended == ()


def test_files_of_a_trial_that_are_gone(patient: Patient) -> None:
    shutil.rmtree(patient.trial(3).folder)
    (note,) = patient.problems()
    assert (note.level, note.where) == ("note", "tiny, trial 3")
    assert note.what == "is COMPLETE, and its files are gone; what MLflow has of it stays"


def test_a_study_of_another_workspace(patient: Patient) -> None:
    (patient.folder / ".sweeper" / "tiny").rename(patient.folder / ".sweeper" / "other")
    problems = {finding.where: finding for finding in patient.problems()}
    assert "it was driven from another workspace" in problems["tiny"].what
    assert "is the folder of no study" in problems[str(patient.folder / ".sweeper" / "other")].what
    assert {finding.level for finding in problems.values()} == {"note"}


def test_a_study_that_is_driven_is_left_alone(patient: Patient) -> None:
    checkpoint_left(patient)
    with own(patient.files, "tiny"):
        examination = examine_workspace(patient.workspace, fix=True)
    assert examination.mended == ()
    assert any("is being driven by pid" in finding.what for finding in examination.findings)
    assert patient.trial(0).checkpoint.exists()


def test_mlflow_out_of_reach(patient: Patient, cache_dir: Path) -> None:
    checkpoint_left(patient)
    bound = {"uri": "http://user:***@127.0.0.1:1"}
    write_json(patient.files.tracker, bound)
    environ = {"MLFLOW_TRACKING_URI": "http://user:CANARY@127.0.0.1:1"}
    workspace = open_workspace(patient.folder, cache_dir, environ)
    examination = examine_workspace(workspace, fix=True)
    assert not examination.sound
    assert any(finding.where.startswith("MLflow at http://user:***@") for finding in examination.findings)
    assert not patient.trial(0).checkpoint.exists(), "what needs no MLflow is mended"
    assert "CANARY" not in json.dumps(examination.to_dict())


# --- places ---------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(("free", "level"), [(10 * 2**20, "fault"), (500 * 2**20, "note"), (5 * 2**30, "ok")])
def test_free_space(patient: Patient, monkeypatch: pytest.MonkeyPatch, free: int, level: str) -> None:
    monkeypatch.setattr(places.shutil, "disk_usage", lambda path: SimpleNamespace(free=free))
    spaces = [f for f in places.examine_places(patient.workspace) if "free" in f.what]
    assert [finding.level for finding in spaces] == [level, level]


def test_older_decoded_data_is_counted(tmp_path: Path, cache_dir: Path) -> None:
    cache = tmp_path / "cache"
    for i, name in enumerate(("digits-a", "digits-b", "birds-c")):
        store = cache / "decoded" / name
        store.mkdir(parents=True)
        (store / "images.npy").write_bytes(bytes(1_000_000 * (i + 1)))
        os.utime(store, (i, i))
    workspace = open_workspace(tmp_path, cache)
    (found,) = [f for f in places.examine_places(workspace) if "decoded" in f.what]
    assert found.level == "ok"
    assert found.what.startswith("3 decoded data sets, 6.0 MB; 1.0 MB are of other sizes")


def test_an_empty_folder_is_sound(tmp_path: Path) -> None:
    workspace = open_workspace(tmp_path, tmp_path / "cache")
    assert examine_workspace(workspace).sound
    assert not list(tmp_path.glob("*.db")), "looking creates nothing"
    with pytest.raises(NotFoundError, match="no study 'tiny'"):
        examine_workspace(workspace, "tiny")


# --- the command ----------------------------------------------------------------------------------------------------


def test_the_command(patient: Patient, finished: CommandLine, cache_dir: Path) -> None:
    cli = CommandLine(patient.folder, cache_dir)
    assert cli.call("doctor").endswith("no faults\n")
    checkpoint_left(patient)
    strange_rows(patient)
    output = cli.call("doctor", "tiny", exit_code=1)
    assert "fault  tiny, trial 0: has ended, and left " in output
    assert output.endswith("3 faults, 2 of which --fix can mend\n")
    output = cli.call("doctor", "--fix", exit_code=1)
    assert "mended tiny, trial 0: removed " in output
    assert output.endswith("1 fault, 0 of which --fix can mend\n")
    data = json.loads(cli.call("doctor", "--json", exit_code=1))
    assert data["sound"] is False
    (fault,) = [finding for finding in data["findings"] if finding["level"] == "fault"]
    assert fault["where"] == "tiny, trial 3"
    assert fault["fixable"] is False
    assert "no study 'none'" in cli.call("doctor", "none", exit_code=2)


# --- a real crash ---------------------------------------------------------------------------------------------------


def test_a_driver_and_its_workers_are_killed(cli: CommandLine, cache_dir: Path) -> None:
    write_study(cli.folder, trials=3, epochs=400, batch_size=16)
    driver = cli.begin("start", "tiny.yaml", "--workers", "1", "--checkpoint-seconds", "0.05")
    home = cli.folder / ".sweeper"
    wait_until(
        lambda: list(home.glob("*/*/trials/*/checkpoint.previous.pt")) or driver.poll() is not None, "checkpoints"
    )
    assert driver.poll() is None, driver.communicate()[0]
    workers = workers_of(driver)
    driver.kill()
    driver.wait()
    wait_until(lambda: not any(worker.is_running() for worker in workers), "the workers' end")
    patient = Patient(cli.folder, cache_dir)
    checkpoint = patient.trial(0).checkpoint
    checkpoint.write_bytes(checkpoint.read_bytes()[:1000])
    problems = {finding.what: finding for finding in patient.problems()}
    assert any("was killed" in what for what in problems)
    assert any(what == "is RUNNING, and nobody drives the study" for what in problems)
    mended = patient.check_mended(n_trials=3, finished=False)
    assert "tiny, trial 0: put back, to be continued" in mended
    assert f"tiny, trial 0: removed {checkpoint}" in mended
    assert json.loads(cli.call("status", "--json"))[0]["state"] == "stopped"
    began = time.monotonic()
    driver = cli.begin("resume", "tiny", "--workers", "1", "--checkpoint-seconds", "0.05")
    wait_until(lambda: checkpoint.exists() or driver.poll() is not None, "its continuing")
    cli.call("stop", "tiny")
    driver.wait(timeout=60)
    assert time.monotonic() - began < 60
    assert [finding for finding in patient.problems() if finding.level == "fault"] == []
