"""Every test has a home of its own: no user configuration, key or cache is read or written."""

import os

import pytest
from hypothesis import settings

# A slow moment of the machine is no failure of the code.
settings.register_profile("project", deadline=None)
settings.load_profile("project")


@pytest.fixture(autouse=True)
def clean_environment(tmp_path_factory, monkeypatch):
    home = tmp_path_factory.mktemp("home")
    for name in list(os.environ):
        if name.startswith(("ANGIOATLAS_", "XDG_")):
            monkeypatch.delenv(name)
    monkeypatch.setenv("HOME", str(home))
    return home
