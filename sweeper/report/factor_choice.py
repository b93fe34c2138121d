"""Which factor of a study is compared, and why one cannot be."""

from __future__ import annotations

from sweeper.errors import InputError
from sweeper.report.effect import choose_parameter, resolve_parameter
from sweeper.report.factor import N_VALUES, Factor
from sweeper.report.levels import CONFIGURATION
from sweeper.report.study_data import StudyData

__all__ = ["open_factor"]


def open_factor(
    data: StudyData, name: str | None = None, *, metric: str | None = None, part: str | None = None
) -> Factor:
    """A factor that varied, to be compared by its values.

    Args:
        data: The study.
        name: Its path or the end of it. Default: see `choose_parameter`.
        metric: The measure by which values are compared. Default: the study's objective.
        part: Instead of a metric, `val` or `test`: the quantity of the objective in this part.

    Raises:
        InputError: No parameter of that name varied, it has too many values, or no two trials can be compared.
    """
    study = data.record.name
    if part is not None:
        if metric is not None:
            raise InputError(f"--on and --metric: given both; the metric names its part already: {metric}")
        if part not in ("val", "test"):
            raise InputError(f"--on: given {part!r}; allowed: val, test")
        metric = f"{part}/{data.objective.metric.partition('/')[2]}"
    if not data.factors:
        raise InputError(f"{study}: nothing varied between its trials, so that there are no values to compare")
    varied = f"varied has: {', '.join(data.factors)}"
    path = choose_parameter(data) if name is None else resolve_parameter(data, name)
    if path is None:
        given = f"given {name!r}" if name is not None else "needed, since several parameters varied"
        raise InputError(f"--factor: {given}; {varied}")
    factor = Factor(data, path, metric=metric)
    if len(factor.values) > N_VALUES:
        raise InputError(
            f"--factor: {path} has {len(factor.values)} values, more than {N_VALUES}; "
            f"see what it did with `sweeper report {study} --by {path}`; {varied}"
        )
    if not factor.is_comparable:
        raise InputError(f"--factor: {path} cannot be compared: {_why_not(factor)}; {varied}")
    return factor


def _why_not(factor: Factor) -> str:
    data = factor.data
    if len(factor.ranked) < 2:
        return f"{factor.metric} was measured of {len(factor.ranked)} of its values"
    what = "test" if factor.metric.startswith("test/") else "complete trial"
    shared = ", ".join(["seed", *(data.labels[path] for path in factor.others)])
    why = f"no {what} has a partner with another value and the same {shared}"
    if data.study.sampler.name != "grid":
        why += f"; a grid gives such, and `sweeper report {data.record.name} --by {factor.path}` shows trends without"
    if factor.path != CONFIGURATION and data.has_seeds and Factor(data, CONFIGURATION).is_comparable:
        why += f"; `--factor {CONFIGURATION}` compares all that varied together"
    return why
