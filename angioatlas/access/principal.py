"""Who calls, and what they may do."""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum
from typing import Final, Literal, final

from core.errors import ForbiddenError, UnauthenticatedError, UsageError

LONGEST_NAME: Final = 80
"""Characters of a name."""

Via = Literal["local", "key", "oidc"]
"""How it is known who calls: at this machine, by an API key, by an identity provider."""


class Scope(StrEnum):
    """What one may do: exactly the scopes that one was given, except that `admin` is all of them.

    So `write` alone does not read: what only embeds an archive has no need to see it.
    """

    SEARCH = "search"
    READ = "read"
    WRITE = "write"
    ADMIN = "admin"


@final
@dataclass(frozen=True)
class Principal:
    """Who calls.

    Parameters
    ----------
    name : str
        As it stands in the trail; see `checked_name`.
    scopes : frozenset of Scope
    via : {"local", "key", "oidc"}
        How that is known.

    Raises
    ------
    UsageError
        When the name is none.
    """

    name: str
    scopes: frozenset[Scope]
    via: Via

    def __post_init__(self) -> None:
        checked_name(self.name)

    @classmethod
    def local(cls) -> Principal:
        """Return whoever works at this machine: who can read the store's files may do anything.

        No name of an account: it would say who a person is, and be no proof, since whoever runs
        Python here can call themselves anything.
        """
        return cls("local", frozenset({Scope.ADMIN}), "local")

    @property
    def id(self) -> str:
        """Whom no other principal is taken for: a key and a person may have the same name."""
        return f"{self.via}:{self.name}"

    def allows(self, scope: Scope) -> bool:
        """Tell whether this principal has a scope."""
        return scope in self.scopes or Scope.ADMIN in self.scopes

    def require(self, scope: Scope) -> None:
        """Refuse what needs a scope that this principal lacks.

        Raises
        ------
        ForbiddenError
            Naming the scope.
        """
        if not self.allows(scope):
            held = ", ".join(sorted(self.scopes)) or "none"
            raise ForbiddenError(
                f"this needs the scope {scope.value!r}; {self.name!r} has: {held}",
                f"ask for a key made with --scope {scope.value}"
                if self.via == "key"
                else f"ask who runs this installation to grant you {scope.value!r}",
            )


def not_accepted() -> UnauthenticatedError:
    """Return the refusal of a key or token, whatever is wrong with it.

    Always in the same words, so that nobody learns from them which there are.
    """
    return UnauthenticatedError(
        "the key or token is not accepted",
        "ask who runs this installation for one that is in force",
    )


def checked_name(name: str) -> str:
    """Return a name that is safe to show wherever it stands, or refuse it.

    Raises
    ------
    UsageError
        When it is empty, too long, padded, or has characters that are not seen: controls, line
        breaks, marks that turn the direction of the text around it.
    """
    # What `isprintable` takes for unprintable is just that: Unicode's Other and Separator, without
    # the space.
    if name and name.isprintable() and name.strip() == name and len(name) <= LONGEST_NAME:
        return name
    raise UsageError(
        f"a name cannot be {name[: LONGEST_NAME + 1]!r}",
        f"give 1 to {LONGEST_NAME} printable characters, with no space around them",
    )
