"""Optional dependencies: one helper, one message."""

from __future__ import annotations

import importlib
from types import ModuleType

from core.errors import AtlasError


class MissingDependencyError(AtlasError):
    """An optional package is needed for what was asked and is not installed."""

    code = "missing_dependency"


def import_optional(module: str, *, needed_for: str, extra: str) -> ModuleType:
    """Import `module`, or say which extra brings it.

    Parameters
    ----------
    module : str
        Import name, such as ``"faiss"``.
    needed_for : str
        The feature, in a few words, for the message.
    extra : str
        The extra of this distribution that installs it, such as ``"cpu"``.

    Raises
    ------
    MissingDependencyError
        When the module cannot be imported.
    """
    try:
        return importlib.import_module(module)
    except ImportError as error:
        raise MissingDependencyError(
            f"{needed_for} needs the package {module!r}, which cannot be imported",
            f"pip install 'angioatlas[{extra}]'",
        ) from error
