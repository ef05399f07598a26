"""The curl commands of a document, and what it says that comes back."""

from __future__ import annotations

import json
import os
import re
import subprocess
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

EXACT = frozenset({"status", "code", "title", "level", "where", "notice"})
"""Fields whose values must be those of the document; of all others the kind is."""


@dataclass(frozen=True)
class Example:
    """One block of commands.

    Attributes
    ----------
    name : str
        The heading that it is under.
    command : str
        To be given to a shell.
    kind : str
        ``json`` or ``http``.
    told : str
        What the document says that comes back.
    """

    name: str
    command: str
    kind: str
    told: str


def examples(document: Path) -> list[Example]:
    """Return the fenced blocks that ask with curl, each with the block that follows it.

    Raises
    ------
    ValueError
        When a block has no answer.
    """
    found, heading, asked = [], "", None
    pieces = re.findall(
        r"^#+ [^\n]*$|^```\w+\n.*?^```$", document.read_text(), re.MULTILINE | re.DOTALL
    )
    for piece in pieces:
        if piece.startswith("#"):
            heading = piece.lstrip("# ")
            continue
        kind, _, text = piece.removeprefix("```").removesuffix("```").partition("\n")
        if asked is not None:
            if kind not in {"json", "http"}:
                raise ValueError(f"{document.name}: {heading}: a command without an answer")
            found.append(Example(heading, asked, kind, text))
            asked = None
        elif kind == "sh" and "curl " in text:
            asked = text
    if asked is not None:
        raise ValueError(f"{document.name}: {heading}: a command without an answer")
    return found


def shell_of(folder: Path, key: str) -> dict[str, str]:
    """Give a folder what a reader of a document has, the key; return the environment of curl."""
    (folder / "key").write_text(f"Authorization: Bearer {key}\n")
    # The status of each answer, beside the answer itself.
    (folder / ".curlrc").write_text('write-out = "%{stderr}%{http_code}\\n"\n')
    return {"CURL_HOME": str(folder), "PATH": os.environ["PATH"]}


def wrong_with(example: Example, folder: Path, variables: Mapping[str, str]) -> list[str]:
    """Give the commands of an example to a shell; list where the document is wrong of the answer.

    Parameters
    ----------
    example : Example
    folder : Path
        See `shell_of`.
    variables : mapping of str to str
        The environment.
    """
    done = subprocess.run(
        ["bash", "-euo", "pipefail", "-c", example.command],
        cwd=folder,
        env=variables,
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )
    if done.returncode:
        return [done.stderr]
    status = int(done.stderr.split()[-1])
    if example.kind == "json":
        told, expected = json.loads(example.told), 200
        if isinstance(told, Mapping) and isinstance(told.get("status"), int):
            expected = told["status"]
        wrong = differences(told, json.loads(done.stdout))
    else:
        first, *headers = example.told.splitlines()
        expected = int(first.split()[1])
        names = [header.partition(":")[0] for header in headers]
        wrong = [f"no header {name}" for name in names if f"\n{name}:" not in done.stdout]
    return wrong if status == expected else [*wrong, f"status {status}, not {expected}"]


def differences(told: Any, answer: Any, at: str = "answer") -> list[str]:
    """List where an answer is not of the shape that a document, which may shorten it, tells."""
    if isinstance(told, Mapping) and isinstance(answer, Mapping):
        missing = [f"{at}.{name} is missing" for name in told.keys() - answer.keys()]
        both = told.keys() & answer.keys()
        return missing + [
            each
            for name in sorted(both)
            for each in (
                [f"{at}.{name} is {answer[name]!r}"]
                if name in EXACT and told[name] != answer[name]
                else differences(told[name], answer[name], f"{at}.{name}")
            )
        ]
    if isinstance(told, list) and isinstance(answer, list):
        if told and not answer:
            return [f"{at} is empty"]
        return [each for row in told for each in differences(row, answer[0], f"{at}[0]")]
    kinds = {int: float}
    if told is None or answer is None or (isinstance(told, str) and told == "…"):
        return []
    told_kind, kind = type(told), type(answer)
    if kinds.get(told_kind, told_kind) is not kinds.get(kind, kind):
        return [f"{at} is {kind.__name__}, not {told_kind.__name__}"]
    return []
