"""Under which names Optuna's database holds what sweeper adds to a study and to its trials."""

from __future__ import annotations

__all__ = [
    "CONFIG_ATTR",
    "DERIVED_ATTR",
    "ENQUEUED_ATTR",
    "N_TRIALS_ATTR",
    "QUEUE_ATTR",
    "REASON_ATTR",
    "REPLICATE_OF_ATTR",
    "SEED_OFFSET_ATTR",
    "STUDY_ATTR",
    "TAGS_ATTR",
    "USER_ATTR",
    "UUID_ATTR",
]

STUDY_ATTR = "sweeper.study"
"""Of a study: its file, as plain data. A study without it is not ours."""
UUID_ATTR = "sweeper.uuid"
N_TRIALS_ATTR = "sweeper.n_trials"
"""Trials after which the search ends."""
USER_ATTR = "sweeper.user"
"""Of a study: name of the user who stored it; empty where the system had none."""
DERIVED_ATTR = "sweeper.final"
"""Of a study that draws no trials of its own: of which study it is, and what was asked for. It is called so since the
first studies of that kind were tests."""
QUEUE_ATTR = "sweeper.queue"
"""Of a study: the parameters of each configuration that a user has asked for, in their order; it only grows."""

ENQUEUED_ATTR = "sweeper.enqueued"
"""Of a trial that a user has asked for: its index in the study's queue."""
CONFIG_ATTR = "sweeper.config"
"""Of a trial whose configuration is not what its parameters give: the configuration, as plain data."""
SEED_OFFSET_ATTR = "sweeper.seed_offset"
"""Of a trial: what its seed is above that of its configuration."""
REPLICATE_OF_ATTR = "sweeper.replicate_of"
TAGS_ATTR = "sweeper.tags"
"""Of its run."""
REASON_ATTR = "sweeper.reason"
"""Why it failed."""
