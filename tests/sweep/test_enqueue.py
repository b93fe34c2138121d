"""`sweeper enqueue`: a configuration is tried next, once, within the budget, whether a driver runs or not."""

from __future__ import annotations

import json
import signal
from types import SimpleNamespace
from typing import Any

import pytest

import sweeper
from sweeper.cli.completion import complete_assignment
from sweeper.errors import InputError
from sweeper.search.optimizer import Optimizer
from sweeper.search.storage import StudyStore
from sweeper.study.study import Study
from sweeper.sweep.api import SilentView
from sweeper.sweep.doctor.examine import examine_workspace
from sweeper.sweep.enqueue import enqueue
from sweeper.sweep.progress import TrialEnded
from sweeper.sweep.start import prepare
from sweeper.sweep.status import study_statuses
from sweeper.tracking.workspace import Workspace
from tests.sweep.accounts import check_accounts
from tests.sweep.conftest import CommandLine
from tests.sweep.studies import LR, study_dict, write_study

OPTIMIZERS = {
    "choice": [{"name": "adam", "lr": LR}, {"name": "sgd", "lr": LR, "momentum": {"float": [0.0, 0.9]}}],
}
INLINE = ("--launcher", "inline", "--devices", "cpu", "--quiet")


def small(**parts: Any) -> Study:
    training = {"optimizer": OPTIMIZERS, "epochs": 1, "batch_size": {"choice": [64, 128, 256]}}
    return Study.model_validate(study_dict(training=training, **parts))


def store_of(workspace: Workspace) -> StudyStore:
    return StudyStore(workspace.storage_url)


def ask_all(workspace: Workspace) -> list[Any]:
    """What a driver would try, without training it."""
    optimizer = Optimizer(store_of(workspace), "tiny")
    proposals = []
    while not optimizer.exhausted:
        proposals.append(optimizer.ask())
        optimizer.tell(proposals[-1].number, "COMPLETE", 0.5)
    optimizer.close()
    return proposals


def test_what_is_asked_for_comes_next_and_the_rest_is_drawn(workspace: Workspace) -> None:
    prepare(workspace, small(trials=4))
    first = enqueue(workspace, "tiny", ["optimizer=sgd", "lr=0.005"])
    second = enqueue(workspace, "tiny", ["batch_size=64"])
    assert (first.n_ahead, second.n_ahead) == (0, 1)
    assert (first.n_missing, second.n_missing, first.owner) == (0, 0, None)
    (status,) = study_statuses(workspace)
    assert (status.n_enqueued, status.n_missing) == (2, 0)
    proposals = ask_all(workspace)
    assert study_statuses(workspace)[0].n_enqueued == 0
    assert len(proposals) == 4
    assert proposals[0].params["training.optimizer"] == "sgd"
    assert proposals[0].params["training.optimizer[sgd].lr"] == 0.005
    assert 0.0 <= proposals[0].params["training.optimizer[sgd].momentum"] <= 0.9
    assert proposals[1].config.training.batch_size == 64
    assert [proposal.tags for proposal in proposals] == [{"sweeper.enqueued": "true"}] * 2 + [{}] * 2
    assert store_of(workspace).read("tiny").n_queued == 0


def test_after_a_crash_it_is_tried_once(workspace: Workspace) -> None:
    prepare(workspace, small(trials=3))
    enqueue(workspace, "tiny", ["batch_size=64"])
    enqueue(workspace, "tiny", ["batch_size=256"])
    lost = Optimizer(store_of(workspace), "tiny")
    lost.abandon()
    assert lost.ask().config.training.batch_size == 64  # never stored
    stored = Optimizer(store_of(workspace), "tiny")
    assert stored.ask().config.training.batch_size == 64
    stored.close()
    again = Optimizer(store_of(workspace), "tiny")
    again.requeue(0)
    assert [again.ask().config.training.batch_size for _ in range(2)] == [64, 256]
    assert again.ask().tags == {}
    assert again.exhausted
    again.close()


@pytest.mark.parametrize("place", ["mirror.written", "driver.asked", "driver.ended"])
def test_a_driver_that_dies_tries_it_once_all_the_same(place: str, cli: CommandLine, workspace: Workspace) -> None:
    prepare(workspace, small(trials=2))
    enqueue(workspace, "tiny", ["batch_size=256", "optimizer=adam"])
    cli.environment["SWEEPER_FAILPOINTS"] = f"{place}=kill"
    cli.run("resume", "tiny", *INLINE, exit_code=-signal.SIGKILL)
    del cli.environment["SWEEPER_FAILPOINTS"]
    cli.call("resume", "tiny", *INLINE)
    trials = check_accounts(cli.folder, n_trials=2).trials
    assert [trial.params["training.batch_size"] for trial in trials].index("256") == 0
    assert ["sweeper.enqueued" in trial.tags for trial in trials] == [True, False]


def test_each_seed_of_it_is_tried(workspace: Workspace) -> None:
    prepare(workspace, small(budget={"trials": 2, "seeds": 3}))
    assert enqueue(workspace, "tiny", ["batch_size=64"]).n_missing == 0
    assert enqueue(workspace, "tiny", ["batch_size=128"]).n_missing == 0
    assert enqueue(workspace, "tiny", ["batch_size=256"]).n_missing == 3
    assert study_statuses(workspace)[0].n_missing == 3
    configs = [proposal.config for proposal in ask_all(workspace)]
    assert [(config.training.batch_size, config.seed) for config in configs] == [
        *((64, seed) for seed in range(3)),
        *((128, seed) for seed in range(3)),
    ]


def test_what_is_beyond_the_budget_waits_for_more(workspace: Workspace) -> None:
    study = small(trials=1)
    prepare(workspace, study)
    assert enqueue(workspace, "tiny", ["batch_size=64"]).n_missing == 0
    assert enqueue(workspace, "tiny", ["batch_size=256"]).n_missing == 1
    assert len(ask_all(workspace)) == 1
    (status,) = study_statuses(workspace)
    assert (status.state, status.n_enqueued, status.n_missing) == ("finished", 1, 1)
    assert ask_all(workspace) == []
    prepare(workspace, study, more_trials=1)
    (proposal,) = ask_all(workspace)
    assert (proposal.number, proposal.config.training.batch_size) == (1, 256)


def test_values_of_a_trial_are_taken_over(workspace: Workspace) -> None:
    prepare(workspace, small(trials=2))
    enqueue(workspace, "tiny", ["optimizer=sgd", "batch_size=64", "lr=0.005", "momentum=0.5"])
    ask_all(workspace)
    same = enqueue(workspace, "tiny", ["momentum=0.25"], like=0)
    assert same.params == {
        "training.batch_size": 64,
        "training.optimizer": "sgd",
        "training.optimizer[sgd].lr": 0.005,
        "training.optimizer[sgd].momentum": 0.25,
    }
    with pytest.raises(InputError, match="--from: given 2; allowed: numbers of trials of tiny, 0 to 1"):
        enqueue(workspace, "tiny", [], like=2)


def test_a_point_of_a_grid_is_tried_once(workspace: Workspace) -> None:
    training = {"optimizer": "adam", "batch_size": {"choice": [64, 128, 256]}, "epochs": 1}
    prepare(workspace, Study.model_validate(study_dict(training=training, sampler="grid", budget={})))
    enqueue(workspace, "tiny", ["batch_size=256"])
    with pytest.raises(InputError, match="waits already; a grid tries each point once"):
        enqueue(workspace, "tiny", ["batch_size=256"])
    sizes = [proposal.config.training.batch_size for proposal in ask_all(workspace)]
    assert sizes[0] == 256
    assert sorted(sizes) == [64, 128, 256]
    with pytest.raises(InputError, match=r"is trial \d; a grid tries each point once"):
        enqueue(workspace, "tiny", ["batch_size=64"])


def test_values_that_do_not_go_together_are_refused(workspace: Workspace) -> None:
    schedule = {"name": "cosine", "warmup_epochs": {"int": [0, 1]}}
    training = {"optimizer": "adam", "epochs": {"int": [2, 3]}, "schedule": schedule}
    prepare(workspace, Study.model_validate(study_dict(training=training)))
    with pytest.raises(InputError, match=r"training.epochs: given 1; allowed: an integer from 2 to 3"):
        enqueue(workspace, "tiny", ["epochs=1"])
    with pytest.raises(InputError, match="nothing is given; allowed: path=value"):
        enqueue(workspace, "tiny", [])
    assert store_of(workspace).read("tiny").queue == ()


def test_a_driver_that_runs_takes_it_up_next(workspace: Workspace) -> None:
    class Asking(SilentView):
        """Asks for two configurations when the first trial has ended."""

        def __init__(self) -> None:
            self.ended: list[TrialEnded] = []

        def trial_ended(self, trial: TrialEnded) -> None:
            self.ended.append(trial)
            if trial.number == 0:
                for size in (256, 64):
                    queued = enqueue(workspace, "tiny", [f"batch_size={size}", "optimizer=sgd", "lr=0.005"])
                    assert queued.owner is not None

    view = Asking()
    result = sweeper.start(small(trials=4), launcher="inline", devices=["cpu"], workspace=workspace, view=view)
    assert result.finished
    assert [trial.number for trial in view.ended] == [0, 1, 2, 3]
    asked = [trial.params for trial in view.ended[1:3]]
    assert [params["training.batch_size"] for params in asked] == [256, 64]
    assert all(params["training.optimizer[sgd].lr"] == 0.005 for params in asked)
    assert sweeper.runs("tiny", workspace=workspace)["training.batch_size"].to_dict()[1] == 256
    examination = examine_workspace(workspace, "tiny")
    assert [finding.what for finding in examination.findings if finding.level == "fault"] == []


def test_the_command(cli: CommandLine) -> None:
    training = {"optimizer": OPTIMIZERS, "epochs": 1}
    study = write_study(cli.folder, trials=1, training=training)
    cli.call("start", str(study), *INLINE)
    said = cli.call("enqueue", "tiny", "optimizer=sgd", "lr=0.005").splitlines()
    assert said == [
        "tiny tries next: training.optimizer=sgd, training.optimizer.lr=0.005",
        "its budget of 1 trial is spent; add to it: sweeper start FILE --trials 1, or: sweeper resume tiny --trials 1",
    ]
    queued = json.loads(cli.call("enqueue", "tiny", "--from", "0", "--json"))
    assert set(queued["values"]) >= {"training.optimizer", "training.optimizer.lr"}
    assert (queued["n_ahead"], queued["is_running"], queued["n_trials_missing"]) == (1, False, 2)
    head, _, row, hint = cli.call("status").splitlines()
    assert head.split() == ["study", "state", "done", "pruned", "failed", "left", "best", "trial", "metric", "enqueued"]
    cells = row.split()
    assert (cells[:6], cells[-3:]) == (["tiny", "finished", "1", "0", "0", "0"], ["0", "val/accuracy", "2"])
    assert hint == "tiny: what is enqueued is tried by: sweeper resume tiny --trials 2"
    assert json.loads(cli.call("status", "--json"))[0]["n_enqueued"] == 2
    refused = cli.call("enqueue", "tiny", "lr=5", exit_code=2)
    assert refused == (
        "error: training.optimizer.lr: given 5; allowed: 0.001 to 0.01 (with training.optimizer = adam)\n"
    )
    cli.call("resume", "tiny", "--trials", "2", *INLINE)
    runs = json.loads(cli.call("runs", "tiny", "--json"))
    assert [run["number"] for run in runs] == [0, 1, 2]
    assert runs[1]["params"]["training.optimizer.lr"] == 0.005
    assert runs[1]["tags"]["sweeper.enqueued"] == "true"
    assert runs[2]["params"] == runs[0]["params"]
    assert "enqueued" not in cli.call("status")


def test_parameters_and_options_are_completed(workspace: Workspace, monkeypatch: pytest.MonkeyPatch) -> None:
    prepare(workspace, small())
    monkeypatch.chdir(workspace.root)
    monkeypatch.delenv("SWEEPER_STORAGE", raising=False)
    context: Any = SimpleNamespace(params={"name": "tiny"})

    def complete(incomplete: str) -> list[str]:
        return complete_assignment(context, incomplete)

    assert complete("training.b") == ["training.batch_size="]
    assert complete("training.optimizer.") == ["training.optimizer.lr=", "training.optimizer.momentum="]
    assert complete("training.optimizer=") == ["training.optimizer=adam", "training.optimizer=sgd"]
    context.params = {"name": "other"}
    assert complete("t") == []
