"""`Study`: what to search, by which sampler and pruner, for how long."""

from __future__ import annotations

from typing import Annotated, Any, Literal, TypeAlias

from pydantic import (
    AfterValidator,
    BeforeValidator,
    ConfigDict,
    Field,
    ModelWrapValidatorHandler,
    ValidationError,
    WithJsonSchema,
    model_validator,
)

from sweeper.errors import Fault, StudyError
from sweeper.study.config import (
    AnyMetricName,
    Config,
    FieldError,
    check_metric,
    is_known_metric,
    named,
    registry,
    to_tuple,
)
from sweeper.study.direction import DEFAULT_METRIC, is_maximized
from sweeper.study.distributions import describe
from sweeper.study.faults import describe_errors
from sweeper.study.html import facts, heading, table
from sweeper.study.names import NAME_PATTERN, check_name
from sweeper.study.space import Space
from sweeper.study.words import show

__all__ = ["MAX_MODELS", "Budget", "Objective", "PrunerConfig", "SamplerConfig", "Study", "StudyName", "source_of"]

StudyName: TypeAlias = Annotated[
    str, AfterValidator(check_name), WithJsonSchema({"type": "string", "pattern": NAME_PATTERN})
]
Seed: TypeAlias = Annotated[int, Field(ge=0, lt=2**32)]


class Objective(Config):
    """The metric that trials are compared by."""

    metric: AnyMetricName = DEFAULT_METRIC
    """`train/` or `val/` with loss, accuracy, accuracy/<class>, balanced_accuracy or auc; or seconds. Of a loop of your
    own: any metric that it yields."""
    direction: Literal["minimize", "maximize"] | None = None
    """Default: the direction in which the metric is better."""
    at: Literal["best", "last"] = "best"
    """A trial's value is the metric at its best epoch or at its last one."""

    @property
    def maximize(self) -> bool:
        """Whether a higher value is better."""
        return is_maximized({"metric": self.metric, "direction": self.direction})

    def is_better(self, value: float, than: float | None) -> bool:
        """Whether `value` beats `than`; any value beats None."""
        return than is None or (value > than if self.maximize else value < than)


class _Named(Config):
    """A part that is chosen by its name, which is written out where the part was made in Python too."""

    def model_post_init(self, context: Any) -> None:
        self.__pydantic_fields_set__.add("name")


class TPESamplerConfig(_Named):
    """Tree-structured Parzen estimator (Bergstra et al. 2011)."""

    name: Literal["tpe"] = "tpe"
    seed: Seed | None = None
    """Seed of the sampler. Default: a different one each time."""
    n_startup_trials: int = Field(default=10, ge=0)
    """Trials drawn at random before the model is used."""
    n_ei_candidates: int = Field(default=24, ge=1)
    """Candidates among which the expected improvement is compared."""
    multivariate: bool = True
    """Model parameters jointly."""
    group: bool = True
    """With `multivariate`: model parameters that occur together (branches of a choice) as groups."""


class RandomSamplerConfig(_Named):
    """Independent random draws."""

    name: Literal["random"] = "random"
    seed: Seed | None = None
    """Seed of the sampler."""


class GridSamplerConfig(_Named):
    """Every point of a finite space once, branches included, in random order."""

    name: Literal["grid"] = "grid"
    seed: Seed | None = None
    """Seed of the order."""


class GPSamplerConfig(_Named):
    """Gaussian process with a log expected improvement."""

    name: Literal["gp"] = "gp"
    seed: Seed | None = None
    """Seed of the sampler."""
    n_startup_trials: int = Field(default=10, ge=0)
    """Trials drawn at random before the model is used."""


class CmaEsSamplerConfig(_Named):
    """CMA-ES (Hansen); parameters that it cannot model (choices) are drawn at random."""

    name: Literal["cmaes"] = "cmaes"
    seed: Seed | None = None
    """Seed of the sampler."""
    n_startup_trials: int = Field(default=1, ge=0)
    """Trials drawn at random before the model is used."""
    sigma0: float | None = Field(default=None, gt=0.0)
    """Initial deviation, as a share of the range."""


class QMCSamplerConfig(_Named):
    """Quasi-random sequences; parameters that it cannot cover (choices) are drawn at random."""

    name: Literal["qmc"] = "qmc"
    seed: Seed | None = None
    """Seed of the scrambling."""
    sequence: Literal["sobol", "halton"] = "sobol"
    """The sequence."""


SamplerConfig: TypeAlias = Annotated[
    TPESamplerConfig
    | RandomSamplerConfig
    | GridSamplerConfig
    | GPSamplerConfig
    | CmaEsSamplerConfig
    | QMCSamplerConfig,
    Field(discriminator="name"),
]


class NoPrunerConfig(_Named):
    """No trial is pruned."""

    name: Literal["none"] = "none"


class MedianPrunerConfig(_Named):
    """Prune a trial whose best value so far is below the median of the others at the same epoch."""

    name: Literal["median"] = "median"
    n_startup_trials: int = Field(default=5, ge=0)
    """Complete trials before any is pruned."""
    min_epochs: int = Field(default=1, ge=1)
    """Epochs that every trial gets."""
    interval_epochs: int = Field(default=1, ge=1)
    """Epochs between two decisions."""


class PercentilePrunerConfig(_Named):
    """Prune a trial that is not among the best `percentile` percent at the same epoch."""

    name: Literal["percentile"] = "percentile"
    percentile: float = Field(default=25.0, gt=0.0, lt=100.0)
    """Share of trials kept, in percent."""
    n_startup_trials: int = Field(default=5, ge=0)
    """Complete trials before any is pruned."""
    min_epochs: int = Field(default=1, ge=1)
    """Epochs that every trial gets."""
    interval_epochs: int = Field(default=1, ge=1)
    """Epochs between two decisions."""


class SuccessiveHalvingPrunerConfig(_Named):
    """Asynchronous successive halving (Li et al. 2020)."""

    name: Literal["successive_halving"] = "successive_halving"
    min_epochs: int = Field(default=1, ge=1)
    """Epochs that every trial gets: the first rung."""
    reduction_factor: int = Field(default=4, ge=2)
    """One trial in so many is promoted to the next rung."""


class HyperbandPrunerConfig(_Named):
    """Hyperband (Li et al. 2018): several successive halvings with different first rungs."""

    name: Literal["hyperband"] = "hyperband"
    min_epochs: int = Field(default=1, ge=1)
    """Epochs that every trial gets."""
    max_epochs: int | None = Field(default=None, ge=1)
    """Epochs of the longest trial. Default: from the search space."""
    reduction_factor: int = Field(default=3, ge=2)
    """One trial in so many is promoted to the next rung."""


WrappedPrunerConfig: TypeAlias = Annotated[
    MedianPrunerConfig | PercentilePrunerConfig | SuccessiveHalvingPrunerConfig | HyperbandPrunerConfig,
    Field(discriminator="name"),
]


class PatientPrunerConfig(_Named):
    """Prune a trial that has not improved for `patience` epochs (and, if given, that `wrapped` would prune too)."""

    name: Literal["patient"] = "patient"
    patience: int = Field(default=3, ge=0)
    """Epochs without improvement that are tolerated."""
    min_delta: float = Field(default=0.0, ge=0.0)
    """Smallest change that counts as an improvement."""
    wrapped: Annotated[WrappedPrunerConfig | None, BeforeValidator(named)] = None
    """A pruner that must agree. Default: none."""


class WilcoxonPrunerConfig(_Named):
    """Prune a trial that a Wilcoxon signed-rank test over its epochs finds worse than the best trial."""

    name: Literal["wilcoxon"] = "wilcoxon"
    p_threshold: float = Field(default=0.1, ge=0.0, le=1.0)
    """Significance below which a trial is pruned."""
    min_epochs: int = Field(default=2, ge=1)
    """Epochs that every trial gets."""


PrunerConfig: TypeAlias = Annotated[
    NoPrunerConfig
    | MedianPrunerConfig
    | PercentilePrunerConfig
    | SuccessiveHalvingPrunerConfig
    | HyperbandPrunerConfig
    | PatientPrunerConfig
    | WilcoxonPrunerConfig,
    Field(discriminator="name"),
]


MAX_MODELS = 1000


class Budget(Config):
    """When the search ends: at whichever bound is met first."""

    trials: int | None = Field(default=None, ge=1)
    """Number of configurations tried, pruned and failed ones included. Default: all points for the grid sampler, 1
    where nothing varies, else 20."""
    seeds: int = Field(default=1, ge=1, le=1000)
    """Trials of each configuration, with the seeds `trial.seed`, `trial.seed` + 1, and so on."""
    timeout_seconds: float | None = Field(default=None, gt=0.0)
    """Seconds after which no new trial begins, counted over all starts of the study."""


class Study(Config):
    """One optimization: one Optuna study, one MLflow experiment.

    `Study.model_validate({...})` takes what a study file says and looks at its fields; `sweeper.start` checks every
    corner of the space first, as `sweeper check` does for a file.

    Raises:
        StudyError: Some fields are missing or wrong; it names all of them.
    """

    model_config = ConfigDict(arbitrary_types_allowed=True)

    name: StudyName
    """Name of the study and of its MLflow experiment: letters, digits, `_`, `.` and `-`."""
    description: str = ""
    """What the study is for, in a sentence or two; shown by MLflow and the report."""
    objective: Objective = Objective()
    """What a trial is judged by."""
    sampler: Annotated[SamplerConfig, BeforeValidator(named)] = TPESamplerConfig()
    """How the next configuration is chosen; a bare name stands for its defaults."""
    pruner: Annotated[PrunerConfig, BeforeValidator(named)] = NoPrunerConfig()
    """How hopeless trials are ended early; a bare name stands for its defaults."""
    budget: Budget = Budget()
    """When the search ends."""
    plugins: Annotated[tuple[str, ...], BeforeValidator(to_tuple)] = ()
    """Modules, or files such as `my_models.py` beside the study file, that are imported first and register parts of it;
    see docs/how-to/extend.md. What an installed package declares as an entry point is found without."""
    keep_models: int = Field(default=3, ge=0, le=MAX_MODELS)
    """How many of the best trials keep their trained model as an artifact."""
    trial: Space
    """The search space: a `TrialConfig` in which any leaf may be a distribution and any branch a choice."""

    @property
    def has_own_loop(self) -> bool:
        """Whether its trials are trained by a loop of a plugin."""
        return "loop" in self.trial.root

    @model_validator(mode="after")
    def _check(self) -> Study:
        self._check_objective()
        if self.sampler.name == "grid" and self.trial.n_grid_points is None:
            continuous = ", ".join(f"trial.{name}" for name in self.trial.continuous)
            raise FieldError(
                f"given grid with a continuous float in {continuous}; allowed: with a `step`, or a `choice` instead",
                "sampler",
            )
        return self

    def _check_objective(self) -> None:
        metric = self.objective.metric
        part, _, name = metric.partition("/")
        # By what the space says, since a stored study is read before its plugins are loaded.
        is_custom = part in ("train", "val") and name in _names_in(self.trial.to_raw().get("training"), "metrics")
        if not is_custom and registry.get("metric", name) is not None:
            message = f"given {show(metric)}, which is not among training.metrics; allowed: add {name} there"
            raise FieldError(message, "objective", "metric")
        if not self.has_own_loop and not is_custom:
            try:
                check_metric(metric)
            except ValueError as error:
                raise FieldError(str(error), "objective", "metric") from None
        elif self.objective.direction is None and not is_known_metric(metric):
            raise FieldError(
                f"is missing; allowed: minimize or maximize, since sweeper does not know {metric}",
                *("objective", "direction"),
            )

    @model_validator(mode="wrap")
    @classmethod
    def _in_words(cls, raw: Any, build: ModelWrapValidatorHandler[Study]) -> Study:
        """Faults in sweeper's words. After `_check`, whose faults are among them."""
        try:
            return build(raw)
        except ValidationError as error:
            described = describe_errors(cls, raw, error.errors())
            source = source_of(raw.get("name") if isinstance(raw, dict) else None)
            raise StudyError([Fault(source=source, path=path, message=text) for path, text in described]) from error

    def _repr_html_(self) -> str:
        """For notebooks: what is searched, for what, and how."""
        objective = self.objective
        goal = f"{'maximize' if objective.maximize else 'minimize'} {objective.metric}, at its {objective.at} epoch"
        seeds = f", {self.budget.seeds} seeds each" if self.budget.seeds > 1 else ""
        searched = [(name, describe(node)) for name, node in self.trial.distributions.items()]
        return (
            heading(self.name, self.description)
            + facts(
                {
                    "objective": goal,
                    "sampler": self.sampler.name,
                    "pruner": self.pruner.name,
                    "trials": f"{self.n_trials}{seeds}",
                }
            )
            + table(["parameter", "values"], searched)
        )

    @property
    def n_trials(self) -> int:
        """The number of trials after which the search ends: configurations times seeds."""
        n_grid_points = self.trial.n_grid_points if self.sampler.name == "grid" else None
        n_configurations = self.budget.trials or n_grid_points or (20 if self.trial.distributions else 1)
        return min(n_configurations, n_grid_points or n_configurations) * self.budget.seeds

    def to_json_dict(self) -> dict[str, Any]:
        """The study as plain data, in the form of a study file; `Study.model_validate` reads it back."""
        return self.model_dump(mode="json", exclude_unset=True, warnings=False)  # a check names what is wrong


def source_of(name: object) -> str:
    """What a study that is in no file is called in messages about its faults."""
    return f"study {name!r}" if isinstance(name, str) else "study"


def _names_in(raw: Any, *path: str) -> set[str]:
    """Names of what may stand at a path of a raw tree, in any branch of a choice: bare, or as `name` of a mapping."""
    if isinstance(raw, list):
        return {name for item in raw for name in _names_in(item, *path)}
    if isinstance(raw, dict) and ("choice" in raw or "of" in raw):
        return _names_in(raw.get("choice", raw.get("of")), *path)
    if path:
        return _names_in(raw[path[0]], *path[1:]) if isinstance(raw, dict) and path[0] in raw else set()
    return {str(raw.get("name"))} if isinstance(raw, dict) else {str(raw)}
