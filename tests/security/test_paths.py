"""Names from databases lead nowhere, and links are not gone through."""

from __future__ import annotations

import json
import shutil
import sqlite3
from contextlib import closing
from pathlib import Path

import pytest

import sweeper
from sweeper.errors import InputError, SweeperError, TrackingError
from sweeper.report.write import default_folder
from sweeper.search.attributes import N_TRIALS_ATTR, STUDY_ATTR, UUID_ATTR
from sweeper.search.storage import StudyStore
from sweeper.study.study import Study
from sweeper.tracking.reading import open_reader
from sweeper.tracking.workspace import Workspace
from tests.sweep.conftest import CommandLine
from tests.sweep.studies import study_dict, write_study

HOSTILE = ["..", "../../x", "/etc/x", ".hidden", "a/b", "a\\b", "x\n", "x\0y", "-rf", "é", ""]


def plant(url: str, name: str, *, uuid: object = "0" * 32, inner: str | None = None) -> None:
    """A study as someone with access to the database might write it."""
    storage = StudyStore(url).storage
    study_id = storage.create_new_study([], name)
    storage.set_study_user_attr(study_id, UUID_ATTR, uuid)
    storage.set_study_user_attr(study_id, N_TRIALS_ATTR, 3)
    storage.set_study_user_attr(study_id, STUDY_ATTR, {**study_dict(), "name": inner or name})


COMMANDS = ("status", "resume", "stop", "watch", "sync", "delete", "doctor", "report", "runs", "best")


@pytest.fixture
def precious(cli: CommandLine) -> Path:
    """A file outside of the workspace's folders that hostile names lead to."""
    target = cli.folder.parent / "x"
    target.mkdir()
    (target / "precious").write_text("precious")
    return target / "precious"


def call(cli: CommandLine, command: str, name: str) -> str:
    options = {"delete": ["--yes"], "resume": ["--launcher", "inline"]}.get(command, [])
    return cli.call(command, *options, "--", name, exit_code=None)


@pytest.mark.parametrize("name", ["../../x", "..", "a/b"])
def test_a_hostile_study_name(cli: CommandLine, workspace: Workspace, precious: Path, name: str) -> None:
    plant(workspace.storage_url, name, inner="tiny" if name == "a/b" else None)
    before = {
        path: path.read_bytes() for path in cli.folder.parent.rglob("*") if path.is_file() and "db" not in path.suffix
    }
    for command in COMMANDS:
        output = call(cli, command, name)
        assert "Traceback" not in output, output
    assert json.loads(cli.call("status", "--json")) == []
    cli.call("doctor", "--fix")
    assert cli.call("sync") == ""
    assert all(path.read_bytes() == content for path, content in before.items())
    assert precious.read_text() == "precious"
    assert not (cli.folder / ".sweeper" / "a").exists()


@pytest.mark.parametrize("uuid", ["../../../x", "", "0" * 31, 7, None])
def test_a_hostile_study_id(cli: CommandLine, workspace: Workspace, precious: Path, uuid: object) -> None:
    plant(workspace.storage_url, "tiny", uuid=uuid)
    for command in ("status", "resume", "stop", "watch", "sync", "delete", "doctor"):
        output = call(cli, command, "tiny")
        assert "Traceback" not in output, output
        assert "which sweeper did not make" in output
    assert precious.read_text() == "precious"


def test_a_study_that_is_stored_under_the_name_of_another(cli: CommandLine, workspace: Workspace) -> None:
    plant(workspace.storage_url, "tiny", inner="other")
    assert "is stored with the name 'other'" in call(cli, "resume", "tiny")


def test_a_stored_study_that_cannot_be_read(cli: CommandLine, workspace: Workspace) -> None:
    plant(workspace.storage_url, "tiny")
    storage = StudyStore(workspace.storage_url).storage
    storage.set_study_user_attr(
        storage.get_study_id_from_name("tiny"), STUDY_ATTR, {**study_dict(), "sampler": "os.system"}
    )
    for command in ("resume", "delete", "doctor"):
        output = call(cli, command, "tiny")
        assert "Traceback" not in output
        assert "cannot be read" in output
    # Status reads the objective alone, and nothing of what else is wrong.
    [status] = json.loads(cli.call("status", "--json"))
    assert (status["name"], status["state"], status["n_trials"]) == ("tiny", "stopped", 3)


@pytest.mark.parametrize("name", HOSTILE)
def test_no_path_is_made_of_a_hostile_name(tmp_path: Path, name: str) -> None:
    workspace = Workspace.from_environment(tmp_path, {})
    with pytest.raises(InputError, match="name of a study: given "):
        workspace.study_files(name, "0" * 32)
    with pytest.raises(InputError, match="name of a study: given "):
        default_folder(["tiny", name])
    with pytest.raises(InputError, match="with the id "):
        workspace.study_files("tiny", name)


# --- links ----------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "place",
    [
        ".",
        "../.locks",
        "driver.json",
        "stop",
        "progress.json",
        "workers",
        "{uuid}",
        "{uuid}/study.json",
        "{uuid}/trials",
        "{uuid}/trials/00000",
        "{uuid}/trials/00001",
        "{uuid}/trials/00000/artifacts",
        "{uuid}/trials/00000/outbox.jsonl",
    ],
)
def test_nothing_is_written_through_a_link(
    cli: CommandLine, swept: Path, workspace: Workspace, tmp_path: Path, place: str
) -> None:
    (uuid,) = (path.name for path in swept.iterdir() if len(path.name) == 32)
    path = swept / place.format(uuid=uuid)
    elsewhere = tmp_path / "elsewhere"
    if path.exists():
        path.rename(elsewhere)
    elif path.suffix:
        elsewhere.write_text("precious")
    else:
        elsewhere.mkdir()
    path.symlink_to(elsewhere)
    before = contents(elsewhere)
    with pytest.raises(SweeperError, match="sweeper goes through no links"):
        sweeper.start(
            Study.model_validate(study_dict(trials=1, epochs=1, keep_models=1)),
            trials=1,
            launcher="inline",
            workspace=workspace,
        )
    cli.call("doctor", "--fix", exit_code=1)
    if "trials/" not in place:
        assert "sweeper goes through no links" in cli.call("delete", "tiny", "--yes", exit_code=None)
    assert contents(elsewhere) == before


def contents(place: Path) -> dict[str, bytes]:
    files = [place] if place.is_file() else [path for path in place.rglob("*") if path.is_file()]
    return {str(path): path.read_bytes() for path in files if path.suffix != ".lock"}


def test_deleting_a_study_leaves_alone_what_a_link_in_it_leads_to(
    cli: CommandLine, swept: Path, tmp_path: Path
) -> None:
    precious = tmp_path / "precious"
    precious.mkdir()
    (precious / "file").write_text("precious")
    trial = next(swept.glob("*/trials/00000"))
    (trial / "link").symlink_to(precious)
    cli.call("delete", "tiny", "--yes")
    assert not swept.exists()
    assert (precious / "file").read_text() == "precious"


def test_a_linked_artifact_is_neither_sent_nor_read(
    cli: CommandLine, swept: Path, workspace: Workspace, tmp_path: Path
) -> None:
    secret = tmp_path / "secret"
    secret.write_text("secret")
    reader = open_reader(workspace.tracking_uri)
    (run,) = reader.read_study("tiny").runs
    folder = Path(run.artifact_uri.removeprefix("file://").replace("%20", " "))
    assert folder.is_dir()
    (folder / "confusion.json").unlink()
    (folder / "confusion.json").symlink_to(secret)
    with pytest.raises(TrackingError, match="leads out of the run's artifacts"):
        reader.read_artifact(run, "confusion.json")
    (folder / "confusion.json").unlink()
    trial = next(swept.glob("*/trials/00000"))
    (trial / "artifacts" / "key.txt").symlink_to(secret)
    tracked = json.loads((trial / "tracked.json").read_text())
    (trial / "tracked.json").write_text(json.dumps({**tracked, "state": "RUNNING"}))
    cli.call("sync", "tiny")
    assert json.loads((trial / "tracked.json").read_text())["state"] == "COMPLETE"
    assert not list((cli.folder / "mlruns").rglob("key.txt"))


@pytest.mark.parametrize("path", ["../../x", "/etc/passwd", "a/../../../x"])
def test_artifact_paths_that_lead_out(swept: Path, workspace: Workspace, path: str) -> None:
    reader = open_reader(workspace.tracking_uri)
    (run,) = reader.read_study("tiny").runs
    with pytest.raises(TrackingError, match="leads out of the run's artifacts"):
        reader.read_artifact(run, path)


def test_an_experiment_of_a_hostile_name(cli: CommandLine, swept: Path) -> None:
    with closing(sqlite3.connect(cli.folder / "mlflow.db")) as connection, connection:
        connection.execute("UPDATE experiments SET name = '../../x' WHERE name = 'tiny'")
    output = cli.call("report", "../../x", exit_code=2)
    assert "say where the report goes with --out" in output
    assert not (cli.folder.parent / "x").exists()
    shutil.rmtree(cli.folder / "reports", ignore_errors=True)
    cli.call("report", "../../x", "--out", "reports/safe")
    written = set(cli.folder.parent.rglob("index.html"))
    assert written == {cli.folder / "reports" / "safe" / "index.html"}


def test_a_study_file_names_no_code(cli: CommandLine) -> None:
    write_study(cli.folder)
    for field, value in (
        ("trial.model.name", "os.system"),
        ("sampler.name", "os:system"),
        ("trial.training.optimizer.name", "torch.optim.Adam"),
        ("trial.training.loss", "{name: cross_entropy, module: os}"),
    ):
        output = cli.call("check", "tiny.yaml", "--set", f"{field}={value}", exit_code=2)
        assert "allowed" in output
