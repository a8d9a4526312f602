"""The data set of a commitment message, decoded within bounds: eight bytes of it make an object of some 700.

Source: PS3.4 J.3.2 and J.3.3 (its sequences), PS3.5 7.5 (items).
"""

from io import BytesIO
from typing import Final

from pydicom.dataelem import DataElement, RawDataElement
from pydicom.dataset import Dataset
from pydicom.filereader import read_dataset, read_sequence
from pydicom.tag import BaseTag
from pydicom.uid import UID

from node.commitment.parsing import MOST_REFERENCES, RESOURCE_LIMITATION, CommitmentRefused
from node.counted_reading import ONE_AT_A_TIME, CountedStream, ReadingBudget

_SEQUENCES: Final = (BaseTag(0x00081198), BaseTag(0x00081199))  # failed, referenced
_ITEM_TAGS: Final = {True: b"\xfe\xff\x00\xe0", False: b"\xff\xfe\xe0\x00"}  # by whether little endian
_BYTES_PER_ITEM: Final = 400  # its tags, two UIDs and a reason are under 180
_READS_PER_ITEM: Final = 12  # the same in explicit VR and of undefined length are 10
_READS_BESIDES: Final = 100
_SPLIT_IT: Final = f"a message may have {MOST_REFERENCES} references: split it"


def decoded(encoded: BytesIO | None, transfer_syntax: UID) -> Dataset:
    """Raises CommitmentRefused when it has more items or bytes than the most references need."""
    content = b"" if encoded is None else encoded.getvalue()
    item_count = content.count(_ITEM_TAGS[transfer_syntax.is_little_endian])
    if item_count > MOST_REFERENCES or len(content) > MOST_REFERENCES * _BYTES_PER_ITEM:
        raise _too_much(f"{item_count} items in {len(content)} bytes")
    reads = _READS_BESIDES + item_count * _READS_PER_ITEM
    # twice: as a value, then as its items; and pydicom looks at the beginning of each item
    budget = ReadingBudget(reads=reads, byte_count=3 * len(content))
    try:
        with ONE_AT_A_TIME:
            return _decoded(content, transfer_syntax, budget)
    except Exception as error:
        if budget.is_spent:
            raise _too_much(f"more items and elements than {MOST_REFERENCES} references have") from error
        raise


def _decoded(content: bytes, transfer_syntax: UID, budget: ReadingBudget) -> Dataset:
    implicit, little = transfer_syntax.is_implicit_VR, transfer_syntax.is_little_endian
    dataset = read_dataset(CountedStream(BytesIO(content), budget).as_file, implicit, little)
    for tag in _SEQUENCES:
        element = dataset.get_item(tag) if tag in dataset else None
        if isinstance(element, RawDataElement) and element.VR in (None, "SQ", "UN"):
            value = element.value or b""
            stream = CountedStream(BytesIO(value), budget)
            items = read_sequence(
                stream.as_file, element.is_implicit_VR or element.VR == "UN", little, len(value), "iso8859"
            )
            dataset[tag] = DataElement(tag, "SQ", items)
    return dataset


def _too_much(what: str) -> CommitmentRefused:
    return CommitmentRefused(f"{what}; {_SPLIT_IT}", status=RESOURCE_LIMITATION)
