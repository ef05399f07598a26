"""The TRIPOD+AI checklist: what a report of a prediction model should tell, and where ours does.

Items are shortened to what they ask for; the wording of the statement is in Collins et al.,
BMJ 2024;385:e078378.  What only people can tell is said to be missing, and who could tell it.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict, dataclass
from typing import Final

import pandas as pd

from analytics.report.document import Block, Section

MISSING: Final = "missing"


@dataclass(frozen=True)
class Item:
    """One item.

    Attributes
    ----------
    number : str
    asks : str
        What it asks for, in short.
    found : str
        Section of the report that tells it, or `MISSING`.
    note : str
        What is told, or what has to be added and by whom.
    """

    number: str
    asks: str
    found: str
    note: str = ""


TRIPOD_AI: Final = (
    Item("1", "title: model, population, outcome", "Title"),
    Item("2", "structured abstract", MISSING, "write one from Summary"),
    Item("3a", "health-care context and rationale", MISSING, "the authors'"),
    Item("3b", "target population and intended use", MISSING, "the authors'; here: research only"),
    Item("3c", "known inequalities between groups", MISSING, "the authors'"),
    Item("4", "objectives: development, validation or both", "Protocol"),
    Item("5a", "sources of data", "Provenance", "store, version and cohort; name the registries"),
    Item("5b", "dates of the data", "Participants", "first and last index date, follow-up"),
    Item("6a", "setting", MISSING, "name the centres and how patients came to them"),
    Item("6b", "eligibility", "Participants", "the definition of the cohort"),
    Item("6c", "treatments received", MISSING, "procedures are in the store; describe their use"),
    Item("7", "preparation of the data", "Protocol", "gaps, scaling, components"),
    Item("8a", "outcome: definition and time", "Protocol"),
    Item("8b", "who assessed the outcome, and how alike", MISSING, "name adjudication"),
    Item("8c", "blinding of the assessment", MISSING, "say whether pictures were known"),
    Item("9a", "choice of predictors", "Protocol"),
    Item("9b", "predictors: definition and time", "Protocol", "as known on the index date"),
    Item("9c", "who assessed predictors", "Protocol", "embeddings are computed; others: add"),
    Item("10", "sample size", "Participants", "events per horizon; justify the size"),
    Item("11", "missing data", "Protocol"),
    Item("12a", "partition of the data", "Protocol"),
    Item("12b", "handling of predictors", "Protocol"),
    Item("12c", "type of model and its choice", "Protocol", "hyper-parameters by inner folds"),
    Item("12d", "heterogeneity between clusters", "Subgroups", "by site, where there are several"),
    Item("12e", "measures of performance", "Discrimination"),
    Item("12f", "updating of the model", "Protocol", "none"),
    Item("12g", "how predictions are computed", "Protocol"),
    Item("13", "imbalance of classes", "Protocol", "none is removed or resampled"),
    Item("14", "fairness", "Subgroups"),
    Item("15", "output of the model", "Protocol", "probabilities at horizons, groups of risk"),
    Item("16", "training and evaluation differ how", "Protocol"),
    Item("17", "ethical approval", MISSING, "the authors'"),
    Item("18a", "funding", MISSING, "the authors'"),
    Item("18b", "conflicts of interest", MISSING, "the authors'"),
    Item("18c", "protocol", "Protocol", "in words; name its registration"),
    Item("18d", "registration", MISSING, "the authors'"),
    Item("18e", "availability of data", MISSING, "the authors'"),
    Item("18f", "availability of code", "Provenance", "version of the software"),
    Item("19", "involvement of patients and public", MISSING, "the authors'"),
    Item("20a", "flow of participants", "Participants"),
    Item("20b", "characteristics of participants", "Participants"),
    Item("20c", "development and evaluation compared", "Participants", "out of fold: the same"),
    Item("21", "participants and events in each analysis", "Participants"),
    Item("22", "the model itself", "Provenance", "saved with the store, see `survival models`"),
    Item("23a", "performance with intervals", "Discrimination", "and Calibration"),
    Item("23b", "heterogeneity of the performance", "Subgroups"),
    Item("24", "results of updating", "Protocol", "none"),
    Item("25", "interpretation", MISSING, "the authors'"),
    Item("26", "limitations", MISSING, "the authors'; horizons that were cut are in Summary"),
    Item("27a", "poor or missing input at use", "Protocol", "gaps are filled as in training"),
    Item("27b", "expertise that users need", MISSING, "the authors'"),
    Item("27c", "next steps", MISSING, "the authors'"),
)


def tripod_section(items: Sequence[Item]) -> Section:
    """Return the checklist as a section of a report."""
    return Section(
        "TRIPOD+AI",
        [
            Block(
                "Where each item of the checklist is found, or that it is missing and has "
                "to be added by hand (Collins et al., BMJ 2024;385:e078378)."
            ),
            Block(pd.DataFrame([asdict(item) for item in items])),
        ],
    )
