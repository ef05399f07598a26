"""Whether a data set is an X-Ray Angiographic Image as the DICOM standard defines it.

dicom-validator judges by the definition in `tests/data/xa_iod.tsv`: the attributes of every module
of the object (PS3.3 A.14.3), with their types.  Conditions are not in that table; those that hold
for every cine of a contrast run are named here, all others are left open.
"""

import csv
from pathlib import Path
from typing import Any

from dicom_validator.validator.dicom_info import DicomInfo
from dicom_validator.validator.error_handler import NullValidationResultHandler
from dicom_validator.validator.iod_validator import IODValidator
from pydicom.datadict import dictionary_VR, tag_for_keyword
from pydicom.dataset import Dataset
from pydicom.tag import Tag

from tests.support.dicom import XA_CLASS

DEFINITION = Path(__file__).parents[1] / "data/xa_iod.tsv"
MODULES_OF_A_CINE = {"contrast-bolus", "cine", "multi-frame"}
TYPES_IN_A_CINE = {
    "FrameTime": "1",
    "FrameIncrementPointer": "1",
    "PixelData": "1",
    "PositionerMotion": "2",
    "PatientOrientation": "2",
    "ContentDate": "2",
    "ContentTime": "2",
    "Exposure": "2",
}


def faults(data: Dataset) -> set[tuple[str, str, str]]:
    """Return what the validator finds wrong: module, tag and kind of error."""
    result = IODValidator(data, _standard(), error_handler=NullValidationResultHandler()).validate()
    return {
        (module, str(tag.tag), error.code.name)
        for module, errors in (result.module_errors or {}).items()
        for tag, error in errors.items()
    }


def _standard() -> DicomInfo:
    modules: dict[str, dict[str, Any]] = {}
    uses: dict[str, dict[str, str]] = {}
    dictionary: dict[str, dict[str, str]] = {}
    with DEFINITION.open() as table:
        for row in csv.DictReader(table, delimiter="\t"):
            name, keyword = row["module"], row["keyword"]
            mandatory = row["usage"] == "M" or name in MODULES_OF_A_CINE
            uses[name] = {"ref": name, "use": "M" if mandatory else "U"}
            modules.setdefault(name, {})[_tag(keyword)] = _attribute(keyword, row["type"])
            dictionary[_tag(keyword)] = {"name": keyword, "vr": dictionary_VR(keyword)}
    iod: dict[str, Any] = {"title": "X-Ray Angiographic Image", "group_macros": {}, "modules": uses}
    return DicomInfo(dictionary, {XA_CLASS: iod}, modules)


def _attribute(keyword: str, kind: str) -> dict[str, Any]:
    kind = TYPES_IN_A_CINE.get(keyword, kind)
    condition = {"cond": {"type": "U"}} if kind.endswith("C") else {}
    return {"name": keyword, "type": kind, **condition}


def _tag(keyword: str) -> str:
    number = tag_for_keyword(keyword)
    if number is None:
        raise ValueError(f"{keyword} is no attribute")
    tag = Tag(number)
    return f"({tag.group:04X},{tag.element:04X})"
