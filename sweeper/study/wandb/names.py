"""Which field of a study a name of a W&B sweep stands for. W&B's names are free: these are the usual ones."""

from __future__ import annotations

import re
from collections.abc import Mapping

__all__ = ["FIELDS", "HIDDEN", "LAYERS", "METRICS", "OPTIONS", "WIDTH", "field_of", "metric_of", "option_of"]

HIDDEN = "model.hidden"
WIDTH = "model.hidden, the width of each layer"
LAYERS = "model.hidden, the number of layers"
"""Width and number of hidden layers are one field of a study, the list of their widths."""

FIELDS: Mapping[str, tuple[str, ...]] = {
    "training.optimizer": ("optimizer", "optimizer_name", "optimizer_type", "optimiser", "optim", "opt"),
    "training.optimizer.lr": ("lr", "learning_rate", "learn_rate", "initial_lr", "init_lr", "base_lr"),
    "training.optimizer.weight_decay": ("weight_decay", "wd", "l2_penalty"),
    "training.optimizer.momentum": ("momentum", "sgd_momentum"),
    "training.optimizer.nesterov": ("nesterov",),
    "training.optimizer.betas": ("betas", "adam_betas"),
    "training.batch_size": ("batch_size", "batchsize", "train_batch_size", "bs"),
    "training.epochs": ("epochs", "num_epochs", "n_epochs", "max_epochs", "num_train_epochs"),
    "training.loss": ("loss", "loss_fn", "loss_function", "loss_name", "criterion"),
    "training.loss.label_smoothing": ("label_smoothing", "smoothing"),
    "training.schedule": ("schedule", "scheduler", "lr_schedule", "lr_scheduler"),
    "training.schedule.every": ("step_size", "lr_step_size"),
    "training.schedule.factor": ("lr_gamma", "step_gamma"),
    "training.schedule.warmup_epochs": ("warmup_epochs",),
    "model.network": ("network", "architecture", "arch", "backbone", "model_name", "model"),
    "model.dropout": ("dropout", "dropout_rate", "dropout_prob", "drop_rate", "dropout_p"),
    "model.batch_norm": ("batch_norm", "batchnorm", "use_batch_norm", "use_batchnorm"),
    HIDDEN: ("hidden", "hidden_sizes", "hidden_dims", "layer_sizes", "hidden_layer_sizes"),
    WIDTH: ("hidden_size", "hidden_dim", "hidden_units", "hidden_layer_size", "fc_layer_size", "fc_size", "layer_size"),
    LAYERS: ("num_layers", "n_layers", "num_hidden_layers", "n_hidden_layers"),
    "data.name": ("dataset", "dataset_name"),
    "data.image_size": ("image_size", "img_size", "resolution"),
    "data.validation": ("val_split", "validation_split", "val_fraction"),
    "seed": ("seed", "random_seed"),
}
"""The names, in lower case with `_`, of each field below `trial`. The table of docs/how-to/wandb.md."""

METRICS: Mapping[str, tuple[str, ...]] = {
    "val/loss": ("val_loss", "valid_loss", "validation_loss", "eval_loss"),
    "val/accuracy": (
        *("val_accuracy", "val_acc", "valid_accuracy", "valid_acc", "validation_accuracy", "validation_acc"),
        *("eval_accuracy", "val_top1_accuracy", "val_top_1_accuracy", "val_top1_acc"),
    ),
    "val/balanced_accuracy": ("val_balanced_accuracy", "validation_balanced_accuracy"),
    "val/auc": ("val_auc", "validation_auc", "val_auroc"),
    "train/loss": ("train_loss", "training_loss"),
    "train/accuracy": ("train_accuracy", "train_acc", "training_accuracy"),
}

OPTIONS: Mapping[str, Mapping[str, tuple[str, ...]]] = {
    "training.optimizer": {"adam": (), "adamw": (), "sgd": (), "rmsprop": ()},
    "training.loss": {
        "cross_entropy": ("crossentropyloss", "ce", "categoricalcrossentropy", "sparsecategoricalcrossentropy"),
        "nll": ("nllloss",),
        "mse": ("mseloss", "meansquarederror"),
    },
    "training.schedule": {
        "constant": ("none",),
        "cosine": ("cosineannealing", "cosineannealinglr"),
        "step": ("steplr",),
        "one_cycle": ("onecyclelr",),
    },
}
"""What is chosen by name in a study: each option with further names that it goes by, in lower case, letters only."""

_GROUPS: Mapping[str, str] = {
    **dict.fromkeys(("optimizer", "optim"), "training.optimizer"),
    **dict.fromkeys(("scheduler", "schedule", "lr_scheduler"), "training.schedule"),
    **dict.fromkeys(("training", "train", "trainer"), "training."),
    "model": "model.",
    **dict.fromkeys(("data", "dataset"), "data."),
    **dict.fromkeys(("hyperparameters", "hyperparams", "hparams", "params", "config"), ""),
}
"""Groups of nested parameters, and how the fields begin that the names in them may stand for."""
_OF_NAME = {name: field for field, names in FIELDS.items() for name in names}


def field_of(name: str) -> str | None:
    """The field below `trial` that a parameter stands for, by the table or because it is a path of one."""
    plain = _plain(name).removeprefix("trial.")
    if re.match(r"(data|model|training)\.", plain) and plain not in _OF_NAME:
        head, _, rest = plain.partition(".")
        return _OF_NAME[rest] if _OF_NAME.get(rest, "").startswith(f"{head}.") else plain
    if plain in _OF_NAME:
        return _OF_NAME[plain]
    group, _, rest = plain.partition(".")
    if not rest or group not in _GROUPS:
        return None
    field = _GROUPS[group].rstrip(".") if rest in ("name", "type") else field_of(rest)
    return field if field is not None and field.startswith(_GROUPS[group]) and field in FIELDS else None


def metric_of(name: str) -> str | None:
    """The metric that one of W&B's stands for."""
    plain = re.sub(r"[/.]", "_", _plain(name))
    return next((metric for metric, names in METRICS.items() if plain in names), None)


def option_of(field: str, name: str) -> str | None:
    """The option of a field that is chosen by name: `AdamW` and `torch.optim.AdamW` are adamw."""
    letters = re.sub(r"[^a-z]", "", name.rpartition(".")[2].lower())
    return next(
        (option for option, more in OPTIONS[field].items() if letters in (option.replace("_", ""), *more)), None
    )


def _plain(name: str) -> str:
    """`learningRate`, `learning-rate` and `Learning_Rate` as learning_rate."""
    return re.sub(r"(?<=[a-z0-9])(?=[A-Z])", "_", name).replace("-", "_").lower().replace("__", "_")
