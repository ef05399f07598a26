"""How findings are said of places of the coronary tree: the wordings of queries.

Templates take the name of a place where they hold ``{}``.  What stands under `HELD_OUT_*` is never
shown in training: an evaluation asks with it.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Final

from phantom.words.place_names import FRENCH_PLACES, HELD_OUT_PLACES, PLACES, Words

# fmt: off
FORMS: Final[Words] = {
    "stenosis": (
        "{} stenosis", "stenosis of the {}", "stenosis in {}", "{} lesion", "{} narrowing",
        "narrowed {}", "stenosed {}", "stenotic {}", "obstructive {} disease", "diseased {}",
        "{} obstructive disease", "{} stenosis of at least 50%", ">=50% {} stenosis",
        "lesion in the {}", "{} disease", "disease of the {}", "narrowing of the {}",
        "{} stenosis more than 50%",
    ),
    "severe": (
        "{} severe stenosis", "severe {} stenosis", "severe stenosis of the {}", "tight {} lesion",
        "tight {} stenosis", "critical {} stenosis", "critical lesion in {}",
        "subtotal {} stenosis",
        "{} high-grade stenosis", "high grade {} lesion", "70-99% {}", "{} 90% stenosis",
        "90% {}", "80% stenosis of the {}", "severe narrowing of the {}", "{} 95%", "{} tight",
        "severely narrowed {}", "severe disease of the {}", "severe lesion in the {}",
    ),
    "significant": (
        "{} significant stenosis", "significant {} stenosis", "significant {} disease",
        "significant lesion of the {}", "significant stenosis in the {}", "{} stenosis >=70%",
        "{} stenosis of 70% or more", "at least 70% stenosis of {}", "{} significant lesion",
        "hemodynamically significant {} stenosis", "flow-limiting {} lesion",
    ),
    "moderate": (
        "{} moderate stenosis", "moderate {} stenosis", "moderate stenosis of the {}",
        "intermediate stenosis of {}", "moderate {} lesion", "50-69% {}", "{} 60% stenosis",
        "60% {}", "50% stenosis of the {}", "borderline stenosis of the {}", "moderate {} disease",
        "moderate narrowing of the {}",
    ),
    "mild": (
        "{} mild stenosis", "mild {} stenosis", "mild {} disease", "mild stenosis of the {}",
        "minor {} lesion", "mild narrowing of the {}", "{} 30% stenosis", "30% {}",
        "40% {} stenosis",
        "nonobstructive {} lesion", "mild luminal irregularity of {}", "less than 50% {} stenosis",
    ),
    "occlusion": (
        "{} occlusion", "occlusion of the {}", "occluded {}", "{} occluded", "total {} occlusion",
        "{} total occlusion", "totally occluded {}", "complete occlusion of the {}", "100% {}",
        "{} 100%", "100 % stenosis of the {}", "blocked {}", "{} blocked", "no flow in the {}",
        "completely blocked {}", "{} completely occluded", "total occlusion in the {}",
    ),
    "acute": (
        "acute {} occlusion", "acute occlusion of the {}", "{} acute total occlusion",
        "acutely occluded {}", "culprit {}", "{} culprit occlusion", "STEMI culprit {}",
        "infarct artery {}", "acute thrombotic occlusion of {}",
        "myocardial infarction {} occlusion",
    ),
    "cto": (
        "{} CTO", "CTO of the {}", "chronic total occlusion of the {}", "chronic {} occlusion",
        "{} chronic total occlusion", "chronically occluded {}", "CTO {}",
        "chronic total {} occlusion", "{} chronic occlusion with collaterals",
        "old occlusion of the {}",
    ),
    "thrombus": (
        "thrombus in {}", "thrombus in the {}", "{} thrombus", "{} clot", "clot in the {}",
        "filling defect in the {}", "{} filling defect", "thrombotic {} lesion", "{} thrombosis",
        "thrombosis of the {}", "intracoronary thrombus {}", "blood clot in the {}",
        "thrombotic {}", "thrombus burden in {}",
    ),
    "calcification": (
        "calcified {}", "calcification of the {}", "{} calcification", "{} calcium",
        "calcium in the {}", "calcific {} disease", "{} calcified", "calcified lesion in the {}",
        "calcifications in {}", "{} with calcification", "calcified plaque of the {}",
    ),
    "heavy": (
        "heavily calcified {}", "heavy calcification of the {}", "severe {} calcification",
        "severely calcified {}", "{} heavy calcification", "marked calcification of the {}",
        "dense {} calcium",
    ),
    "stent": (
        "stent in {}", "stent in the {}", "{} stent", "stented {}", "{} stented",
        "previous {} stent",
        "DES in the {}", "drug-eluting stent in {}", "patent {} stent", "prior PCI of the {}",
        "stent {}", "stents in the {}", "coronary stent in {}", "{} PCI",
    ),
    "restenosis": (
        "in-stent restenosis of the {}", "{} in-stent restenosis", "{} ISR",
        "restenosis in {} stent",
        "stent restenosis {}", "restenosed {} stent", "instent restenosis {}",
    ),
    "free": (
        "normal {}", "{} normal", "{} free of disease", "{} without disease", "{} without lesions",
        "healthy {}", "disease-free {}", "clean {}", "smooth {}", "unremarkable {}",
    ),
}
"""Templates of what is said of a place."""

HELD_OUT_FORMS: Final[Words] = {
    "stenosis": ("luminal narrowing in the {}", "there is a stenosis in the {}"),
    "severe": ("a severe lesion narrows the {}", "{} with a tight stenosis of 90 %"),
    "significant": ("significantly stenosed {}", "{} with significant disease"),
    "moderate": ("moderately stenosed {}", "{} with a moderate lesion"),
    "mild": ("mildly stenosed {}", "{} with a mild lesion"),
    "occlusion": ("totally blocked {}", "{} with a complete occlusion", "the {} is occluded"),
    "acute": ("acutely blocked {}",),
    "cto": ("{} with a chronic total occlusion", "chronic occlusion in the {}"),
    "thrombus": ("{} with a thrombus", "clot seen in the {}"),
    "calcification": ("{} with calcium", "calcific plaque in the {}"),
    "heavy": ("{} with heavy calcium",),
    "stent": ("{} with a stent", "stent placed in the {}"),
    "restenosis": ("restenosis of a stent in the {}",),
    "free": ("no lesion in the {}",),
}

FRENCH_FORMS: Final[Words] = {
    "stenosis": ("sténose {}", "rétrécissement {}", "lésion {}"),
    "severe": ("sténose serrée {}", "sténose sévère {}", "sténose critique {}"),
    "significant": ("sténose significative {}", "lésion significative {}"),
    "moderate": ("sténose modérée {}", "sténose intermédiaire {}"),
    "mild": ("sténose légère {}", "sténose minime {}"),
    "occlusion": ("occlusion {}", "occlusion totale {}", "occlusion complète {}"),
    "acute": ("occlusion aiguë {}",),
    "cto": ("occlusion chronique {}", "occlusion totale chronique {}"),
    "thrombus": ("thrombus {}", "thrombose {}", "caillot {}"),
    "calcification": ("calcifications {}", "calcification {}"),
    "heavy": ("calcifications sévères {}", "calcification massive {}"),
    "stent": ("stent {}", "angioplastie {}"),
    "restenosis": ("resténose {}", "resténose intrastent {}"),
}

PERCENTAGES: Final = {
    "severe": (70, 75, 80, 85, 90, 95, 99),
    "moderate": (50, 55, 60, 65),
    "mild": (20, 25, 30, 35, 40, 45),
}
"""Figures that name a grade of stenosis."""
PERCENT_FORMS: Final = ("{} {percent}% stenosis", "{percent}% stenosis of the {}", "{} {percent} %")

SAYINGS: Final[Words] = {
    "significant:prox_lad": (
        "widowmaker", "widow maker", "widowmaker lesion", "widow-maker stenosis",
    ),
    "acute:lad": ("anterior STEMI", "anterior myocardial infarction", "anterior infarct culprit"),
    "acute:rca": ("inferior STEMI", "inferior myocardial infarction", "inferior infarct culprit"),
    "acute:lcx": ("lateral STEMI", "lateral myocardial infarction"),
    "acute:any": (
        "STEMI", "acute coronary occlusion", "acute myocardial infarction culprit", "heart attack",
        "acute total occlusion", "infarct-related artery occluded", "infarctus aigu",
    ),
    "stenosis:any": (
        "obstructive coronary artery disease", "obstructive CAD", "any stenosis",
        "coronary stenosis",
        "coronary artery disease", "narrowed arteries", "maladie coronaire",
    ),
    "severe:any": ("any severe stenosis", "severe coronary stenosis", "critical stenosis"),
    "significant:any": (
        "significant coronary artery disease", "significant CAD", "any significant stenosis",
        "significant coronary disease", "significant stenosis",
    ),
    "moderate:any": ("moderate coronary disease", "any moderate stenosis", "intermediate lesion"),
    "mild:any": ("mild coronary disease", "any mild stenosis", "minor lesion"),
    "occlusion:any": (
        "any total occlusion", "total occlusion", "coronary occlusion", "any occlusion",
        "occlusion",
        "occluded coronary artery", "100% occlusion", "complete blockage", "blocked artery",
        "occlusion coronaire",
    ),
    "cto:any": ("chronic total occlusion", "any CTO", "CTO", "coronary CTO", "chronic occlusion"),
    "thrombus:any": (
        "thrombus", "any thrombus", "coronary thrombus", "intracoronary thrombus", "clot",
        "filling defect", "coronary thrombosis", "thrombus coronaire",
    ),
    "calcification:any": (
        "calcified coronary arteries", "coronary calcification", "any calcification", "calcium",
        "coronary calcium", "calcified vessels", "calcifications coronaires",
    ),
    "heavy:any": ("heavy coronary calcification", "severely calcified coronaries"),
    "stent:any": (
        "stent", "any stent", "coronary stent", "previous PCI", "stented patient", "stents",
        "prior percutaneous coronary intervention", "stent coronaire",
    ),
    "restenosis:any": ("in-stent restenosis", "restenosis", "ISR", "stent restenosis"),
    "stenosis:left_main": ("left main disease", "maladie du tronc commun"),
    "normal": (
        "normal coronary arteries", "normal coronaries", "normal angiogram", "clean coronaries",
        "angiographically normal coronary arteries", "no coronary disease", "healthy coronaries",
        "unobstructed smooth coronary arteries", "normal coronary angiogram", "coronaires normales",
        "coronarographie normale", "normal study", "no lesions", "no coronary artery disease",
    ),
    "no_significant": (
        "no significant stenosis", "no significant coronary artery disease",
        "no significant disease",
        "no significant lesion", "absence of significant stenosis", "no flow-limiting lesion",
        "pas de sténose significative",
    ),
    "nonobstructive": (
        "nonobstructive coronary artery disease", "non-obstructive CAD",
        "mild nonobstructive disease",
        "only mild lesions", "minor luminal irregularities", "nonobstructive disease",
    ),
    "reduced_ef": (
        "reduced ejection fraction", "reduced EF", "low ejection fraction", "LVEF below 40",
        "EF < 40", "LVEF under 40%", "poor left ventricular function", "depressed LV function",
        "left ventricular dysfunction", "heart failure with reduced ejection fraction", "HFrEF",
        "reduced left ventricular ejection fraction", "low EF", "impaired systolic function",
        "heart failure", "fraction d'éjection altérée", "FEVG basse", "ischemic cardiomyopathy",
    ),
    "severely_reduced_ef": (
        "severely reduced ejection fraction", "EF below 30", "LVEF < 30%", "very low EF",
        "severe left ventricular dysfunction", "severely depressed LV function",
    ),
    "mildly_reduced_ef": (
        "mildly reduced ejection fraction", "LVEF 40-49%", "EF 45%", "EF between 40 and 49",
        "mild left ventricular dysfunction", "HFmrEF", "borderline ejection fraction",
    ),
    "preserved_ef": (
        "preserved ejection fraction", "normal ejection fraction", "preserved EF", "LVEF above 50",
        "EF > 50%", "normal left ventricular function", "good LV function", "normal LVEF",
        "fraction d'éjection conservée", "FEVG normale", "normal EF",
    ),
    "left_dominant": (
        "left dominant circulation", "left dominance", "left dominant", "left-dominant system",
        "left dominant coronary anatomy", "dominant circumflex", "dominance gauche",
        "left coronary dominance",
    ),
    "right_dominant": (
        "right dominant circulation", "right dominance", "right dominant", "right-dominant system",
        "right dominant coronary anatomy", "dominant RCA", "dominance droite",
        "right coronary dominance",
    ),
    "codominant": (
        "codominant circulation", "co-dominant circulation", "codominance", "balanced circulation",
        "codominant system", "balanced dominance", "codominant",
    ),
    "multivessel": (
        "multivessel disease", "multi-vessel disease", "multivessel coronary artery disease", "MVD",
        "multivessel CAD", "disease of several vessels", "more than one vessel diseased",
        "several significant stenoses in different vessels", "atteinte pluritronculaire",
        "multiple vessel disease",
    ),
    "one_vessel": (
        "one-vessel disease", "single vessel disease", "single-vessel disease", "1-vessel disease",
        "one vessel disease", "1VD", "atteinte monotronculaire",
    ),
    "two_vessel": (
        "two-vessel disease", "double vessel disease", "two vessel disease", "2-vessel disease",
        "2VD", "atteinte bitronculaire",
    ),
    "three_vessel": (
        "three-vessel disease", "triple vessel disease", "three vessel disease", "3-vessel disease",
        "3VD", "atteinte tritronculaire", "triple-vessel coronary artery disease",
    ),
    "collaterals": (
        "collateral filling", "collaterals", "collateral circulation", "collateral flow",
        "collateral vessels", "filled by collaterals", "collateralised vessel", "collatérales",
        "retrograde collateral filling",
    ),
}
"""Sentences that name no place, and idioms, by concept."""

HELD_OUT_SAYINGS: Final[Words] = {
    "normal": ("coronary arteries are normal", "normal findings in all coronary arteries"),
    "reduced_ef": ("ejection fraction below 40%", "LVEF 30 percent, reduced"),
    "left_dominant": ("dominance of the left coronary", "left dominant coronary system"),
    "multivessel": ("multivessel stenoses", "coronary disease in multiple vessels"),
    "collaterals": ("vessel with collateral filling", "presence of collaterals"),
    "occlusion:any": ("a totally occluded artery", "presence of a total occlusion"),
}
# fmt: on


def wordings(finding: str, place: str) -> Iterator[str]:
    """Yield the training wordings of a finding at a place, English first, then French."""
    for name in PLACES[place]:
        for form in FORMS[finding]:
            yield form.format(name)
        for percent in PERCENTAGES.get(finding, ()):
            for form in PERCENT_FORMS:
                yield form.format(name, percent=percent)
    for name in FRENCH_PLACES.get(place, ()):
        for form in FRENCH_FORMS.get(finding, ()):
            yield form.format(name)


def held_out_wordings(finding: str, place: str) -> Iterator[str]:
    """Yield wordings that training never shows: a name, a template, or both are new to it."""
    for name in HELD_OUT_PLACES.get(place, ()):
        for form in (*FORMS[finding][:2], *HELD_OUT_FORMS[finding]):
            yield form.format(name)
    for name in PLACES[place][:3]:
        for form in HELD_OUT_FORMS[finding]:
            yield form.format(name)
