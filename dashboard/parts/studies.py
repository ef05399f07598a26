"""What the pages of models share: who is studied and from what, the fit, and what it found."""

from __future__ import annotations

from collections.abc import Callable, Collection, Hashable, Iterator, Sequence
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any, Final, NamedTuple, TypeVar

import streamlit as st

from angioatlas.atlas import Atlas
from angioatlas.survey import OnProgress
from core.errors import AtlasError, UsageError
from dashboard.parts.layout import say_empty
from dashboard.parts.reports import reported
from dashboard.session import is_remembered, literal, remembered, show_error

if TYPE_CHECKING:
    from analytics.report.document import Document
    from angioatlas.report_files import Reported

_SETS: Final = ("embeddings", "clinical", "both")
_CLINICAL_HELP: Final = (
    "As known on the day of the exam: age and sex, covariates and measurements of the labels. "
    "What is not known is filled in as in training."
)
_LEVEL: Final = "95 % "
_Result = TypeVar("_Result", bound="Reported")


class Chosen(NamedTuple):
    """A saved cohort; without a name the first exam of everybody."""

    name: str | None
    cohort_id: str | None


class Figure(NamedTuple):
    """A main figure: what it is called, how much, what belongs to it, and what it means."""

    label: str
    value: str
    below: str
    about: str


class Predictors(NamedTuple):
    """What models read; `ready` tells whether there is something to fit."""

    sets: tuple[str, ...]
    clinical: tuple[str, ...]
    ready: bool


def in_store(atlas: Atlas) -> bool:
    """Tell whether there is anything to study; say what to do where there is nothing."""
    if atlas.holdings().encoders:
        return True
    say_empty()
    return False


def cohort_choice(atlas: Atlas) -> Chosen:
    """Let a cohort be chosen."""
    saved = atlas.cohorts()
    name = st.selectbox(
        "Cohort",
        [*saved["name"]],
        index=None,
        placeholder="Everybody, by the first exam",
        key="cohort",
        bind="query-params",
        help="Cohorts are chosen and saved on the page Cohort.",
    )
    ids = dict(zip(saved["name"], saved["cohort_id"], strict=True))
    return Chosen(name, ids.get(name))


def predictor_choice(atlas: Atlas, *, without: Collection[str] = ()) -> Predictors:
    """Let predictors be chosen.

    Parameters
    ----------
    atlas : Atlas
    without : collection of str
        Clinical predictors that are what is to be predicted.
    """
    sets = st.segmented_control(
        "Predictors, side by side",
        _SETS,
        selection_mode="multi",
        default=["embeddings"],
        key="sets",
        bind="query-params",
        help="The embedding of the pictures, what is known of the patient, or both together.",
    )
    clinical = st.multiselect(
        "Clinical predictors",
        [each for each in atlas.clinical_predictors() if each not in without],
        key="clinical",
        bind="query-params",
        placeholder="Age, sex, labels …",
        help=_CLINICAL_HELP,
    )
    lacking = {"clinical", "both"} & {*sets} and not clinical
    if lacking:
        st.caption("Name clinical predictors, or take the embeddings alone.")
    # In one order, so that the last has the most predictors: it is the one that is saved.
    ordered = tuple(each for each in _SETS if each in sets)
    return Predictors(ordered, tuple(clinical), bool(sets) and not lacking)


def fitted(
    atlas: Atlas, key: Hashable, fit: Callable[[OnProgress], _Result], *, ready: bool
) -> tuple[_Result, Document] | None:
    """Fit on a click; return what was fitted in this session and its report.

    None before the click, and where it fails.

    Parameters
    ----------
    atlas : Atlas
    key : hashable
        What is asked.
    fit : callable
        Does the study, and tells its steps.
    ready : bool
        Whether there is something to fit.
    """
    clicked = st.button(
        "Fit and judge", type="primary", icon=":material/model_training:", disabled=not ready
    )
    if not ready or not (clicked or is_remembered(atlas, key)):
        st.caption(
            "Models are fitted and judged on people they have not seen, which takes seconds to "
            "minutes. Nothing is saved."
        )
        return None
    try:
        with _steps() as on_step:
            return remembered(atlas, key, lambda: reported(fit(on_step)))
    except AtlasError as error:
        show_error(_without_rows(error))
        return None


@contextmanager
def _steps() -> Iterator[OnProgress]:
    place = st.empty()

    def on_step(phase: str, done: int, total: int | None) -> None:
        words = f"{phase}, {done} of {total}" if total else phase
        place.progress(done / total if total else 1.0, text=f"{literal(words.capitalize())} …")

    with st.spinner("Fitting and judging …", show_time=True):
        yield on_step
    place.empty()


def _without_rows(error: AtlasError) -> AtlasError:
    """Return what a page may say of an error: which rows leak are patients, and not shown."""
    # Loaded by the study that failed.
    from analytics.leakage import LeakageError

    if not isinstance(error, LeakageError):
        return error
    kinds = "; ".join(f"{each.what} ({len(each.rows)})" for each in error.leaks)
    return UsageError(
        f"the analysis is refused, its figures would be too good: {kinds}",
        "the same study on the command line (angioatlas survival, angioatlas lvef) names the rows",
    )


def show_figures(rows: Sequence[tuple[str, Sequence[Figure]]]) -> None:
    """Show the main figures of each set of predictors; several sets side by side as a table."""
    if len(rows) > 1:
        told = [
            {
                "Predictors": name,
                **{
                    each.label: f"{each.value} ({each.below.removeprefix(_LEVEL)})"
                    for each in figures
                },
            }
            for name, figures in rows
        ]
        config = {
            each.label: st.column_config.Column(help=each.about)
            for _, figures in rows
            for each in figures
        }
        st.dataframe(told, hide_index=True, column_config=config)
        st.caption("Intervals of 95 % in brackets")
        return
    with st.container(horizontal=True):
        for each in rows[0][1]:
            st.metric(
                each.label,
                each.value,
                each.below,
                delta_color="off",
                delta_arrow="off",
                help=each.about,
                border=True,
                width=182,
            )


def with_limits(row: Any, name: str, *, digits: int = 2) -> tuple[str, str]:
    """Tell an estimate and its interval of a row with NAME, NAME_lower and NAME_upper."""
    low, high = row[f"{name}_lower"], row[f"{name}_upper"]
    return signed(row[name], digits), f"{_LEVEL}{signed(low, digits)} to {signed(high, digits)}"


def signed(value: float, digits: int) -> str:
    """Tell a number; below zero with a minus sign, which is no hyphen."""
    return f"{value:.{digits}f}".replace("-", "−")
