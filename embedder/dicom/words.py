"""What the words of a header say a run shows.

A declared table of terms against the free texts in which equipment names a run.  Only terms of
this table leave this module, never the text: a free text can hold the name of a patient.

Terms are compared as whole words, whatever the case and the accents, and with digits apart from
letters (``LCA1`` holds the word ``lca``).  Words that could mean something else are not listed:
``oct`` is a month, ``radial`` is how the catheter went in, and a coronary run may be called by it.
"""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Iterable
from dataclasses import dataclass

from embedder.dicom.attributes import Attributes

RUN_TEXTS = (
    "SeriesDescription", "ProtocolName", "AcquisitionProtocolName",
    "AcquisitionProtocolDescription",
)  # fmt: skip
"""Attributes that name one run or series.

StudyDescription is none of them: it names the examination, of which a run may be any part.
"""
MAX_TEXT = 1024
"""Characters looked at; the longest of these attributes (LO, ST) may have as many."""


@dataclass(frozen=True)
class Topic:
    """What a run may show other than the coronary arteries, and the words for it.

    Attributes
    ----------
    name : str
        As the documents call it.
    terms : tuple of str
        Lower case, without accents.
    even_coronary : bool
        Whether it counts even where other words say coronary: a processed image of a coronary
        stent is no angiogram of it.
    """

    name: str
    terms: tuple[str, ...]
    even_coronary: bool = False


CORONARY = Topic(
    "coronary arteries",
    (
        "lca", "rca", "lad", "lcx", "left main", "lmca", "iva", "rcx", "riva",
        # The examination of the left heart includes them, and may include the right heart too.
        "lhc", "left heart", "linksherz", "linksherzkatheter", "coeur gauche",
    ),
)  # fmt: skip
CORONARY_STEMS = ("coro", "koro")
"""Any word that holds one says coronary: languages have many endings, equipment joins words."""
FLUOROSCOPY = Topic(
    "fluoroscopy",
    (
        "fluoro", "fluoroscopy", "fluoroscopic", "fluoroscopie", "radioscopie", "scopie",
        "fluoroskopie", "durchleuchtung", "fluoroscopia", "radioscopia",
    ),
)  # fmt: skip
OTHER_TOPICS = (
    Topic(
        "stent enhancement, road map",
        (
            "stentboost", "stent boost", "clearstent", "clear stent", "stentviz", "stent viz",
            "stentvesselviz", "stent enhancement", "roadmap", "road map",
        ),
        even_coronary=True,
    ),
    Topic(
        "intravascular imaging and pressure",
        ("ivus", "optical coherence", "ffr", "ifr", "pressure wire"),
    ),
    Topic(
        "left ventricle",
        (
            "lv", "lvg", "lv gram", "lvgram", "left ventricle", "left ventricular",
            "ventriculogram", "ventriculography",
            "ventriculographie", "ventricule gauche",
            "ventrikulographie", "lavokardiographie", "laevokardiographie", "linker ventrikel",
            "ventriculografia", "ventriculo izquierdo",
        ),
    ),
    Topic(
        "aorta, valves and their devices",
        (
            "aorta", "aortic", "aortogram", "aortography", "aortographie", "aorte",
            "aortografie", "aortografia", "tavi", "tavr", "valvuloplasty", "mitraclip",
        ),
    ),
    Topic(
        "right heart and lungs",
        (
            "right heart", "right ventricle", "rhc", "pulmonary", "swan ganz", "coeur droit",
            "ventricule droit", "pulmonaire", "rechtsherz", "rechtsherzkatheter", "pulmonalis",
            "corazon derecho", "pulmonar",
        ),
    ),
    Topic(
        "bypass grafts",
        ("graft", "grafts", "svg", "lima", "rima", "pontage", "pontages"),
    ),
    Topic(
        "access",
        (
            "femoral", "femorale", "femoralis", "iliac", "iliaque", "iliaca", "radial access",
            "radial artery",
        ),
    ),
    Topic(
        "other vessels",
        (
            "peripheral", "peripherique", "periferico", "periferica", "lower limb",
            "lower extremity", "runoff", "run off", "membres inferieurs", "becken bein",
            "miembros inferiores", "renal", "renals", "renale", "nierenarterie",
            "nierenarterien", "carotid", "carotids", "carotide", "carotides", "carotis",
            "carotida", "cerebral", "cerebrale", "zerebral", "vertebral", "subclavian",
            "mesenteric", "celiac", "abdomen", "abdominal", "popliteal",
        ),
    ),
    Topic(
        "rhythm devices",
        ("pacemaker", "electrophysiology", "ablation", "schrittmacher", "marcapasos"),
    ),
)  # fmt: skip
_FED = re.compile(r"\b(graft|svg|lima|rima)(?: to)? (?:lad|lcx|rca|iva|rcx|riva)\b")
"""A graft and the artery that it feeds: "LIMA-LAD" is a name of the graft."""
TOPIC_OF = {term: topic for topic in (FLUOROSCOPY, *OTHER_TOPICS) for term in topic.terms}
"""By term, in the order in which they are looked for."""


def spoken_term(texts: Iterable[str]) -> str:
    """Find what texts say a run shows, if that is not the coronary arteries.

    Parameters
    ----------
    texts : iterable of str
        Free texts of a header.

    Returns
    -------
    str
        The first term of `TOPIC_OF` that they hold; empty when there is none, or when they also
        say coronary.
    """
    said = " | ".join(_words(text) for text in texts)
    said = _FED.sub(r"\1", said)
    coronary = any(stem in said for stem in CORONARY_STEMS) or any(
        _holds(said, term) for term in CORONARY.terms
    )
    return next(
        (
            term
            for term, topic in TOPIC_OF.items()
            if (topic.even_coronary or not coronary) and _holds(said, term)
        ),
        "",
    )


def run_texts(data: Attributes) -> list[str]:
    """Return the texts of a header that name the run; what is absent is left out."""
    texts = [data.in_charset(keyword) for keyword in RUN_TEXTS]
    # The first two values of ImageType are of the standard; what follows may name a processing.
    return [text for text in (*texts, *data.texts("ImageType")[2:]) if text]


def _holds(words: str, term: str) -> bool:
    return f" {term} " in f" {words} "


def _words(text: str) -> str:
    """Bring a text to lower case words without accents, one space between."""
    plain = unicodedata.normalize("NFKD", text[:MAX_TEXT]).casefold().replace("œ", "oe")
    plain = "".join(letter for letter in plain if not unicodedata.combining(letter))
    return " ".join(re.findall(r"[^\W\d_]+|\d+", plain))
