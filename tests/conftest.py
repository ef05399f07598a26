"""Every test has a home of its own: no user configuration, key or cache is read or written."""

import os
from pathlib import Path

import pytest
from hypothesis import settings

# A slow moment of the machine is no failure of the code.
settings.register_profile("project", deadline=None)
settings.load_profile("project")


def _at_home(home: Path, patch: pytest.MonkeyPatch) -> None:
    for name in list(os.environ):
        if name.startswith(("ANGIOATLAS_", "XDG_")):
            patch.delenv(name)
    patch.setenv("HOME", str(home))


@pytest.fixture(scope="session", autouse=True)
def home_of_fixtures(tmp_path_factory):
    """What a whole module shares is made before its first test has a home."""
    with pytest.MonkeyPatch.context() as patch:
        _at_home(tmp_path_factory.mktemp("home"), patch)
        yield


@pytest.fixture(autouse=True)
def clean_environment(tmp_path_factory, monkeypatch):
    home = tmp_path_factory.mktemp("home")
    _at_home(home, monkeypatch)
    return home
