"""`sweeper attack`: how far a trained model can be led astray by changes of its pictures that are hardly seen."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from sweeper.analysis.attack_examples import draw_examples
from sweeper.analysis.attack_pictures import Attack, AttackOptions, attack_pictures
from sweeper.errors import InputError
from sweeper.tracking.analyses import Kept, connect, keep_result
from sweeper.tracking.subject import OnProgress, Subject, config_of, find_run, load_model, open_pictures
from sweeper.training.devices import resolve_device

if TYPE_CHECKING:
    from sweeper.data.dataset import Dataset
    from sweeper.tracking.workspace import Workspace

__all__ = ["attack_run"]

PICTURES = "pictures.png"


def attack_run(
    workspace: Workspace,
    name: str,
    options: AttackOptions,
    *,
    device: str = "cpu",
    on_progress: OnProgress = lambda what, done, total: None,
) -> tuple[dict[str, Any], Kept]:
    """Attack the model of a run and keep what comes of it with the run.

    Args:
        workspace: Where the run is tracked.
        name: See `find_run`.
        options: What is tried.
        device: Where.
        on_progress: Told of each ε.

    Returns:
        The result as plain data, and where it is kept.

    Raises:
        NotFoundError: No such run, or one that kept no model.
        InputError: The options do not fit the run's classes, or the run is no classifier.
        DataError: The pictures are missing or have changed.
        TrackingError: MLflow cannot be reached.
    """
    subject = find_run(workspace, name)
    config = config_of(subject.run, subject.reader)
    if config.task != "classification":
        raise InputError(f"{subject.run.name} of {subject.study.name} is a {config.task}; allowed: classifiers")
    model = load_model(workspace, subject).to(resolve_device(device))
    dataset = open_pictures(workspace, subject.run, config)
    attack = attack_pictures(model, dataset, options, on_progress=on_progress)
    examples, sheet = draw_examples(model, attack, options)
    result = _result(subject, dataset, attack, options, examples)
    kept = keep_result(
        connect(workspace),
        subject.run.run_id,
        kind="attack",
        variant=options.variant,
        result=result,
        files={} if sheet is None else {PICTURES: sheet},
        tags=subject.run.tags,
    )
    return result, kept


def _result(
    subject: Subject, dataset: Dataset, attack: Attack, options: AttackOptions, examples: list[dict[str, Any]]
) -> dict[str, Any]:
    split = dataset.validation if options.part == "val" else dataset.train
    return {
        "analysis": "attack",
        "study": subject.study.name,
        "trial": subject.run.number,
        "run_id": subject.run.run_id,
        "method": options.method,
        "target": options.target,
        "source": options.source,
        "n_steps": 1 if options.method == "fgsm" else options.n_steps,
        "seed": options.seed,
        "part": options.part,
        "labels": "given" if split.true_labels_N is None else "true",
        "n_pictures": len(attack.labels_N),
        "class_names": list(attack.class_names),
        "accuracy": attack.accuracy_rows(),
        "examples": examples,
    }
