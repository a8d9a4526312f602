"""The data set of a commitment message is decoded whole, and within bounds whatever is in it."""

import tracemalloc
from io import BytesIO

import pytest
from pydicom.uid import UID, ExplicitVRLittleEndian, ImplicitVRLittleEndian
from pynetdicom.dsutils import encode

from node.commitment.encoded import decoded
from node.commitment.parsing import MOST_REFERENCES, RESOURCE_LIMITATION, CommitmentRefused
from tests.node.commitment.peers import question_for
from tests.node.conftest import MR

SYNTAXES = [ExplicitVRLittleEndian, ImplicitVRLittleEndian]
EMPTY_ITEM = b"\xfe\xff\x00\xe0" + bytes(4)
NO_ITEM = b"\x09\x00\x01\x00" + bytes(4)  # which pydicom takes for one
MOST_PEAK_BYTES = 256 << 20


def sequence(items: bytes, syntax: UID, *, undefined_length: bool) -> bytes:
    """A data set of a Referenced SOP Sequence only."""
    vr = b"" if syntax.is_implicit_VR else b"SQ\0\0"
    length = b"\xff" * 4 if undefined_length else len(items).to_bytes(4, "little")
    end = b"\xfe\xff\xdd\xe0" + bytes(4)
    return b"\x08\x00\x99\x11" + vr + length + items + end * undefined_length


@pytest.mark.parametrize("syntax", SYNTAXES)
@pytest.mark.parametrize("undefined_length", [False, True])
def test_as_many_references_as_are_allowed_are_decoded(syntax: UID, undefined_length: bool) -> None:
    uids = [f"2.25.{10**30 + number}" for number in range(MOST_REFERENCES)]
    question = question_for([(MR, uid) for uid in uids])
    question["ReferencedSOPSequence"].is_undefined_length = undefined_length
    for item in question.ReferencedSOPSequence:
        item.is_undefined_length_sequence_item = undefined_length

    dataset = decoded(BytesIO(encode(question, syntax.is_implicit_VR, True) or b""), syntax)

    assert dataset.TransactionUID == question.TransactionUID
    assert [item.ReferencedSOPInstanceUID for item in dataset.ReferencedSOPSequence] == uids


@pytest.mark.parametrize("syntax", SYNTAXES)
@pytest.mark.parametrize("undefined_length", [False, True])
@pytest.mark.parametrize(("junk", "count"), [(EMPTY_ITEM, 2_000_000), (NO_ITEM, 500_000)])
def test_millions_of_empty_items_are_refused_before_they_take_the_memory_of_all(
    syntax: UID, undefined_length: bool, junk: bytes, count: int
) -> None:
    content = BytesIO(sequence(junk * count, syntax, undefined_length=undefined_length))
    tracemalloc.start()

    try:
        with pytest.raises(CommitmentRefused) as refused:
            decoded(content, syntax)
        _, peak = tracemalloc.get_traced_memory()
    finally:
        tracemalloc.stop()

    assert refused.value.dimse_status == RESOURCE_LIMITATION
    assert peak < MOST_PEAK_BYTES


def test_a_message_without_a_data_set_is_an_empty_one() -> None:
    assert not decoded(None, ExplicitVRLittleEndian)
    assert not decoded(BytesIO(), ImplicitVRLittleEndian)
