"""The words of coronary angiography, English and French, and what each means to the parser.

Every table gives the words of a value, parted by semicolons; without accents and hyphens, in lower
case.  Of words that fit, the longest phrase counts.
"""

from __future__ import annotations

from collections.abc import Mapping
from enum import StrEnum
from typing import Final

from index.query.places import LEVELS, NAMES
from index.query.tokens import folded


class Finding(StrEnum):
    """What a statement is about."""

    STENOSIS = "stenosis"
    OCCLUSION = "occlusion"
    CTO = "chronic total occlusion"
    THROMBUS = "thrombus"
    CALCIFICATION = "calcification"
    STENT = "stent"
    RESTENOSIS = "in-stent restenosis"
    BIFURCATION = "bifurcation"
    GRAFT = "graft"
    DIFFUSE = "diffuse disease"
    DISEASE = "disease"
    PHYSIOLOGY = "physiology"
    FLOW = "TIMI flow"
    COLLATERALS = "collaterals"
    DOMINANCE = "dominance"
    LVEF = "LVEF"
    NORMAL = "normal coronaries"
    VESSELS = "vessels diseased"
    AGE = "age"
    SEX = "sex"
    VIEW = "view"


class Severity(StrEnum):
    """How tight a stenosis is; `NONE` where it is said that there is none."""

    NONE = "none"
    MILD = "mild"
    MODERATE = "moderate"
    SEVERE = "severe"
    CRITICAL = "critical"


class Kind(StrEnum):
    """What a phrase does in a sentence."""

    LEVEL = "level"
    NAME = "name"
    PLACE = "place"
    SEGMENT = "segment"
    FINDING = "finding"
    SEVERITY = "severity"
    HEAVY = "heavy"
    CHRONIC = "chronic"
    ACUTE = "acute"
    SIGNIFICANT = "significant"
    NONOBSTRUCTIVE = "nonobstructive"
    CHANGE = "change"
    HEALTHY = "healthy"
    PATENT = "patent"
    POLARITY = "polarity"
    SIDE = "side"
    DOMINANT = "dominant"
    NEGATION = "negation"
    NEGATED_BEFORE = "negated before"
    AND = "and"
    OR = "or"
    BREAK = "break"
    COMPARISON = "comparison"
    NUMBER = "number"
    YEARS = "years"
    PLAIN = "plain"


RESTING: Final = "resting"
"""A pressure ratio without hyperaemia, such as iFR."""
_FINDINGS: Final[Mapping[str, str]] = {
    Finding.STENOSIS: "stenosis; stenoses; stenosed; stenotic; stenose; stenosee; stenosees"
    "; narrowing; narrowings; narrowed; retrecissement; retrecie; retreci; retrecissements"
    "; narrows; luminal narrowing; diameter stenosis; ds; qca; obstructive; obstruction"
    "; coronary stenosis",
    Finding.OCCLUSION: "occlusion; occlusions; occluded; occludes; occlus; occlue; occluee; bouchee"
    "; bouche; occluse; blocked; blockage; total occlusion; total occlusions; totally occluded"
    "; complete occlusion; completely occluded; completely blocked; complete blockage; no flow in"
    "; occlusion totale; occlusion complete; thrombosed off; amputation; amputated",
    Finding.CTO: "cto; ctos; chronic total occlusion; chronic total occlusions; chronic occlusion"
    "; chronically occluded; occlusion chronique; occlusion totale chronique"
    "; occlusion chronique totale; old occlusion; chronic total; oct chronique",
    Finding.THROMBUS: "thrombus; thrombi; thrombotic; thrombosis; clot; clots; filling defect"
    "; thrombose; thrombotique; caillot; caillots; intracoronary thrombus; thrombus burden"
    "; blood clot; lacune; image lacunaire; thrombosed",
    Finding.CALCIFICATION: "calcification; calcifications; calcified; calcific; calcium; calcifie"
    "; calcifiee; calcifiees; calcifies; calcifying; calc",
    Finding.STENT: "stent; stents; stented; stente; stentee; endoprothese; stenting; scaffold",
    Finding.RESTENOSIS: "restenosis; in stent restenosis; instent restenosis; isr; restenosed"
    "; restenose; restenose intrastent; restenose intra stent; stent restenosis; restenotic"
    "; in stent stenosis; intrastent stenosis",
    Finding.BIFURCATION: "bifurcation; bifurcations; bifurcational; bifurcation lesion; medina"
    "; trifurcation",
    Finding.GRAFT: "graft; grafts; cabg; bypass; lima; rima; svg; svgs; mammary; pontage; pontages"
    "; internal mammary; left internal mammary; saphenous vein graft; vein graft; saphene; greffon"
    "; saphenous; mammaire; mammaire interne gauche; ami; amig; mig; radial graft; arterial graft"
    "; bypass graft; left internal mammary artery; coronary artery bypass; lima graft; ima",
    Finding.DIFFUSE: "diffuse; diffuse disease; diffusely; diffusely diseased"
    "; diffuse atherosclerosis; maladie diffuse; atteinte diffuse; long diffuse",
    Finding.DISEASE: "disease; diseased; lesion; lesions; plaque; plaques; atheroma; maladie"
    "; atteinte; atteintes; atteint; atherosclerosis; cad; coronary disease; atherome; obstacle"
    "; coronary artery disease; maladie coronaire; coronaropathie; malade; atherosclerotic",
    Finding.PHYSIOLOGY: "ffr; fractional flow reserve; qfr; ffrct; reserve coronaire",
    Finding.FLOW: "timi; timi flow; flux timi; timi grade; timi flow grade; flow timi; ctfc"
    "; corrected timi frame count; flow grade",
    Finding.COLLATERALS: "collateral; collaterals; collateralisation; collateralised"
    "; collateralized; collateralization; collateral filling; collateral flow"
    "; collateral circulation; collateral vessels; retrograde collateral filling"
    "; retrograde filling; collaterales; collaterale; collateralite; rentrop; rentrop grade"
    "; filled by collaterals; rentrop collaterals; collaterals rentrop"
    "; circulation collaterale; reprise collaterale",
    Finding.LVEF: "ef; lvef; fevg; fe; ejection fraction; left ventricular ejection fraction"
    "; fraction d ejection; fraction d ejection ventriculaire gauche; lv ef; lv function"
    "; left ventricular function; ventricular function; systolic function"
    "; left ventricular systolic function; lv systolic function; fonction vg"
    "; fonction ventriculaire gauche; fraction d ejection du vg; fonction systolique",
}
_MORE: Final[Mapping[Kind, Mapping[str, str]]] = {
    Kind.SEVERITY: {
        Severity.MILD: "mild; mildly; non significant; nonsignificant; insignificant"
        "; non significative; minor; minimal; minimally; slight; leger; legere; minime"
        "; minimes; legeres; luminal irregularities; luminal irregularity; irregularities"
        "; irregularites; modest",
        Severity.MODERATE: "moderate; moderately; intermediate; borderline; modere; moderee"
        "; moderement; intermediaire; moderees; moyennement serree",
        Severity.SEVERE: "severe; severely; tight; high grade; serre; serree; serrees; severes"
        "; tightly; tres serree; tres serre; importante",
        Severity.CRITICAL: "critical; critically; critique; subtotal; subtotally; sub total"
        "; subocclusive; sub occlusive; subtotale; near occlusion; near total; subtotal occlusion"
        "; preocclusive; pre occlusive; subocclusif; string sign"
        "; quasi occlusive; nearly occluded; occlusion subtotale; sub total occlusion"
        "; near total occlusion; stenose subocclusive",
    },
    Kind.HEAVY: {"heavy": "heavy; heavily; dense; densely; marked; markedly; massive; extensive"
                 "; massif; tres; very"},
    Kind.CHRONIC: {"chronic": "chronic; chronically; chronique; old"},
    Kind.ACUTE: {"acute": "acute; acutely; aigu; aigue; fresh; recent"},
    Kind.SIGNIFICANT: {"significant": "significant; significantly; significative; significatif"
                       "; significatives; significatifs; relevant"},
    Kind.NONOBSTRUCTIVE: {"nonobstructive": "nonobstructive; non obstructive; nocad; minoca; inoca"
                          "; nonobstructed; non obstructed; unobstructed; non obstruees"
                          "; non obstructif; myocardial infarction with nonobstructive coronaries"},
    Kind.CHANGE: {
        "reduced": "reduced; low; poor; impaired; depressed; alteree; altere; basse; bas; abaissee"
        "; diminuee; diminue; reduite; decreased; effondree; dysfunctional; lowered",
        "preserved": "preserved; conservee; conserve; good; bonne; preservee; satisfaisante",
    },
    Kind.HEALTHY: {"healthy": "normal; normale; normales; normaux; unremarkable; clean; healthy"
                   "; smooth; saine; sain; saines; indemne; indemnes; spared; disease free"
                   "; lesion free; free; uninvolved; respectee"},
    Kind.PATENT: {"patent": "patent; permeable; permeables; open; perfused; perfuse; patency"},
    Kind.POLARITY: {"positive": "positive; ischemic; positif; abnormal; pathologique",
                    "negative": "negative; negatif; nonischemic; non ischemic"},
    Kind.SIDE: {
        "right": "right dominant; right dominance; right dominant system; dominance droite"
        "; right coronary dominance; dominant rca; droite dominante; droit dominant; rca dominant"
        "; dominant right coronary; reseau droit dominant; coronaire droite dominante"
        "; cd dominante",
        "left": "left dominant; left dominance; dominance gauche; left coronary dominance"
        "; dominant circumflex; gauche dominante; gauche dominant; lcx dominant; dominant lcx"
        "; circonflexe dominante; cx dominante; reseau gauche dominant",
        "co": "codominant; co dominant; codominance; co dominance; balanced; balanced dominance"
        "; balanced circulation; codominante; equilibree; dominance equilibree; codominante",
    },
    Kind.NEGATION: {"next": "non",
                    "not": "no; not; without; sans; pas de; pas d; pas; aucun; aucune; absence"
                    "; absence of; absence de; absence d; free of; free from; negative for; nor"
                    "; ni; never; excluding; hors; lack of; exclude; w o; no evidence of"
                    "; devoid of; indemne de; libre de; excludes; denies; neither"},
    Kind.NEGATED_BEFORE: {"not": "absent; absente; excluded; ruled out; exclue; exclu; not seen"
                          "; absents; absentes; not present"},
    Kind.AND: {"and": "and; et; with; avec; plus; but; mais; w; associated with; associee a"
               "; as well as; while; then; however; alors; whereas; tandis; showing"},
    Kind.OR: {"or": "or; ou"},
    Kind.SEGMENT: {"segment": "seg; segment; segments; syntax; aha; segt; syntax segment"
                   "; syntax seg; aha segment"},
    Kind.COMPARISON: {
        "<": "<; less than; below; under; lower than; moins de; inferieure a; inferieur a"
        "; fewer than; younger than; smaller than; sous; agees de moins de; age de moins de",
        "<=": "<=; at most; up to; not more than; no more than; au plus; jusqu a; maximum",
        ">": ">; more than; over; above; greater than; plus de; superieure a; superieur a"
        "; older than; exceeding; higher than; agees de plus de; age de plus de; beyond",
        ">=": ">=; at least; au moins; not less than; no less than; minimum; a partir de",
        "=": "=; equals; equal to; egale a; about; around; approximately; environ; approx; circa",
        "between": "between; entre; from",
    },
    Kind.YEARS: {"years": "years; year; years old; year old; yo; y o; yrs; ans; years of age"},
}  # fmt: skip
_VESSELS: Final[Mapping[str, tuple[str, ...]]] = {
    "one": ("1 ", "one ", "single ", "mono"),
    "two": ("2 ", "two ", "double ", "bi"),
    "three": ("3 ", "three ", "triple ", "tri"),
    "multi": (
        "m",
        "multi ",
        "multi",
        "multiple ",
        "several ",
        "pluri",
        "different ",
        "more than one ",
        "several different ",
    ),
}
"""How many vessels: before "vessel disease" or "tronculaire"."""
_OF_VESSELS: Final = (
    *("vessel", "vessels", "vd", "vessel disease", "vessel cad", "vessel coronary disease"),
    *("vessel coronary artery disease", "tronculaire", "tronculaires"),
)
_DETAILED: Final[Mapping[tuple[Finding, str], str]] = {
    (Finding.LVEF, "reduced"): "hfref; heart failure; heart failure with reduced ejection fraction"
    "; lv dysfunction; left ventricular dysfunction; ventricular dysfunction; dysfonction vg"
    "; dysfonction ventriculaire gauche; ischemic cardiomyopathy; insuffisance cardiaque"
    "; systolic dysfunction; lv systolic dysfunction; left ventricular systolic dysfunction",
    (Finding.LVEF, "mildly reduced"): "hfmref",
    (Finding.LVEF, "preserved"): "hfpef",
    (Finding.STENT, "drug-eluting"): "drug eluting stent; drug eluting stents; stent actif"
    "; stents actifs",
    (Finding.STENT, "bare-metal"): "bms; bare metal stent; bare metal stents; stent nu; stents nus",
    (Finding.STENT, "PCI"): "pci; ptca; poba; angioplastie; angioplasty; atc; icp"
    "; percutaneous coronary intervention; balloon angioplasty",
    (Finding.OCCLUSION, "acute"): "culprit; culprit lesion; culprit occlusion; stemi; stemi culprit"
    "; coupable; lesion coupable; infarct artery; infarct related artery; infarct culprit"
    "; myocardial infarction; acute myocardial infarction; heart attack; infarctus"
    "; infarctus aigu",
    (Finding.PHYSIOLOGY, RESTING): "ifr; rfr; dfr; instantaneous wave free ratio",
    (Finding.PHYSIOLOGY, "positive"): "flow limiting; hemodynamically significant"
    "; haemodynamically significant; hemodynamiquement significative; ischemic lesion",
    (Finding.FLOW, "0"): "no reflow",
    (Finding.FLOW, "1"): "timi i",
    (Finding.FLOW, "2"): "timi ii; slow flow; flux ralenti; slow reflow",
    (Finding.FLOW, "3"): "timi iii; normal flow; flux normal; good flow",
    (Finding.SEX, "F"): "women; woman; female; females; femme; femmes",
    (Finding.SEX, "M"): "men; man; male; males; homme; hommes",
    (Finding.AGE, ""): "age; aged; ages; agee; agees",
    (Finding.DOMINANCE, ""): "dominance",
    **{
        (Finding.VESSELS, said): "; ".join(n + of for n in numbers for of in _OF_VESSELS)
        + f"; atteinte {numbers[-1]}tronculaire"
        for said, numbers in _VESSELS.items()
    },
    **{
        (Finding.VIEW, f"{name} {tilt}"): "; ".join(f"{side} {word}" for word in words.split("; "))
        for side, name in (("lao", "LAO"), ("rao", "RAO"), ("ap", "AP"))
        for tilt, words in (("Cranial", "cranial; cra; craniale; cran"),
                            ("Caudal", "caudal; cau; caudale; caud"),
                            ("Straight", "straight"), ("Lateral", "lateral"))
        if (name, tilt) not in (("AP", "Straight"), ("AP", "Lateral"))
    },
}  # fmt: skip
_PLAIN: Final = """
a an the of in at on to for from by is are was were be been has have had having its it this that
these those there their which who whom s l d de des du la le les un une en au aux a dans sur chez
que qui se est sont avait ayant ont me show find give list search all any some each every only also
other patient patients study studies case cases exam exams angiogram angiograms angiography
angiographically coronarographie image images video videos cine cines picture pictures
artery arteries artere arteres vessel vessels vaisseau vaisseaux coronary coronaries coronaire
coronaires branch branches branche territory system systeme circulation anatomy reseau flow flux
third tiers part portion course shows level niveau status post s p previous prior known history
antecedent antecedents previously placed implanted presence seen visible evidence finding findings
percent grade type score total totale totally complete completely entire whole value
near about into view views incidence vers toward towards within due both tous toutes tout
present please looking coro as
"""
PLAIN: Final = frozenset(word for words in _PLAIN.split() for word in folded(words))
"""Words that say nothing by themselves, or that are said by what stands beside them."""


def _lexicon() -> dict[tuple[str, ...], tuple[Kind, str, str]]:
    found: dict[tuple[str, ...], tuple[Kind, str, str]] = {
        (w,): (Kind.PLAIN, "", "") for w in PLAIN
    }
    tables = {Kind.LEVEL: LEVELS, Kind.NAME: NAMES, Kind.FINDING: _FINDINGS, **_MORE}
    for kind, table in tables.items():
        for value, words in table.items():
            found |= {folded(phrase): (kind, str(value), "") for phrase in words.split(";")}
    for (finding, detail), words in _DETAILED.items():
        found |= {folded(phrase): (Kind.FINDING, finding, detail) for phrase in words.split(";")}
    return found


LEXICON: Final = _lexicon()
"""Kind, value and detail of each phrase, by its words."""
DRUG_ELUTING: Final = "DES"
"""A stent in capitals only: in lower case it is a French article."""
LONGEST: Final = max(len(words) for words in LEXICON)
"""Words of the longest phrase."""
