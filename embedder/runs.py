"""Which runs count: the ordered rules that pick diagnostic coronary runs.

The rules are data.  Each looks at `RunFacts`: what a header says of a run, free of any text of the
header, and what a classifier's table says of it, if one was given.  The first rule that speaks
leaves the run out, with its code and a message of what was found and what was expected.  A rule
that cannot tell is silent: a run is in until something speaks against it.

Two of them are listed here and answered elsewhere: contrast is measured in the decoded frames
(`embedder.contrast`), and only a study knows how many runs it has (`angioatlas.choose`).
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from enum import StrEnum

from core.outcomes import Code, InputRefused
from core.schema import Cine
from embedder.dicom.describe import ROTATION_DEG
from embedder.dicom.words import FLUOROSCOPY, TOPIC_OF


class Structure(StrEnum):
    """What a run mainly shows, in the classes of the published model's video filter.

    The order is that of its class numbers, 0 to 11.
    """

    LEFT_CORONARY = "Left Coronary"
    RIGHT_CORONARY = "Right Coronary"
    OTHER = "Other"
    GRAFT = "Graft"
    CATHETER = "Catheter"
    FEMORAL = "Femoral"
    LV = "LV"
    TAVR = "TAVR"
    AORTA = "Aorta"
    RADIAL = "Radial"
    TEE_PROBE = "TEE probe"
    PIGTAIL = "Pigtail"


CORONARY_STRUCTURES = (Structure.LEFT_CORONARY, Structure.RIGHT_CORONARY)
"""Native coronary arteries, by side; a graft is neither."""


@dataclass(frozen=True)
class Classified:
    """What a classifier said of one run; None where it said nothing."""

    structure: Structure | None = None
    contrast: bool | None = None
    stent: bool | None = None

    @property
    def side(self) -> Structure | None:
        """Left or right coronary; None for anything else."""
        return self.structure if self.structure in CORONARY_STRUCTURES else None


@dataclass(frozen=True)
class RunFacts:
    """What the rules look at.

    Attributes
    ----------
    n_frames : int
    frame_time_ms : float or None
        Milliseconds per frame, if the header says.
    swept_deg : float
        By how much the C-arm turned during the run, degrees.
    is_capture : bool
        A secondary capture object whose ImageType says SECONDARY.
    is_low_dose : bool
        RadiationSetting says SC, the dose of fluoroscopy.
    term : str
        What its description says it shows, if not the coronary arteries: a term of
        `embedder.dicom.words.TOPIC_OF`, or empty.
    classified : Classified
    stent_before : bool
        A classifier saw a stent in an earlier run of the study, not known to be of the other side.
    """

    n_frames: int
    frame_time_ms: float | None = None
    swept_deg: float = 0.0
    is_capture: bool = False
    is_low_dose: bool = False
    term: str = ""
    classified: Classified = Classified()
    stent_before: bool = False


def facts_of(cine: Cine) -> RunFacts:
    """Return what a cine alone tells."""
    return RunFacts(n_frames=cine.n_frames, frame_time_ms=cine.frame_time_ms)


Speak = Callable[[RunFacts, int], str | None]
"""Facts and the least number of frames to what was found and expected, or None."""


@dataclass(frozen=True)
class Rule:
    """One reason to leave a run out.

    Attributes
    ----------
    code : Code
        What the ledger notes.
    asks : str
        What it looks at.
    sentence : str
        Which run it leaves out.
    speak : callable or None
        None where the answer is found elsewhere.
    """

    code: Code
    asks: str
    sentence: str
    speak: Speak | None


def _structure(facts: RunFacts, min_frames: int) -> str | None:
    seen = facts.classified.structure
    if seen is None or seen in CORONARY_STRUCTURES:
        return None
    return f"classified as {seen.value}, expected Left Coronary or Right Coronary"


def _no_contrast(facts: RunFacts, min_frames: int) -> str | None:
    if facts.classified.contrast is False:
        return "classified as without contrast medium, expected with it"
    return None


def _after_intervention(facts: RunFacts, min_frames: int) -> str | None:
    if facts.classified.stent:
        return "classified as showing a stent, expected a run before any intervention"
    if facts.stent_before:
        return "an earlier run shows a stent, expected a run before any intervention"
    return None


def _capture(facts: RunFacts, min_frames: int) -> str | None:
    if facts.is_capture:
        return "a secondary capture with ImageType SECONDARY, expected an acquired run"
    return None


def _fluoroscopy(facts: RunFacts, min_frames: int) -> str | None:
    if facts.classified.contrast:
        return None
    if facts.is_low_dose:
        return "RadiationSetting is SC (fluoroscopy), expected GR"
    if facts.term in FLUOROSCOPY.terms:
        return f"its description says '{facts.term}', expected an acquired run"
    return None


def _not_coronary(facts: RunFacts, min_frames: int) -> str | None:
    topic = TOPIC_OF.get(facts.term)
    if topic is None or topic == FLUOROSCOPY:
        return None
    if facts.classified.structure is not None and not topic.even_coronary:
        return None
    return f"its description says '{facts.term}', expected a coronary angiogram"


def _too_few(facts: RunFacts, min_frames: int) -> str | None:
    if facts.n_frames >= min_frames:
        return None
    lasts = f" ({facts.n_frames * facts.frame_time_ms:.0f} ms)" if facts.frame_time_ms else ""
    return f"{facts.n_frames} frames{lasts}, expected {min_frames} or more"


def _rotational(facts: RunFacts, min_frames: int) -> str | None:
    if facts.swept_deg <= ROTATION_DEG:
        return None
    return (
        f"the C-arm turned by {facts.swept_deg:.0f} degrees, expected {ROTATION_DEG:g} at the most"
    )


RULES = (
    Rule(
        Code.OTHER_STRUCTURE,
        "classifier",
        "its main structure is neither the left nor the right coronary artery",
        _structure,
    ),
    Rule(Code.NO_CONTRAST, "classifier", "it shows no contrast medium", _no_contrast),
    Rule(
        Code.AFTER_INTERVENTION,
        "classifier, study",
        "it shows a stent, or an earlier run of the study did that is not known to be of the "
        "other side",
        _after_intervention,
    ),
    Rule(
        Code.SECONDARY_IMAGE,
        "SOP class, ImageType",
        "it is a secondary capture object, and value 2 of ImageType says SECONDARY",
        _capture,
    ),
    Rule(
        Code.FLUOROSCOPY,
        "RadiationSetting, description",
        "RadiationSetting is SC, or the description has a word for fluoroscopy and none for the "
        "coronary arteries; silent where a classifier saw contrast medium",
        _fluoroscopy,
    ),
    Rule(
        Code.NOT_CORONARY,
        "description",
        "the description has a word for something else and none for the coronary arteries; silent "
        "where a classifier named the structure, except on processed images",
        _not_coronary,
    ),
    Rule(
        Code.TOO_FEW_FRAMES,
        "NumberOfFrames",
        "it has fewer frames than `embed.min_frames`",
        _too_few,
    ),
    Rule(
        Code.ROTATIONAL,
        "positioner angles",
        f"the C-arm turned by more than {ROTATION_DEG:g} degrees during the run",
        _rotational,
    ),
    Rule(
        Code.NO_CONTRAST,
        "decoded frames",
        "its contrast signal is below `embed.min_contrast`; not measured where a classifier saw "
        "contrast medium",
        None,
    ),
    Rule(
        Code.OVER_VIDEOS_PER_STUDY,
        "study",
        "it comes after the first `embed.videos_per_study` runs of its study, in study order",
        None,
    ),
)
"""In the order in which they are asked; the first that speaks decides."""

RULE_CODES = frozenset(rule.code for rule in RULES)
"""The codes of runs that a rule left out."""


def left_out(facts: RunFacts, *, min_frames: int) -> InputRefused | None:
    """Ask the rules, in order, whether a run is left out.

    Parameters
    ----------
    facts : RunFacts
    min_frames : int
        Frames of a run at the least.

    Returns
    -------
    InputRefused or None
        The code of the first rule that speaks, with what was found and expected.
    """
    for rule in RULES:
        message = rule.speak(facts, min_frames) if rule.speak else None
        if message is not None:
            return InputRefused(rule.code, message)
    return None
