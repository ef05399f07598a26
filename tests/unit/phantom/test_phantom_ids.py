"""Identifiers of phantoms: valid, the same every time, and never the same for two things."""

import uuid

from pydicom.uid import UID

from phantom import ids


def test_uids_are_uuids_under_their_root():
    for found in (ids.study_uid(1, 2, 3), ids.series_uid(1, 2, 3, 4), ids.sop_uid(1, 2, 3, 4)):
        assert UID(found).is_valid
        root, number = found.rsplit(".", 1)
        assert root == "2.25"
        made = uuid.UUID(int=int(number))
        assert made.variant == uuid.RFC_4122
        assert made.version == 8


def test_uids_never_change():
    # Files that were written before must be recognised again.
    assert ids.study_uid(3000, 17, 1) == "2.25.187232175783128676372871337271879224094"
    assert ids.sop_uid(3000, 17, 1, 2) == "2.25.237602944124493713046837943134925301038"


def test_nothing_shares_a_uid():
    places = [(s, p, e) for s in (1, 11) for p in (1, 11) for e in (1, 2)]
    found = [ids.study_uid(*place) for place in places]
    found += [ids.series_uid(*place, run) for place in places for run in (1, 2)]
    found += [ids.sop_uid(*place, run) for place in places for run in (1, 2)]
    assert len(set(found)) == len(found)


def test_patient_and_file_names():
    assert ids.patient_id(3000, 17) == "PHANTOM-3000-00017"
    assert ids.run_file("PHANTOM-3000-00017", 2, 5) == "dicom/PHANTOM-3000-00017/2/5.dcm"
