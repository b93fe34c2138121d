"""What can be chosen, by name. Imports nothing heavy, so that the command line knows it at once."""

from __future__ import annotations

from typing import Literal, TypeAlias, get_args

__all__ = [
    "BETWEEN",
    "EMBED_PARTS",
    "METHODS",
    "PARTS",
    "PRUNE_METHODS",
    "RANKINGS",
    "Between",
    "EmbedPart",
    "Method",
    "Part",
    "PruneMethod",
    "Ranking",
]

Part: TypeAlias = Literal["val", "train"]
"""A part of a data set."""
PARTS: tuple[Part, ...] = get_args(Part)

EmbedPart: TypeAlias = Literal["val", "train", "both"]
"""Parts of a data set."""
EMBED_PARTS: tuple[EmbedPart, ...] = get_args(EmbedPart)

Method: TypeAlias = Literal["fgsm", "bim", "pgd"]
"""`fgsm`: one step of ε, x + ε·sign(∇ₓJ) (Goodfellow, Shlens and Szegedy 2015). `bim`: several smaller steps, each
clipped to ±ε of the picture (Kurakin, Goodfellow and Bengio 2017). `pgd`: the same from a random place within ±ε (Madry
et al. 2018)."""
METHODS: tuple[Method, ...] = get_args(Method)

PruneMethod: TypeAlias = Literal["mixture", "confident", "by_class", "by_noise_rate", "both"]
"""`mixture`: the pictures that are mislabelled with some probability, see `sweeper.analysis.mixture`. The others are
Northcutt's. `confident`: those that the confident joint counts off its diagonal. `by_class` (PBC): of each given class
as many as the joint says are wrong, those with the lowest self-confidence. `by_noise_rate` (PBNR): of each pair of a
given and another class as many as the joint says, those with the largest margin. `both` (C+NR): in both of the last
two."""
PRUNE_METHODS: tuple[PruneMethod, ...] = get_args(PruneMethod)

Ranking: TypeAlias = Literal["probability", "margin", "self_confidence"]
"""What pictures are ordered by. `probability`: that of being mislabelled, see `sweeper.analysis.mixture`, highest
first, ties by margin. `margin`: the predicted probability of the given class minus the highest of another (normalized
margin), lowest first. `self_confidence`: the predicted probability of the given class, lowest first."""
RANKINGS: tuple[Ranking, ...] = get_args(Ranking)

Between: TypeAlias = Literal["relabel", "drop"]
"""What becomes of the suspects of a round when the models of the next are trained: they get the suggested label, or are
left out."""
BETWEEN: tuple[Between, ...] = get_args(Between)
