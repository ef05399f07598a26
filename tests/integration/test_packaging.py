"""The packages are ours alone, the lock pins what is installed, the licences are in place."""

import ast
import re
import subprocess
import sys
import tomllib
from importlib.metadata import distributions, packages_distributions, requires
from pathlib import Path

import pytest
from packaging.markers import default_environment
from packaging.requirements import Requirement
from packaging.utils import NormalizedName, canonicalize_name

ROOT = Path(__file__).parents[2]
PACKAGES = [
    *("core", "store", "embedder", "index", "analytics", "phantom", "angioatlas"),
    *("api", "dashboard"),
]


@pytest.mark.parametrize("package", PACKAGES)
def test_package_belongs_to_this_distribution_alone(package):
    assert set(packages_distributions()[package]) == {"angioatlas"}


@pytest.mark.parametrize("package", PACKAGES)
def test_package_is_imported_from_here_wherever_one_stands(package, tmp_path):
    code = f"import {package}; print({package}.__file__)"
    found = subprocess.run(
        [sys.executable, "-c", code], cwd=tmp_path, capture_output=True, text=True, check=True
    )
    assert Path(found.stdout.strip()).parent == ROOT / package


def test_every_folder_of_code_is_packaged():
    folders = {path.parent.name for path in ROOT.glob("*/__init__.py")}
    assert folders - {"benchmarks"} == set(PACKAGES)


def locked() -> dict[NormalizedName, str]:
    lines = (ROOT / "requirements.lock").read_text().splitlines()
    pins = [line.split("==") for line in lines if line and not line.startswith("#")]
    return {canonicalize_name(name): version for name, version in pins}


def needed(extras: frozenset[str], *, deep: bool = True) -> set[NormalizedName]:
    """Names of everything that this distribution needs, however deep, or of what it declares."""
    environment = {key: str(value) for key, value in default_environment().items()}
    ours = canonicalize_name("angioatlas")
    seen: set[tuple[NormalizedName, frozenset[str]]] = set()
    queue = [(ours, extras)]
    while queue:
        name, wanted = queue.pop()
        if (name, wanted) in seen:
            continue
        seen.add((name, wanted))
        if not deep and name != ours:
            continue
        for text in requires(name) or []:
            requirement = Requirement(text)
            if requirement.marker is None or any(
                requirement.marker.evaluate({**environment, "extra": extra})
                for extra in (wanted or {""})
            ):
                queue.append((canonicalize_name(requirement.name), frozenset(requirement.extras)))
    return {name for name, _ in seen} - {ours}


def test_lock_pins_all_that_is_needed_at_the_version_installed():
    pins = locked()
    installed = {canonicalize_name(d.metadata["Name"]): d.version for d in distributions()}
    wanted = needed(frozenset({"cpu", "movies", "ray", "dev"}))
    assert {"torch", "lancedb", "faiss-cpu", "pytest"} <= wanted  # the walk goes deep
    without_faiss = {name for name in wanted if not name.startswith("faiss")}
    assert without_faiss - pins.keys() == set()
    wrong = {
        name: (installed[name], pins[name])
        for name in without_faiss
        if installed[name].split("+")[0] != pins[name]
    }
    assert wrong == {}


def test_lock_holds_nothing_superfluous_and_no_faiss():
    assert locked().keys() - needed(frozenset({"cpu", "movies", "ray", "dev"})) == set()


def test_what_is_imported_is_declared():
    """A package that only the developers' extra brings would be missing at a user's."""
    declared = needed(frozenset({"cpu", "movies"}), deep=False)
    owners = packages_distributions()
    used = set()
    for package in PACKAGES:
        for file in (ROOT / package).rglob("*.py"):
            for node in ast.walk(ast.parse(file.read_text())):
                if isinstance(node, ast.Import):
                    used |= {alias.name.split(".")[0] for alias in node.names}
                elif isinstance(node, ast.ImportFrom) and node.module:
                    used.add(node.module.split(".")[0])
    foreign = used - set(sys.stdlib_module_names) - set(PACKAGES)
    assert {"torch", "pydicom", "lancedb"} <= foreign
    undeclared = {
        module
        for module in foreign
        if not {canonicalize_name(owner) for owner in owners[module]} & declared
    }
    assert undeclared == set()


def test_the_named_packages_live_together():
    """lifelines, scikit-survival, umap and streamlit import beside torch and the store."""
    code = "import torch, faiss, lancedb, duckdb, fastapi, streamlit, umap, sksurv, lifelines"
    subprocess.run([sys.executable, "-W", "ignore", "-c", code], check=True, timeout=240)


def test_version_is_the_one_in_the_changelog_or_unreleased():
    changelog = (ROOT / "CHANGELOG.md").read_text()
    version = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]["version"]
    released = re.findall(r"^## \[(\d+\.\d+\.\d+)\]", changelog, flags=re.MULTILINE)
    assert "## [Unreleased]" in changelog or (released and released[0] == version)
    assert not released or released[0] <= version
