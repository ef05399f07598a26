"""Saved models on a page: saving one, the list of them, and the card of one."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any, Final

import pandas as pd
import streamlit as st

from analytics.report.tripod import MISSING, TRIPOD_AI
from angioatlas.access.principal import Scope
from angioatlas.atlas import Atlas
from angioatlas.saved_models import ModelFacts
from core.errors import AtlasError
from dashboard.parts.reports import show_table
from dashboard.session import literal, show_error

_RESEARCH: Final = (
    "For research alone: not for diagnosis or treatment, and not for the care of one patient."
)
_JUDGED: Final = (
    "Judged on people of the same store who were left out in turn: how good it is elsewhere is "
    "not known until it is judged there (`angioatlas {kind} validate`)."
)
_EMBEDDINGS: Final = (
    "Reads embeddings of the one encoder that it was fitted to, and of exams embedded like its own."
)
_GAPS: Final = (
    "Gaps among clinical predictors are filled as in training, and a prediction says which."
)
_WHOM: Final = {
    "exams": "exams",
    "patients": "patients",
    "events": "events",
    "competing": "competing events",
}
_COLUMNS: Final[dict[str, Any]] = {
    "name": "Name",
    "endpoint": "Endpoint",
    "predictors": "Predictors",
    "c": st.column_config.NumberColumn("C", format="%.2f"),
    "mae": st.column_config.NumberColumn("MAE", format="%.1f %%"),
    "encoder_id": "Encoder",
    "created_at": st.column_config.DatetimeColumn("Saved", format="YYYY-MM-DD HH:mm"),
}


def offer_to_save(
    atlas: Atlas, names: list[str], save: Callable[[str, str], object], *, kind: str
) -> None:
    """Offer to save a model that was fitted; nothing for who may not write.

    Parameters
    ----------
    atlas : Atlas
    names : list of str
        Sets of predictors, the one with the most last.
    save : callable
        From the name of the model and its set of predictors.
    kind : str
        ``survival`` or ``lvef``.
    """
    if not atlas.principal.allows(Scope.WRITE) or not names:
        return
    with (
        st.popover("Save the model", icon=":material/save:"),
        st.form(f"save {kind}", border=False),
    ):
        name = st.text_input("Name", placeholder=f"{kind}-model")
        of = st.selectbox("Of the predictors", names, index=len(names) - 1)
        if not st.form_submit_button("Save", type="primary") or not name:
            return
        try:
            save(name, of)
        except AtlasError as error:
            show_error(error)
        else:
            st.toast(f"Saved as {literal(name)}.")


def show_models(
    models: pd.DataFrame,
    facts: Callable[[str], ModelFacts],
    about: Callable[[ModelFacts], Mapping[str, str]],
    *,
    kind: str,
) -> None:
    """Show the saved models of a kind, and the card of one.

    Parameters
    ----------
    models : DataFrame
        One a row, by name.
    facts : callable
        Describes one.
    about : callable
        What only its kind tells, in words.
    kind : str
    """
    st.header("Saved models")
    if models.empty:
        st.info("No model is saved yet.", icon=":material/inventory_2:")
        st.caption("Next step: fit one above, and save it.")
        return
    shown = [name for name in _COLUMNS if name in models.columns]
    st.dataframe(models[shown], hide_index=True, column_config=_COLUMNS, placeholder="–")
    name = st.selectbox("Model card of", [*models["name"]], key="model", bind="query-params")
    if name:
        _card(facts(name), about, kind)


def _card(model: ModelFacts, about: Callable[[ModelFacts], Mapping[str, str]], kind: str) -> None:
    with st.container(border=True, key="model-card"):
        st.markdown(f"### {literal(model.name)}")
        told = {**about(model), **_common(model)}
        for label, words in told.items():
            left, right = st.columns((1, 4))
            left.markdown(f":gray[{label}]")
            right.markdown(literal(words))
        left, right = st.columns((1, 4))
        left.markdown(":gray[Limits]")
        limits = [_RESEARCH, _JUDGED.format(kind=kind)]
        limits += [_EMBEDDINGS] if model.encoder_id else []
        limits += [_GAPS] if model.clinical else []
        right.markdown("\n".join(f"* {each}" for each in limits))
        with st.expander("What its authors must add, by TRIPOD+AI"):
            show_table(
                pd.DataFrame(
                    [
                        {"item": each.number, "asks for": each.asks, "note": each.note}
                        for each in TRIPOD_AI
                        if each.found == MISSING
                    ]
                )
            )


def _common(model: ModelFacts) -> dict[str, str]:
    clinical = f": {', '.join(model.clinical)}" if model.clinical else ""
    encoder = f"; embeddings of {model.encoder_id}" if model.encoder_id else "; no embeddings"
    cohort = model.cohort or f"a cohort that is not saved, {model.cohort_id[:12]}"
    # Kept in the order of the alphabet.
    whom = [each for each in _WHOM if each in model.fitted_to]
    numbers = ", ".join(f"{model.fitted_to[each]:,} {_WHOM[each]}" for each in whom)
    saved = f"{model.created_at:%Y-%m-%d %H:%M}" if model.created_at else "not known"
    made = ", ".join(f"{name} {version}" for name, version in model.made_with.items())
    return {
        "Reads": f"{model.predictors}{clinical}{encoder}",
        "Fitted to": f"{cohort}{f' ({numbers})' if numbers else ''}",
        "Saved": saved,
        "Made with": made or "not known",
        "Identity": model.model_id[:12],
    }


def estimate(figures: Mapping[str, Any], name: str, *, digits: int = 2) -> str:
    """Tell a figure of a model with its interval where that was kept."""
    value, low, high = (figures.get(f"{name}{end}") for end in ("", "_lower", "_upper"))
    if value is None:
        return "not known"
    if low is None or high is None:
        return f"{value:.{digits}f}"
    return f"{value:.{digits}f} ({low:.{digits}f} to {high:.{digits}f})"
