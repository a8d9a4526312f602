"""When two images cannot be of one person."""

from dataclasses import replace

import pytest

from node.identity import Identity, collision, conflicts, same_person_name

JANE = Identity(
    patient_id="P1",
    issuer_of_patient_id="",
    patient_name="Doe^Jane",
    patient_birth_date="19600611",
    patient_sex="F",
    study_instance_uid="2.25.1111",
    series_instance_uid="2.25.1",
)
SECOND_STUDY = replace(JANE, study_instance_uid="2.25.2222", series_instance_uid="2.25.2")


@pytest.mark.parametrize(
    ("one", "other"),
    [
        ("Doe^Jane", "DOE^JANE"),
        ("Doe^Jane", "Doe^Jane^^^"),
        ("Doe^Jane", " Doe ^ Jane "),
        ("Doe^Jane", "Doe^Jane^^Dr."),
        ("Doe^Jane", "Doe^Jane^Mary"),
        ("Müller^Jörg", "Muller^Jorg"),
        ("Doe^Jane", ""),
        ("Yamada^Tarou=山田^太郎=やまだ^たろう", "YAMADA^TAROU"),
        ("Yamada^Tarou", "ﾔﾏﾀﾞ^ﾀﾛｳ"),
        ("ﾔﾏﾀﾞ^ﾀﾛｳ", "ヤマダ^タロウ"),
        ("Yamada^Tarou=山田^太郎", "ﾔﾏﾀﾞ^ﾀﾛｳ=山田^太郎"),
    ],
)
def test_spellings_of_one_name_do_not_conflict(one: str, other: str) -> None:
    assert same_person_name(one, other)
    assert same_person_name(other, one)


@pytest.mark.parametrize(
    ("one", "other"),
    [
        ("Doe^Jane", "Doe^Janet"),
        ("Doe^Jane", "Smith^Jane"),
        ("Doe^John^^^Jr", "Doe^John^^^Sr"),
        ("Yamada^Tarou=山田^太郎", "Satou^Hanako=佐藤^花子"),
        ("=山田^太郎", "=佐藤^花子"),
    ],
)
def test_two_names_conflict(one: str, other: str) -> None:
    assert not same_person_name(one, other)


def test_one_patient_with_two_studies_has_no_conflict() -> None:
    assert conflicts([JANE, SECOND_STUDY]) == frozenset()


def test_a_birth_date_in_two_forms_does_not_conflict() -> None:
    assert not conflicts([JANE, replace(SECOND_STUDY, patient_birth_date="1960.06.11")])


@pytest.mark.parametrize(
    "empty", [{"patient_birth_date": ""}, {"patient_sex": ""}, {"patient_sex": "O"}, {"patient_name": ""}]
)
def test_an_empty_value_contradicts_nobody(empty: dict[str, str]) -> None:
    assert not conflicts([JANE, replace(SECOND_STUDY, **empty)])


@pytest.mark.parametrize(
    ("changes", "attribute"),
    [
        ({"patient_birth_date": "19610611"}, "PatientBirthDate"),
        ({"patient_sex": "M"}, "PatientSex"),
        ({"patient_name": "Roe^Richard"}, "PatientName"),
    ],
)
def test_one_patient_id_with_two_persons_conflicts(changes: dict[str, str], attribute: str) -> None:
    found = conflicts([JANE, replace(SECOND_STUDY, **changes)])

    assert found == {f"{attribute} differs between studies ..1111 and ..2222"}


def test_two_persons_within_one_study_conflict() -> None:
    found = conflicts([JANE, replace(JANE, series_instance_uid="2.25.9", patient_sex="M")])

    assert found == {"PatientSex differs within study ..1111"}


def test_a_study_under_two_patient_ids_conflicts() -> None:
    found = conflicts([JANE, replace(JANE, patient_id="P2", series_instance_uid="2.25.9")])

    assert found == {"study ..1111 came under more than one PatientID"}


def test_a_series_under_two_patient_ids_conflicts_though_the_studies_differ() -> None:
    found = conflicts([JANE, replace(JANE, patient_id="P2", study_instance_uid="2.25.2222")])

    assert found == {"series ..25.1 came under more than one PatientID"}


def test_a_study_under_two_issuers_conflicts() -> None:
    found = conflicts([JANE, replace(JANE, issuer_of_patient_id="OTHER")])

    assert "study ..1111 came under more than one IssuerOfPatientID" in found


def test_images_without_patient_id_are_not_compared_across_studies() -> None:
    nameless = replace(JANE, patient_id="")

    assert not conflicts([nameless, replace(SECOND_STUDY, patient_id="", patient_name="Roe^Richard")])


def test_a_conflict_is_told_without_the_values() -> None:
    stranger = replace(
        JANE, patient_id="P2", patient_name="Roe^Richard", patient_birth_date="19700101", patient_sex="M"
    )

    told = " ".join(conflicts([JANE, stranger]))

    assert told
    for value in ("P1", "P2", "Doe", "Roe", "1960", "1970"):
        assert value not in told


def test_one_image_sent_again_with_a_corrected_spelling_is_no_collision() -> None:
    assert collision(JANE, replace(JANE, patient_name="DOE^JANE^^Dr.", patient_birth_date="", patient_sex="")) == ""


@pytest.mark.parametrize(
    ("changes", "attribute"),
    [
        ({"patient_id": "P2"}, "PatientID"),
        ({"issuer_of_patient_id": "OTHER"}, "IssuerOfPatientID"),
        ({"patient_birth_date": "19700101"}, "PatientBirthDate"),
        ({"patient_sex": "M"}, "PatientSex"),
        ({"patient_name": "Roe^Richard"}, "PatientName"),
        ({"study_instance_uid": "2.25.2222"}, "StudyInstanceUID"),
    ],
)
def test_contents_of_one_uid_collide_by_each_attribute_of_their_identity(
    changes: dict[str, str], attribute: str
) -> None:
    assert collision(JANE, replace(JANE, **changes)) == f"its two contents differ in {attribute}"


def test_the_work_for_a_study_grows_with_its_different_values_not_with_its_series(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    compared = []
    monkeypatch.setattr("node.identity._is_latin", lambda components: compared.append(components) or True)
    series = [replace(JANE, series_instance_uid=f"2.25.{number}") for number in range(2000)]

    assert conflicts([*series, replace(JANE, patient_name="Roe^Jane", series_instance_uid="2.25.9")])
    assert len(compared) <= 4


@pytest.mark.parametrize("padded", [" P1", "P1  ", "P1\0"])
def test_padding_is_no_part_of_a_patient_id(padded: str) -> None:
    assert conflicts([JANE, replace(JANE, patient_id=padded)]) == frozenset()


@pytest.mark.parametrize("other", ["P1\N{NO-BREAK SPACE}", "P1\N{IDEOGRAPHIC SPACE}", "P1\x1f"])
def test_other_white_space_is_part_of_a_patient_id(other: str) -> None:
    assert conflicts([JANE, replace(JANE, patient_id=other)])
