"""`TrialConfig`: a plain, typed, frozen description of one training.

A study file holds the same tree with distributions in it (see `sweeper.study.space`). The text under each field is its
documentation: it goes into the JSON Schema and from there into docs/study-file.md.
"""

from sweeper.study.config.base import *  # noqa: F403
from sweeper.study.config.custom import *  # noqa: F403
from sweeper.study.config.data import *  # noqa: F403
from sweeper.study.config.models import *  # noqa: F403
from sweeper.study.config.training import *  # noqa: F403
from sweeper.study.config.trial import *  # noqa: F403
