import pytest

from inference.findings import SequenceKind
from inference.heads import Acquisition
from inference.weighting import weigh, weigh_stack


def acquisition(tr: float | None, te: float | None, ti: float | None = None, **tags: object) -> Acquisition:
    return Acquisition(
        repetition_time_ms=tr,
        echo_time_ms=te,
        inversion_time_ms=ti,
        **{"scanning_sequence": ("SE",), **tags},  # type: ignore[arg-type]
    )


T1, T2, T2FS = SequenceKind.T1, SequenceKind.T2, SequenceKind.T2FS


@pytest.mark.parametrize(
    ("kind", "given"),
    [
        (T1, acquisition(450, 12)),
        (T1, acquisition(1199, 29.9)),
        (T1, acquisition(462, 25, 0.0)),
        (T2, acquisition(3200, 110)),
        (T2, acquisition(2500, 60)),
        (T2FS, acquisition(3500, 80, scan_options=("FS",))),
        (T2FS, acquisition(3500, 80, scan_options=("PFP", "FATSAT"))),
        (T2FS, acquisition(3500, 80, image_type=("DERIVED", "PRIMARY", "DIXON", "WATER"))),
        (T2FS, acquisition(3320, 80, 110, scanning_sequence=("IR",))),
        (T2FS, acquisition(4400, 40, 220, scanning_sequence=("IR", "SE"))),
        (T2FS, acquisition(4400, 64, 160)),
        (T1, acquisition(2200, 20, 860, scanning_sequence=("IR", "SE"))),
        (T1, acquisition(7, 2.8, scanning_sequence=("GR",), sequence_variant=("SP", "SK"))),
    ],
)
def test_the_tags_of_common_spine_sequences_give_their_kind(kind: SequenceKind, given: Acquisition) -> None:
    assert weigh(given).kind is kind


@pytest.mark.parametrize(
    ("why", "given"),
    [
        ("no TR, no TE", Acquisition()),
        ("absent", acquisition(None, 100)),
        ("absent", acquisition(3000, None)),
        ("neither", acquisition(2500, 30)),
        ("neither", acquisition(1200, 29)),
        ("neither", acquisition(800, 40)),
        ("neither", acquisition(9000, 120, 2500, scanning_sequence=("IR",))),
        ("neither", acquisition(10002, 159.5, 2200)),
        ("T1 with fat suppression", acquisition(600, 12, scan_options=("FS",))),
        ("gradient echo", acquisition(600, 14, scanning_sequence=("GR",), sequence_variant=("SP",))),
        ("gradient echo", acquisition(5, 2, scanning_sequence=("GR",), sequence_variant=("SS",))),
        ("echo planar", acquisition(4000, 80, scanning_sequence=("EP", "SE"))),
        ("diffusion", acquisition(4000, 80, b_value=800.0)),
        ("calculated", acquisition(4000, 80, image_type=("DERIVED", "PRIMARY", "ADC"))),
        ("Dixon", acquisition(3500, 90, image_type=("DERIVED", "PRIMARY", "DIXON", "FAT"))),
    ],
)
def test_other_weightings_are_unknown_and_say_why(why: str, given: Acquisition) -> None:
    weighting = weigh(given)

    assert weighting.kind is None
    assert why in weighting.evidence


def test_a_name_alone_gives_no_kind() -> None:
    assert weigh(Acquisition(sequence_name="T2 TSE"), "T2 SAG STIR").kind is None


def test_a_name_does_not_overrule_the_tags() -> None:
    assert weigh(acquisition(450, 12), "T2 SAG").kind is T1


def test_spatial_presaturation_is_not_fat_saturation() -> None:
    assert weigh(acquisition(3200, 110, scan_options=("SP", "FC"))).kind is T2


@pytest.mark.parametrize("name", ["t2_tse_fs_sag", "T2 FatSat", "T2 SPAIR", "T2W_FS"])
def test_a_name_supports_fat_suppression_that_scan_options_leave_out(name: str) -> None:
    assert weigh(acquisition(3500, 90), name).kind is T2FS


@pytest.mark.parametrize("name", ["T2 FSE", "T2 SAG", "T2 FSTIME", "OFFSET T2", "T2 SPIRAL"])
def test_names_that_only_look_like_fat_suppression_do_not_count(name: str) -> None:
    assert weigh(acquisition(3500, 90), name).kind is T2


def test_fat_suppression_that_only_the_name_states_is_told_as_such() -> None:
    assert "fat suppressed by name" in weigh(acquisition(3500, 90), "t2_tse_fs_sag").evidence
    assert "by name" not in weigh(acquisition(3500, 90, scan_options=("FS",)), "T2 FS").evidence


@pytest.mark.parametrize("name", ["T2 TSE non-FS", "SAG T2 NO FAT SAT", "T2 w/o FS", "T2 without fatsat", "T2_NON_FS"])
def test_a_name_that_denies_fat_suppression_is_understood(name: str) -> None:
    assert weigh(acquisition(3500, 90), name).kind is T2


@pytest.mark.parametrize("name", ["CASINO FS", "T2 NO MOTION FS"])
def test_a_denial_of_something_else_takes_no_fat_suppression_away(name: str) -> None:
    assert weigh(acquisition(3500, 90), name).kind is T2FS


@pytest.mark.parametrize("name", ["T1 SAG w/o FS", "T1 SAG FS", "T1 FAT SAT"])
def test_a_name_never_takes_away_a_t1_that_the_tags_show(name: str) -> None:
    assert weigh(acquisition(450, 12), name).kind is T1


def test_a_t1_whose_name_alone_states_fat_suppression_says_so() -> None:
    assert "fat suppression by name only" in weigh(acquisition(450, 12), "T1 SAG FS").evidence


def test_an_inversion_recovery_without_its_time_needs_the_name_of_stir() -> None:
    silent = acquisition(4000, 60, scanning_sequence=("IR",))

    assert weigh(silent, "STIR SAG").kind is T2FS
    assert weigh(silent, "SAG").kind is None


def test_the_evidence_gives_the_tags_that_decided() -> None:
    evidence = weigh(acquisition(3320, 80, 110, scanning_sequence=("IR",), scan_options=("SP",))).evidence

    assert evidence.startswith("TR 3320 ms, TE 80 ms, TI 110 ms, ScanningSequence IR, ScanOptions SP")


def test_a_stack_of_two_weightings_is_neither() -> None:
    weighting = weigh_stack([acquisition(450, 12)] * 3 + [acquisition(3200, 100)] * 4)

    assert weighting.kind is None
    assert "3 T1, 4 T2" in weighting.evidence
