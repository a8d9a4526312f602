"""A lesion is the same lesion in every revision, and no two lesions are one."""

from dataclasses import replace

from hypothesis import given
from hypothesis import strategies as st

from inference.findings import Box, Findings, ImageReference, Lesion, Status, Verdict
from node.report import with_tracking
from tests.node.report.report_sources import BUNDLE

IMAGE = ImageReference(sop_class_uid="1.2.840.10008.5.1.4.1.1.4", sop_instance_uid="1.2.3")
FRAME = ImageReference(sop_class_uid="1.2.840.10008.5.1.4.1.1.4.1", sop_instance_uid="1.2.4", frame_number=2)


def lesion(box: tuple[float, float, float, float], image: ImageReference = IMAGE, **values: object) -> Lesion:
    x0, y0, x1, y1 = box
    made = Lesion(
        image=image,
        series_instance_uid="1.2",
        box=Box(x0=x0, y0=y0, x1=x1, y1=y1),
        verdict=Verdict.BENIGN,
        score=0.9,
        probability_malignant=0.2,
    )
    return replace(made, **values)  # type: ignore[arg-type]  # the tests' own values


def findings(*lesions: Lesion) -> Findings:
    return Findings(status=Status.LESION_DETECTED, bundle=BUNDLE, lesions=lesions)


def identities(tracked: Findings) -> list[tuple[str, int]]:
    return [(one.tracking_uid, one.tracking_number) for one in tracked.lesions]


def test_lesions_of_a_first_revision_are_numbered_in_their_order() -> None:
    tracked = with_tracking(findings(lesion((0, 0, 9, 9)), lesion((20, 0, 29, 9))), "key")

    assert [number for _, number in identities(tracked)] == [1, 2]
    assert len({uid for uid, _ in identities(tracked)}) == 2


def test_the_same_findings_again_get_the_same_identities() -> None:
    once, again = (with_tracking(findings(lesion((0, 0, 9, 9)), lesion((20, 0, 29, 9))), "key") for _ in range(2))

    assert identities(once) == identities(again)


def test_a_box_that_moved_by_less_than_half_of_itself_is_the_same_lesion_whatever_its_class() -> None:
    first = with_tracking(findings(lesion((10, 10, 30, 30))), "key")

    second = with_tracking(
        findings(lesion((60, 60, 80, 80)), lesion((12, 11, 31, 31), verdict=Verdict.MALIGNANT)), "key", first.lesions
    )

    assert identities(second)[1] == identities(first)[0]
    assert identities(second)[0][1] == 2


def test_the_box_that_overlaps_most_is_the_heir() -> None:
    first = with_tracking(findings(lesion((10, 10, 30, 30))), "key")

    second = with_tracking(findings(lesion((13, 13, 33, 33)), lesion((11, 10, 31, 30))), "key", first.lesions)

    assert identities(second)[1] == identities(first)[0]
    assert identities(second)[0] != identities(first)[0]


def test_a_box_on_another_image_or_frame_is_another_lesion() -> None:
    first = with_tracking(findings(lesion((10, 10, 30, 30)), lesion((10, 10, 30, 30), FRAME)), "key")

    second = with_tracking(findings(lesion((10, 10, 30, 30), replace(FRAME, frame_number=3))), "key", first.lesions)

    assert identities(second)[0] not in identities(first)


def test_a_lesion_that_was_gone_for_one_revision_gives_its_number_to_nobody_else() -> None:
    first = with_tracking(findings(lesion((0, 0, 9, 9)), lesion((20, 0, 29, 9))), "key")

    second = with_tracking(findings(lesion((50, 50, 60, 60))), "key", first.lesions)

    assert identities(second)[0][1] == 3


def test_a_lesion_that_is_back_after_a_revision_without_it_is_the_same_and_nobody_had_its_number() -> None:
    first = with_tracking(findings(lesion((0, 0, 9, 9)), lesion((20, 0, 29, 9))), "key")
    second = with_tracking(findings(lesion((0, 0, 9, 9))), "key", first.lesions)
    known = (*second.lesions, *first.lesions)

    third = with_tracking(findings(lesion((50, 50, 60, 60)), lesion((20, 1, 29, 10))), "key", known)

    assert identities(third)[0][1] == 3
    assert identities(third)[1] == identities(first)[1]


boxes = st.tuples(st.integers(0, 40), st.integers(0, 40), st.integers(1, 20), st.integers(1, 20)).map(
    lambda box: (float(box[0]), float(box[1]), float(box[0] + box[2]), float(box[1] + box[3]))
)
sets = st.lists(st.builds(lesion, boxes, st.sampled_from([IMAGE, FRAME])), max_size=6).map(lambda one: findings(*one))


@given(st.lists(sets, min_size=1, max_size=4))
def test_no_two_lesions_of_any_revision_share_an_identity(revisions: list[Findings]) -> None:
    known: dict[str, Lesion] = {}

    for one in revisions:
        tracked = with_tracking(one, "key", tuple(known.values()))

        known = {lesion.tracking_uid: lesion for lesion in (*known.values(), *tracked.lesions)}
        assert len(set(identities(tracked))) == len(tracked.lesions)
        assert all(uid for uid, _ in identities(tracked))
        assert len({lesion.tracking_number for lesion in known.values()}) == len(known)
