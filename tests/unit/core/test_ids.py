"""Identity: pseudonyms, surrogates, date shifts, keys, and the private map back."""

from __future__ import annotations

import dataclasses
import datetime as dt
import hashlib
import hmac
import re
import stat
import threading
import uuid

import pytest
from hypothesis import given
from hypothesis import strategies as st

from core.errors import IdentityError
from core.identity_map import IdentityMap
from core.ids import (
    IdentityMode,
    IdentityRecord,
    KeptIdentity,
    PseudonymisedIdentity,
    create_key_file,
    load_key_file,
    open_identity,
)
from tests.support.store_cases import cine

KEY = bytes(range(32))
IDENTITY = PseudonymisedIdentity(KEY)
SHIFTING = PseudonymisedIdentity(KEY, shift_dates=True)
UID = "1.2.840.113619.2.55.3"
TEXT = st.text(min_size=1, max_size=64)


def test_a_patient_id_is_the_hmac_of_its_domain_and_value():
    expected = hmac.new(KEY, b"angioatlas/1/patient\0MRN-17", hashlib.sha256).hexdigest()[:32]
    assert IDENTITY.patient("MRN-17") == expected
    assert IDENTITY.patient(" MRN-17 \0") == expected
    assert IDENTITY.patient("mrn-17") != expected


@given(TEXT)
def test_a_surrogate_is_a_valid_uid_made_of_a_uuid(original):
    surrogate = IDENTITY.uid(original)
    assert len(surrogate) <= 64  # DICOM PS3.5, 9.1
    assert re.fullmatch(r"2\.25\.[1-9][0-9]*", surrogate)
    value = uuid.UUID(int=int(surrogate.removeprefix("2.25.")))
    assert value.version == 8
    assert value.variant == uuid.RFC_4122


def test_domains_and_keys_are_separate():
    other = PseudonymisedIdentity(b"another key, 32 bytes in length.")
    assert IDENTITY.patient(UID) not in IDENTITY.uid(UID)
    assert IDENTITY.unknown_patient(UID).removeprefix("unknown-") != IDENTITY.patient(UID)
    for method in ("patient", "uid", "unknown_patient"):
        assert getattr(IDENTITY, method)(UID) == getattr(IDENTITY, method)(UID)
        assert getattr(IDENTITY, method)(UID) != getattr(other, method)(UID)
    assert IDENTITY.fingerprint != other.fingerprint


def test_a_cine_is_mapped_whole():
    original = dataclasses.replace(cine(UID, "1.2.study"), patient_id="MRN-17")
    mapped = SHIFTING.cine(original)
    shift = dt.timedelta(days=SHIFTING.shift_days(SHIFTING.patient("MRN-17")))
    assert shift != dt.timedelta(0)
    assert original.study_date is not None
    assert original.acquisition_datetime is not None
    assert mapped == dataclasses.replace(
        original,
        sop_uid=SHIFTING.uid(UID),
        study_uid=SHIFTING.uid("1.2.study"),
        series_uid=SHIFTING.uid(original.series_uid),
        patient_id=SHIFTING.patient("MRN-17"),
        study_date=original.study_date + shift,
        acquisition_datetime=original.acquisition_datetime + shift,
    )
    assert mapped.patient_age_years == original.patient_age_years
    assert IDENTITY.cine(original).study_date == original.study_date


def test_all_dates_of_a_patient_move_by_one_constant_and_intervals_stay():
    first = dataclasses.replace(cine("1", "s1"), patient_id="P", study_date=dt.date(2019, 1, 1))
    second = dataclasses.replace(cine("2", "s2"), patient_id="P", study_date=dt.date(2021, 1, 1))
    one, two = SHIFTING.cine(first).study_date, SHIFTING.cine(second).study_date
    assert one is not None
    assert two is not None
    assert two - one == dt.date(2021, 1, 1) - dt.date(2019, 1, 1)


def test_shifts_use_the_whole_range_and_never_zero():
    shifts = {SHIFTING.shift_days(f"patient {i}") for i in range(20_000)}
    assert shifts == set(range(-365, 366)) - {0}


@pytest.mark.parametrize("year", [1, 9999])
def test_dates_at_the_ends_of_the_calendar_do_not_overflow(year):
    at = dt.date(1, 1, 1) if year == 1 else dt.date(9999, 12, 31)
    moved = {
        SHIFTING.cine(dataclasses.replace(cine("1", "s"), patient_id=f"{i}", study_date=at))
        for i in range(20)
    }
    assert None in {one.study_date for one in moved}
    nothing = dataclasses.replace(cine("1", "s"), study_date=None, acquisition_datetime=None)
    assert SHIFTING.cine(nothing).study_date is None


@pytest.mark.parametrize("identity", [IDENTITY, SHIFTING, KeptIdentity()])
def test_unknown_patients_never_merge(identity):
    one = dataclasses.replace(cine("1", "s1"), patient_id="ANON", patient_known=False)
    two = dataclasses.replace(cine("2", "s2"), patient_id="ANON", patient_known=False)
    same_study = dataclasses.replace(cine("3", "s1"), patient_id="", patient_known=False)
    a, b, c = (identity.cine(x).patient_id for x in (one, two, same_study))
    assert a != b
    assert a == c
    assert a.startswith("unknown-")


def test_kept_identifiers_stay():
    original = dataclasses.replace(cine(UID, "1.2.study"), patient_id="MRN-17")
    kept = KeptIdentity()
    assert kept.cine(original) == original
    assert kept.resolve_uid(UID) == (UID,)
    assert kept.resolve_patient("MRN-17") == ("MRN-17",)
    assert kept.fingerprint is None


def test_an_original_and_its_surrogate_both_resolve():
    assert IDENTITY.resolve_uid(UID) == (UID, IDENTITY.uid(UID))
    assert IDENTITY.uid(UID) in IDENTITY.resolve_uid(IDENTITY.uid(UID))
    assert IDENTITY.resolve_patient("M") == ("M", IDENTITY.patient("M"))


def test_the_key_is_in_no_repr():
    for text in (repr(IDENTITY), repr(IDENTITY.record)):
        assert KEY.hex() not in text
        assert repr(KEY) not in text
    assert IDENTITY.fingerprint is not None
    assert IDENTITY.fingerprint in repr(IDENTITY)
    assert IDENTITY.fingerprint not in KEY.hex()


def test_short_keys_are_refused():
    with pytest.raises(IdentityError, match="has 15 bytes; at least 16"):
        PseudonymisedIdentity(b"k" * 15)


def test_a_store_opens_with_its_own_key_alone():
    assert open_identity(SHIFTING.record, KEY).record == SHIFTING.record
    assert isinstance(open_identity(IdentityRecord(IdentityMode.KEPT), None), KeptIdentity)
    with pytest.raises(IdentityError, match="none is given"):
        open_identity(IDENTITY.record, None)
    with pytest.raises(IdentityError, match=f"was made with {IDENTITY.fingerprint}"):
        open_identity(IDENTITY.record, b"k" * 32)


def test_a_key_file_is_private_and_never_overwritten(tmp_path):
    path = tmp_path / "identity.key"
    key = create_key_file(path)
    assert load_key_file(path) == key
    assert len(key) == 32
    assert stat.S_IMODE(path.stat().st_mode) == 0o600
    with pytest.raises(IdentityError, match="exists already"):
        create_key_file(path)
    assert load_key_file(path) == key
    with pytest.raises(IdentityError, match="cannot be written"):
        create_key_file(tmp_path / "absent" / "identity.key")


@pytest.mark.parametrize(
    ("content", "words"),
    [
        (b"", "is not an AngioAtlas identity key file"),
        (b"f0e1d2c3b4a5", "is not an AngioAtlas identity key file"),
        (b"angioatlas-identity-key-1:zz", "is not an AngioAtlas identity key file"),
        (b"angioatlas-identity-key-1:00ff", "fewer than 16 bytes"),
        (b"\xff\xfe", "cannot be read"),
    ],
)
def test_damaged_key_files(tmp_path, content, words):
    path = tmp_path / "k"
    path.write_bytes(content)
    with pytest.raises(IdentityError, match=words) as caught:
        load_key_file(path)
    assert "f0e1d2c3" not in caught.value.message.removeprefix(str(path))


def test_a_missing_key_file(tmp_path):
    with pytest.raises(IdentityError, match="there is no key file"):
        load_key_file(tmp_path / "k")
    with pytest.raises(IdentityError, match="cannot be read"):
        load_key_file(tmp_path)


def test_the_map_goes_back_and_forgets(tmp_path):
    path = tmp_path / "identity.map"
    original = "1.2.840.forget-me"
    with IdentityMap(path) as way_back:
        way_back.record([("sop", "2.25.1", original), ("patient", "abc", "MRN")])
        way_back.record([("sop", "2.25.1", "another")])  # known already
        for file in tmp_path.iterdir():
            assert stat.S_IMODE(file.stat().st_mode) == 0o600
        assert way_back.original("2.25.1") == original
        assert way_back.original("2.25.2") is None
        assert original.encode() in b"".join(file.read_bytes() for file in tmp_path.iterdir())
        assert way_back.forget(["2.25.1", "2.25.9"]) == 1
        assert way_back.original("2.25.1") is None
    with IdentityMap(path) as way_back:
        assert way_back.original("abc") == "MRN"
    assert original.encode() not in b"".join(file.read_bytes() for file in tmp_path.iterdir())
    assert "MRN" not in repr(way_back)


def test_the_map_takes_many_rows_at_once(tmp_path):
    with IdentityMap(tmp_path / "map") as way_back:
        way_back.record(("sop", f"2.25.{i}", f"1.2.{i}") for i in range(2000))
        assert way_back.forget(f"2.25.{i}" for i in range(1999)) == 1999
        assert way_back.original("2.25.1999") == "1.2.1999"


def test_a_failed_record_leaves_the_map_as_it_was(tmp_path):
    def pairs():
        yield ("sop", "2.25.1", "1.2")
        raise RuntimeError("the source broke")

    with IdentityMap(tmp_path / "map") as way_back:
        with pytest.raises(RuntimeError, match="the source broke"):
            way_back.record(pairs())
        assert way_back.original("2.25.1") is None


def test_two_processes_may_write_the_map(tmp_path):
    def write(first):
        with IdentityMap(tmp_path / "map") as way_back:
            way_back.record(("sop", f"2.25.{i}", str(i)) for i in range(first, first + 300))

    threads = [threading.Thread(target=write, args=(first,)) for first in (0, 200)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    with IdentityMap(tmp_path / "map") as way_back:
        assert way_back.original("2.25.499") == "499"


def test_what_is_no_map_is_refused(tmp_path):
    (tmp_path / "text").write_text("this is not a database, and it is long enough to tell" * 20)
    with pytest.raises(IdentityError, match="cannot be opened"):
        IdentityMap(tmp_path / "text")
    with pytest.raises(IdentityError, match="cannot be opened"):
        IdentityMap(tmp_path / "absent" / "map")
