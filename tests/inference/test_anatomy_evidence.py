import pytest

from inference.anatomy_evidence import StackShape, weigh_anatomy

SPINE_SHAPE = StackShape(width_mm=60.0, field_mm=300.0, slice_distance_mm=4.4)
HEAD_SHAPE = StackShape(width_mm=170.0, field_mm=250.0, slice_distance_mm=5.0)
KNEE_SHAPE = StackShape(width_mm=100.0, field_mm=160.0, slice_distance_mm=4.0)
VAGUE_SHAPE = StackShape(width_mm=115.0, field_mm=210.0, slice_distance_mm=1.0)


def is_spine(shape: StackShape, *words: tuple[str, str]) -> bool:
    return weigh_anatomy(words, shape).is_spine


@pytest.mark.parametrize(
    "text",
    [
        "LSPINE", "C-SPINE", "T2_SPINE_sag", "WHOLE SPINE", "SPINAL CORD", "MRI LUMBOSACRAL", "SACRUM", "HWS nativ",
        "LWS", "Wirbelsäule", "RACHIS CERVICAL", "rachis lombaire", "COLUMNA LUMBAR", "Colonna lombosacrale",
        "COLUNA CERVICAL", "LWK", "kręgosłup lędźwiowy", "páteř", "omurga", "ländryggen", "Поясничный отдел",
        "Шейного отдела позвоночника", "腰椎MRI", "頸椎", "颈椎", "脊柱", "요추",
    ],
)  # fmt: skip
def test_a_spine_is_recognised_in_many_languages(text: str) -> None:
    assert is_spine(VAGUE_SHAPE, ("StudyDescription", text))


@pytest.mark.parametrize(
    "text",
    [
        "BRAIN", "HEAD", "Schädel", "Kopf", "IRM CEREBRALE", "Cabeza", "головной мозг", "頭部", "脳", "颅脑", "KNEE RT",
        "Knie links", "genou", "膝関節", "SHOULDER", "Épaule", "HIP", "PELVIS", "SACROILIAC JOINTS", "ABDOMEN", "CHEST",
        "t2 spin echo", "T1_SPINECHO", "椎骨動脈",
    ],
)  # fmt: skip
def test_other_body_parts_and_lookalikes_are_not_a_spine(text: str) -> None:
    assert not is_spine(VAGUE_SHAPE, ("BodyPartExamined", text))


def test_series_description_alone_is_never_enough() -> None:
    assert not is_spine(VAGUE_SHAPE, ("SeriesDescription", "T2 SAG LUMBAR SPINE"))


def test_series_description_with_the_shape_of_a_spine_stack_is_enough() -> None:
    assert is_spine(SPINE_SHAPE, ("SeriesDescription", "T2 SAG LUMBAR SPINE"))


def test_series_description_against_the_shape_loses() -> None:
    assert not is_spine(HEAD_SHAPE, ("SeriesDescription", "T2 SAG LUMBAR SPINE"))


def test_a_cervical_spine_tagged_head_for_its_coil_is_a_spine() -> None:
    assert is_spine(
        SPINE_SHAPE, ("BodyPartExamined", "HEAD"), ("StudyDescription", "MR C-SPINE"), ("ProtocolName", "t2 cervical")
    )


def test_a_head_tagged_spine_is_given_away_by_its_width() -> None:
    assert not is_spine(HEAD_SHAPE, ("BodyPartExamined", "SPINE"))


def test_a_wide_scoliosis_with_two_witnesses_stays_a_spine() -> None:
    shape = StackShape(width_mm=152.0, field_mm=400.0, slice_distance_mm=4.0)

    assert is_spine(shape, ("BodyPartExamined", "TSPINE"), ("StudyDescription", "MR SPINE SCOLIOSIS"))


def test_an_order_for_brain_and_spine_leaves_the_series_own_words_to_decide() -> None:
    order = ("StudyDescription", "MRI BRAIN AND CERVICAL SPINE")

    assert is_spine(SPINE_SHAPE, order, ("ProtocolName", "C SPINE"))
    assert not is_spine(HEAD_SHAPE, order, ("ProtocolName", "BRAIN"))


def test_repeating_one_order_in_many_attributes_counts_once() -> None:
    order = [
        (field, "LUMBAR SPINE")
        for field in ("StudyDescription", "RequestedProcedureDescription", "PerformedProcedureStepDescription")
    ]

    assert not is_spine(VAGUE_SHAPE, *order, ("BodyPartExamined", "KNEE"))


def test_a_head_coil_without_other_words_is_not_a_spine() -> None:
    assert not is_spine(SPINE_SHAPE, ("ReceiveCoilName", "8HRBRAIN"))


def test_without_words_the_shape_decides_and_the_evidence_says_so() -> None:
    anatomy = weigh_anatomy([("StudyDescription", "MR 12345")], SPINE_SHAPE)

    assert anatomy.is_spine
    assert not anatomy.by_words
    assert "no attribute names a body part" in anatomy.evidence


@pytest.mark.parametrize("shape", [HEAD_SHAPE, KNEE_SHAPE, VAGUE_SHAPE])
def test_without_words_any_other_shape_is_left_out(shape: StackShape) -> None:
    assert not is_spine(shape)


def test_the_evidence_quotes_our_words_and_never_the_senders_text() -> None:
    anatomy = weigh_anatomy([("StudyDescription", "LUMBAR SPINE of Mrs Example, 12 High Street")], SPINE_SHAPE)

    assert "Example" not in anatomy.evidence
    assert "StudyDescription says" in anatomy.evidence
