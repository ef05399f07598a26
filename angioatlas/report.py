"""What an embedding run says of itself when it is over."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable
from dataclasses import asdict, dataclass, field
from typing import Any

from core.outcomes import Status
from embedder.encoders.spec import Precision
from embedder.runs import RULE_CODES
from embedder.stages import Stages
from store.inputs import InputRow

_PROBLEMS_KEPT = 1000


@dataclass(frozen=True)
class Problem:
    """One quarantined input."""

    uri: str
    code: str
    message: str


@dataclass
class EmbedReport:
    """What a run did.  The counts of `by_status` sum to `inputs`."""

    run_id: str
    encoder_id: str
    dry_run: bool
    store_version: int | None = None
    inputs: int = 0
    by_status: dict[str, int] = field(default_factory=dict)
    """Inputs offered in this run, by where they now stand (after a dry run: would stand)."""
    by_code: dict[str, int] = field(default_factory=dict)
    left_out: int = 0
    """Of the skipped: runs that a rule left out."""
    unchanged: int = 0
    """Inputs whose standing was known from before and trusted."""
    studies_embedded: int = 0
    videos_embedded: int = 0
    studies_removed: int = 0
    left_for_later: int = 0
    """Cines that the run had not come to when it was asked to stop."""
    no_longer_there: int = 0
    precision: str | None = None
    """What videos were computed in, fp32 or bf16; None when none was."""
    precision_cosine: float | None = None
    """Of the encoder's check clip in that precision to the same in fp32."""
    seconds: float = 0.0
    stages: Stages = field(default_factory=Stages)
    """Where the time went from the first clip on."""
    problems: list[Problem] = field(default_factory=list)
    """Quarantined inputs, the first thousand."""
    notes: list[str] = field(default_factory=list)

    def computed_in(self, precision: Precision | None) -> None:
        """Note what videos were computed in."""
        if precision is not None:
            self.precision, self.precision_cosine = precision.name, precision.cosine

    def count(self, standing: Iterable[InputRow]) -> None:
        """Count where each offered input stands; one row an input."""
        rows = list(standing)
        statuses = Counter(row.status for row in rows)
        self.inputs = len(rows)
        self.by_status = {status.value: statuses.get(status, 0) for status in Status}
        codes = Counter(row.code for row in rows if row.code is not None)
        self.left_out = sum(codes[code] for code in RULE_CODES)
        self.by_code = {code.value: count for code, count in codes.most_common()}
        self.problems = [
            Problem(row.uri, row.code.value, row.message)
            for row in rows
            if row.status is Status.QUARANTINED and row.code is not None
        ][:_PROBLEMS_KEPT]

    def as_dict(self) -> dict[str, Any]:
        """Return the report as plain values for JSON."""
        return asdict(self) | {"bound_by": self.stages.bound_by}
