"""How many inputs may fail before a run gives up.

An archive whose disk has gone away would otherwise be quarantined to its last file.
"""

from __future__ import annotations

import math
import re
from collections import Counter
from collections.abc import Iterable
from typing import Final, final

from core.errors import AtlasError, UsageError
from core.outcomes import Status
from store.inputs import InputRow

_FORM: Final = re.compile(r"(\d+(?:\.\d+)?)\s*(%?)")
_CODES_NAMED: Final = 3


class TooManyFailedError(AtlasError):
    """More inputs failed than a run was allowed."""

    code = "too_many_failed"


@final
class FailureBudget:
    """Counts the inputs that a run quarantines.

    Parameters
    ----------
    said : str or None
        A number of inputs, ``"20"``, or a share of those that the run settles, ``"5%"``; None for
        as many as there are.
    inputs : int
        How many inputs the run settles, by their headers or by decoding.

    Raises
    ------
    UsageError
        `said` is neither.
    """

    def __init__(self, said: str | None, inputs: int) -> None:
        self._said = said
        self._inputs = inputs
        self._most = math.inf if said is None else _most(said, inputs)
        self._failed: Counter[str] = Counter()

    def spend(self, rows: Iterable[InputRow]) -> None:
        """Count those of some rows that are quarantined.

        Raises
        ------
        TooManyFailedError
            They are more than allowed.
        """
        self._failed.update(
            row.code.value for row in rows if row.status is Status.QUARANTINED and row.code
        )
        failed = self._failed.total()
        if failed > self._most:
            codes = ", ".join(
                f"{code} {count}" for code, count in self._failed.most_common(_CODES_NAMED)
            )
            raise TooManyFailedError(
                f"{failed} of {self._inputs} inputs failed so far, more than --max-failed "
                f"{self._said} allows: {codes}",
                "see them with `angioatlas store inputs --status quarantined`; when the cause is "
                "mended, embed with --retry, or allow more",
            )


def _most(said: str, inputs: int) -> int:
    form = _FORM.fullmatch(said.strip())
    number = float(form[1]) if form else -1.0
    percent = bool(form and form[2])
    if not form or (percent and number > 100) or (not percent and "." in form[1]):
        raise UsageError(
            f"--max-failed {said!r} is neither a number of inputs nor a share of them",
            "such as 20, or 5%",
        )
    return int(inputs * number / 100) if percent else int(number)
