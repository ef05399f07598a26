"""The documents say what the code does."""

import re
from pathlib import Path

import pytest

from angioatlas.cli.reference import commands, pages
from api import reference

ROOT = Path(__file__).parents[2]
DOCUMENTS = sorted([ROOT / "README.md", *ROOT.glob("docs/**/*.md")])


@pytest.mark.parametrize("name", sorted(pages()))
def test_generated_page_is_current(name):
    assert (ROOT / "docs" / name).read_text(encoding="utf-8") == pages()[name]


def test_the_page_of_routes_is_current(tmp_path, capsys):
    assert reference.main("--check", ROOT / "docs") == 0
    assert reference.main("--check", tmp_path) == 1
    assert "make docs" in capsys.readouterr().err


@pytest.mark.parametrize("name", [name for name, _ in commands()])
def test_every_command_has_help_with_one_example(name):
    command = dict(commands())[name]
    assert command.help is not None
    assert len(re.findall(r"Example: angioatlas ", command.help)) == 1
    for parameter in command.params:
        assert getattr(parameter, "help", None), f"{name}: {parameter.name} has no help"


@pytest.mark.parametrize("document", DOCUMENTS, ids=lambda path: path.name)
def test_links_lead_somewhere(document):
    for target in re.findall(r"\]\(([^)#]+)(?:#[^)]*)?\)", document.read_text(encoding="utf-8")):
        if "://" not in target:
            assert (document.parent / target).exists(), f"{document.name} links to {target}"


@pytest.mark.parametrize("document", DOCUMENTS, ids=lambda path: path.name)
def test_commands_in_the_documents_exist(document):
    known = [name.split()[1:] for name, _ in commands()]
    for text in re.findall(r"^angioatlas ([a-z][a-z -]*)", document.read_text(), re.MULTILINE):
        words = text.split()
        if words[0] in {"survival", "lvef", "progression"} and words[:2] not in known:
            words.insert(1, "run")  # `survival mace` is short for `survival run mace`
        assert any(words[: len(name)] == name for name in known), text


def test_architecture_names_files_that_exist():
    text = (ROOT / "docs/architecture.md").read_text()
    for file in re.findall(r"`([a-z_]+/[a-z_/]+(?:\.py|/))`", text):
        assert (ROOT / file).exists(), file
