"""Which leaves of the configuration differ between the trials of a study."""

from __future__ import annotations

from sweeper.study.config import trial_config
from sweeper.study.flatten import flatten
from sweeper.study.space import RandomSuggester
from sweeper.study.study import Study

__all__ = ["varied_params"]

N_DRAWS = 64


def varied_params(study: Study) -> list[str]:
    """Dotted paths of the leaves that vary, as they are tracked, in the order of the configuration.

    Found by drawing: of a choice between branches it is the branch's `name` that varies, of a list its items.
    """
    draws = [study.trial.draw(RandomSuggester(seed)).tree for seed in range(N_DRAWS)]
    leaves = [flatten(trial_config(tree).model_validate(tree).model_dump(mode="json")) for tree in draws]
    paths = dict.fromkeys(path for flat in leaves for path in flat)
    return [path for path in paths if len({repr(flat[path]) for flat in leaves if path in flat}) > 1]
