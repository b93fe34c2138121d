"""A workspace from the environment of its user."""

from __future__ import annotations

from pathlib import Path

import pytest

from sweeper.errors import InputError
from sweeper.places import Places
from sweeper.tracking.workspace import Workspace


def test_the_limit_of_cached_features(tmp_path: Path) -> None:
    assert Workspace.from_environment(tmp_path, {}).features_gib == 20.0
    for given in ("much", "0", "-1", "nan", "inf"):
        with pytest.raises(InputError, match=f"SWEEPER_FEATURES_GIB: given '{given}'; allowed"):
            Workspace.from_environment(tmp_path, {"SWEEPER_FEATURES_GIB": given})


@pytest.mark.parametrize("data", [{}, {"SWEEPER_DATA": "/pictures of mine"}])
def test_places_reach_another_process(tmp_path: Path, data: dict[str, str]) -> None:
    environ = {"SWEEPER_FEATURES_GIB": "0.5", "SWEEPER_CACHE": str(tmp_path / "cache"), **data}
    places = Workspace.from_environment(tmp_path, environ).places
    data_dir = Path(data["SWEEPER_DATA"]) if data else None
    assert places == Places(cache_dir=tmp_path / "cache", data_dir=data_dir, features_gib=0.5)
    assert Places.from_arguments(places.to_arguments()) == places
