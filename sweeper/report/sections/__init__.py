"""The sections of a study's report, in their order."""

from __future__ import annotations

from collections.abc import Sequence

from sweeper.errors import InputError
from sweeper.report.blocks import Section
from sweeper.report.plugins import find_plugin_sections
from sweeper.report.sections.adversarial import build_adversarial
from sweeper.report.sections.classes import build_classes
from sweeper.report.sections.comparison import build_comparison
from sweeper.report.sections.confusion import build_confusion
from sweeper.report.sections.curves import build_curves
from sweeper.report.sections.effect import build_effect
from sweeper.report.sections.embedding import build_embedding
from sweeper.report.sections.gap import build_gap
from sweeper.report.sections.head import build_head
from sweeper.report.sections.importance import build_importance
from sweeper.report.sections.label_audit import build_label_audit
from sweeper.report.sections.layers import build_layers
from sweeper.report.sections.learning_rate import build_learning_rate
from sweeper.report.sections.outputs import build_outputs
from sweeper.report.sections.pictures import build_pictures
from sweeper.report.sections.promoted import build_promoted
from sweeper.report.sections.search import build_search
from sweeper.report.sections.test import build_test
from sweeper.report.sections.trials import build_all_trials, build_best_trials

__all__ = ["SECTIONS", "choose_sections"]

SECTIONS: tuple[Section, ...] = (
    Section(key="study", title="Study", build=build_head),
    Section(key="pictures", title="Pictures", build=build_pictures),
    Section(key="best", title="Best trials", build=build_best_trials),
    Section(key="test", title="Test", build=build_test),
    Section(key="promoted", title="Continued for longer", build=build_promoted),
    Section(key="curves", title="Learning curves", build=build_curves),
    Section(key="overfitting", title="Over-fitting", build=build_gap),
    Section(key="rates", title="Learning rate", build=build_learning_rate),
    Section(key="outputs", title="Outputs", build=build_outputs),
    Section(key="classes", title="Classes", build=build_classes),
    Section(key="confusion", title="Confusion", build=build_confusion),
    Section(key="comparison", title="Comparison", build=build_comparison),
    Section(key="importance", title="Parameters", build=build_importance, is_long=True),
    Section(key="parameter", title="One parameter", build=build_effect),
    Section(key="search", title="Search", build=build_search),
    Section(key="audit", title="Label audit", build=build_label_audit),
    Section(key="adversarial", title="Adversarial pictures", build=build_adversarial),
    Section(key="embedding", title="Embedding", build=build_embedding),
    Section(key="layers", title="Layers", build=build_layers),
    Section(key="trials", title="All trials", build=build_all_trials),
)


def choose_sections(keys: Sequence[str]) -> tuple[Section, ...]:
    """The sections of some keys, in the report's order; all where none is given. Those of other packages come last.

    Raises:
        InputError: There is no section of a key.
    """
    sections = SECTIONS + find_plugin_sections([section.key for section in SECTIONS])
    known = [section.key for section in sections]
    for key in keys:
        if key not in known:
            raise InputError(f"there is no section {key!r} of a report; sections are {', '.join(known)}")
    return tuple(section for section in sections if not keys or section.key in keys)
