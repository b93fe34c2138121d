"""The files of trials, as a driver and a worker write them."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from sweeper.tracking.outbox import OutboxWriter, Row
from sweeper.tracking.recording import StudyInfo
from sweeper.tracking.tracker import RunInfo
from sweeper.tracking.workspace import StudyFiles, TrialFiles, write_json

UUID = "0f8e"
PARAMS = {"training.optimizer.lr": 1e-3, "model.hidden": [16, 8], "seed": 0, "data.augment": [], "model.name": "mlp"}


def study_files(folder: Path, uuid: str = UUID) -> StudyFiles:
    return StudyFiles(folder=folder / "birds", uuid=uuid, lock=folder / "study.lock")


def study_info(folder: Path, uuid: str = UUID, *, study: dict[str, Any] | None = None, start: int = 1000) -> StudyInfo:
    """What the tracker shows of a study; writes its `study.json`."""
    path = study_files(folder, uuid).folder / uuid / "study.json"
    write_json(path, study or {"name": "birds", "objective": {"metric": "val/accuracy"}})
    return StudyInfo(
        name="birds",
        uuid=uuid,
        experiment_tags={"sweeper.study": "birds"},
        run=RunInfo(
            key=uuid,
            name="birds",
            start_time_ms=start,
            params={"sampler": "tpe"},
            tags={"sweeper.role": "study", "sweeper.study_uuid": uuid},
        ),
        artifacts=(path,),
    )


def rows(first: int, last: int) -> list[Row]:
    """The rows of some epochs."""
    return [
        Row(epoch=e, timestamp_ms=5000 + e, values={"objective": e / 10, "val/accuracy": e / 10, "lr": 0.1})
        for e in range(first, last + 1)
    ]


def begin_trial(files: TrialFiles, number: int = 0, uuid: str = UUID) -> None:
    """A trial that is dispatched."""
    write_json(
        files.trial,
        {
            "key": f"{uuid}/{number}",
            "name": f"trial-{number:03d}",
            "start_time_ms": 2000 + number,
            "params": PARAMS,
            "tags": {"sweeper.number": str(number), "sweeper.state": "RUNNING"},
        },
    )


def train_trial(files: TrialFiles, first: int, last: int) -> None:
    """Epochs whose rows are released."""
    writer = OutboxWriter(files.outbox, checkpoint_epoch=first - 1)
    for each in rows(first, last):
        writer.append(each)
    writer.release()
    writer.close()


def end_trial(files: TrialFiles, state: str = "COMPLETE", *, publish: bool = True) -> None:
    """A trial that has ended, with its artifacts and its model."""
    write_json(files.artifacts / "confusion.json", {"class_names": ["a", "b"], "val": [[1, 2], [3, 4]]})
    write_json(files.artifacts / "model.json", {"model": {"name": "mlp"}})
    files.model.write_bytes(b"weights")
    if publish:
        files.publish.touch()
    write_json(files.end, {"state": state, "end_time_ms": 9000, "tags": {"sweeper.best_epoch": "3"}})
