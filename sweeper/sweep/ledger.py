"""The files by which a driver says what becomes of each trial; the recorder makes the tracker follow them."""

from __future__ import annotations

import heapq
import shutil
import time
from collections.abc import Mapping, Sequence
from typing import Any

from sweeper.search.optimizer import Optimizer, Proposal
from sweeper.search.storage import TrialRecord
from sweeper.study.flatten import flatten
from sweeper.sweep.attempts import Attempts
from sweeper.tracking.derived import describe_source
from sweeper.tracking.outbox import OutboxWriter, read_released
from sweeper.tracking.workspace import StudyFiles, TrialFiles, read_json, write_json

__all__ = ["Ledger"]


class Ledger:
    """Writes the driver's part of the files of a study's trials.

    Args:
        optimizer: The study.
        files: Its files.
        tags: Tags of every run: host, commit, versions.
    """

    def __init__(self, optimizer: Optimizer, files: StudyFiles, tags: Mapping[str, str]) -> None:
        self._optimizer = optimizer
        self._files = files
        self._tags = tags
        self._objective = optimizer.study.objective
        self._values: dict[int, float] = {
            t.number: t.value for t in optimizer.trials() if t.state == "COMPLETE" and t.value is not None
        }
        self._with_model = set(self._values)
        """Trials whose models have not been deleted; at the beginning some may have been."""
        self.kept_from = self._kept_from(self.best_numbers())
        """The value that a trial must reach for its model to be kept; None as long as there is room for any."""

    def begin(self, proposal: Proposal, attempts: Attempts) -> None:
        """A trial is about to be dispatched."""
        files = self._files.trial(proposal.number)
        if not files.trial.exists():
            params = flatten(proposal.config.model_dump(mode="json"))
            write_json(
                files.trial,
                {
                    "key": f"{self._optimizer.uuid}/{proposal.number}",
                    "name": f"trial-{proposal.number:03d}",
                    "start_time_ms": time.time_ns() // 1_000_000,
                    "params": params,
                    "drawn": dict(proposal.params),
                    "tags": {
                        **self._tags,
                        **proposal.tags,
                        "sweeper.number": str(proposal.number),
                        "sweeper.state": "RUNNING",
                        "sweeper.attempt": "1",
                        "mlflow.note.content": _describe(proposal.params, proposal.tags),
                    },
                },
                durable=False,  # it is made again where it is missing
            )
        attempts.write(files)
        files.end.unlink(missing_ok=True)

    def put_back(self, number: int) -> None:
        """A trial waits to be continued."""
        files = self._files.trial(number)
        if files.trial.exists():
            write_json(files.end, {"state": "WAITING"})

    def fail(self, number: int, reason: str, error: str, details: str, attempts: Attempts) -> dict[str, Any]:
        """A trial is given up. Returns its outcome; all rows that it recorded are released.

        Args:
            number: Of the trial.
            reason: Of what kind its failure is.
            error: What the last attempt ended with, in a line.
            details: All that is known of that: a traceback, or what the worker printed last.
            attempts: All attempts at it.
        """
        files = self._files.trial(number)
        files.artifacts.mkdir(parents=True, exist_ok=True)
        (files.artifacts / "traceback.txt").write_text(details, encoding="utf-8")
        outbox = OutboxWriter(files.outbox, checkpoint_epoch=2**31)
        outbox.release()
        outbox.close()
        outcome = {
            "state": "FAIL",
            "value": None,
            "reason": reason,
            "end_time_ms": time.time_ns() // 1_000_000,
            "tags": {
                "sweeper.attempt": str(attempts.n_started),
                "sweeper.reason": reason,
                "sweeper.error": error.partition("\n")[0],
            },
        }
        write_json(files.outcome, outcome)
        return outcome

    def end(self, number: int, outcome: Mapping[str, Any]) -> None:
        """A trial has ended, and Optuna knows."""
        files = self._files.trial(number)
        value = outcome["value"]
        tags = dict(outcome["tags"])
        if outcome["state"] != "FAIL" and value is not None:
            tags["sweeper.value"] = repr(value)
        start_time_ms = (read_json(files.trial) or {}).get("start_time_ms", 0)
        end_time_ms = max(outcome["end_time_ms"], start_time_ms)  # the clock may have been set back
        end = {"state": outcome["state"], "end_time_ms": end_time_ms, "tags": tags}
        write_json(files.end, end, durable=False)  # it is made again where it is missing
        shutil.rmtree(files.of_loop, ignore_errors=True)
        files.checkpoint.unlink(missing_ok=True)
        files.previous_checkpoint.unlink(missing_ok=True)
        if outcome["state"] != "COMPLETE":
            _drop(files)
            return
        self._values[number] = value
        self._with_model.add(number)
        self._drop_models()

    def _drop_models(self) -> None:
        """Only the best k trials keep their models, and what they can be continued from."""
        numbers = self.best_numbers()
        best = set(numbers)
        for number in self._with_model - best:
            _drop(self._files.trial(number))
        self._with_model &= best
        self.kept_from = self._kept_from(numbers)

    def _kept_from(self, best_numbers: Sequence[int]) -> float | None:
        is_full = len(best_numbers) == self._optimizer.study.keep_models
        return self._values[best_numbers[-1]] if best_numbers and is_full else None

    def best_numbers(self) -> list[int]:
        """The best k complete trials, the best first."""
        sign = -1 if self._objective.maximize else 1
        n_best = self._optimizer.study.keep_models
        return heapq.nsmallest(n_best, self._values, key=lambda n: (sign * self._values[n], n))

    def publish_models(self) -> list[int]:
        """Have the models of the best k trials made artifacts. Returns these trials."""
        numbers = [n for n in self.best_numbers() if self._files.trial(n).model.exists()]
        for number in numbers:
            self._files.trial(number).publish.touch()
        return numbers

    def recover(self) -> list[int]:
        """Bring trials that a dead driver left behind into a state from which the sweep goes on.

        Returns:
            The trials that the tracker should look at.
        """
        touched: list[int] = []
        for trial in self._optimizer.trials():
            files = self._files.trial(trial.number)
            if trial.state == "RUNNING":
                outcome = read_json(files.outcome)
                if outcome is None:
                    self._optimizer.requeue(trial.number)
                    self.put_back(trial.number)
                else:
                    rows, _ = read_released(files.outbox)
                    reports = {row.epoch: row.values[self._objective.metric] for row in rows}
                    self._optimizer.add_reports(trial.number, reports)  # a crash may have kept them from its database
                    self._optimizer.tell(trial.number, outcome["state"], outcome["value"], outcome["reason"] or None)
                    self.end(trial.number, outcome)
                touched.append(trial.number)
            elif trial.finished and files.trial.exists() and not _has_ended(files):
                self.end(trial.number, read_json(files.outcome) or _outcome_of(trial))
                touched.append(trial.number)
        return touched


def _drop(files: TrialFiles) -> None:
    files.model.unlink(missing_ok=True)
    files.last.unlink(missing_ok=True)


def _has_ended(files: TrialFiles) -> bool:
    end = read_json(files.end)
    return end is not None and end["state"] != "WAITING"


def _outcome_of(trial: TrialRecord) -> dict[str, Any]:
    """The outcome of a trial that only Optuna remembers."""
    end_time_ms = time.time_ns() // 1_000_000 if trial.end is None else int(trial.end.timestamp() * 1000)
    reason = trial.attrs.get("sweeper.reason", "")
    tags = {"sweeper.reason": reason} if reason else {}
    return {"state": trial.state, "value": trial.value, "reason": reason, "end_time_ms": end_time_ms, "tags": tags}


def _describe(params: Mapping[str, Any], tags: Mapping[str, str]) -> str:
    """What was drawn, and for which trial, for the run's description in MLflow's UI (Markdown)."""
    lines = [
        f"- `{name}`: {value:.4g}" if isinstance(value, float) else f"- `{name}`: {value}"
        for name, value in params.items()
    ]
    drawn = "\n".join(lines) or "No parameter varies in this study."
    source = describe_source(tags)
    return f"{source}\n\n{drawn}" if source else drawn
