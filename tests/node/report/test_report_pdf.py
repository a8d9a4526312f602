"""The PDF page: one page whatever the findings, readable by machine and person, and nothing about the patient on it."""

from dataclasses import replace
from itertools import pairwise
from pathlib import Path

import numpy as np
import pypdfium2
import pytest
from pydicom.dataset import Dataset
from pydicom.uid import EncapsulatedPDFStorage

from config.settings import ReportSettings
from inference.findings import Findings, SequenceKind, Verdict
from node.report import build_report
from node.report.pictures import drawing
from tests import dciodvfy
from tests.node.report.conftest import STYLES, VERDICTS
from tests.node.report.report_sources import BUNDLE, Study, classic_study, context_of, findings_of

SAID = {
    "benign": ["BENIGN", "21.6 %", "2 of 2 voting sequences and 6 of 6 voting images say benign."],
    "malignant": ["MALIGNANT", "78.4 %", "2 of 2 voting sequences and 6 of 6 voting images say malignant."],
    "tie": ["MALIGNANT", "50.0 %", "The votes were tied; the mean probability decided for malignant."],
    "negative": ["NO LESION DETECTED", "3 sequences, 15 images analysed.", "This does not exclude a lesion."],
    "not_analysed": ["NOT ANALYSED", "No eligible series. No sagittal series.", "a sagittal series has 0.8. 17 inst"],
}


def pdf_object(
    study: Study, findings: Findings, *, settings: dict[str, object] | None = None, **context: object
) -> Dataset:
    chosen = ReportSettings(objects=("pdf",), **(settings or {}))  # type: ignore[arg-type]  # the tests' own
    objects = build_report(findings, study.images, context_of(study, settings=chosen, **context))
    assert [made.kind for made in objects] == ["sr", "pdf"]
    return objects[1].dataset


def document_of(made: Dataset) -> bytes:
    return bytes(made.EncapsulatedDocument[: made.EncapsulatedDocumentLength])


def text_of(made: Dataset) -> str:
    """The text of the only page, each line as it stands."""
    document = pypdfium2.PdfDocument(document_of(made))
    assert len(document) == 1
    text = document[0].get_textpage().get_text_range()
    document.close()
    return "\n".join(text.splitlines())


def tops_of(made: Dataset, *words: str) -> list[float]:
    """How far below the upper edge of the page each of the words stands first, in points."""
    document = pypdfium2.PdfDocument(document_of(made))
    page, found = document[0], []
    for word in words:
        searched = page.get_textpage().search(word, match_case=True).get_next()
        assert searched is not None, word
        found.append(page.get_height() - page.get_textpage().get_charbox(searched[0])[3])
    document.close()
    return found


def picture_of(made: Dataset) -> np.ndarray:
    """RGB pixels of the page, 144 to the inch."""
    document = pypdfium2.PdfDocument(document_of(made))
    pixels = document[0].render(scale=2).to_numpy()[..., ::-1].copy()
    document.close()
    return pixels


def number_of(colour: drawing.Colour, pixels: np.ndarray) -> int:
    return int((pixels == colour).all(axis=-1).sum())


@pytest.mark.parametrize("verdict", VERDICTS)
@pytest.mark.parametrize("style", STYLES)
def test_every_answer_has_one_page_that_says_it_in_text(studies: dict[str, Study], style: str, verdict: str) -> None:
    study = studies[style]

    text = text_of(pdf_object(study, findings_of(study, verdict)))

    for said in [*SAID[verdict], "For research use only. Not for diagnosis.", "Synthetic phantom model"]:
        assert said in text
    assert "This model was trained on a synthetic phantom." in text
    for said in (BUNDLE.name, BUNDLE.version, BUNDLE.sha256, BUNDLE.trained_on, BUNDLE.validated_on):
        assert said in text


@pytest.mark.parametrize(("weight", "told"), [(0.0, True), (0.1, False)])
def test_an_age_that_has_no_weight_in_the_model_is_not_shown_as_if_it_had(
    studies: dict[str, Study], weight: float, told: bool
) -> None:
    study = studies["classic"]
    findings = replace(findings_of(study, "malignant"), parameters={"lambda_age": weight})

    text = text_of(pdf_object(study, findings))

    assert "malignant share of the age group" in text
    assert ("without weight in this model" in text) is told


@pytest.mark.skipif(not dciodvfy.installed(), reason="dicom3tools is not installed (dciodvfy)")
@pytest.mark.parametrize("verdict", VERDICTS)
@pytest.mark.parametrize("style", STYLES)
def test_dciodvfy_finds_no_error_in_the_pdf(
    studies: dict[str, Study], tmp_path: Path, style: str, verdict: str
) -> None:
    path = tmp_path / "pdf.dcm"
    pdf_object(studies[style], findings_of(studies[style], verdict)).save_as(path, enforce_file_format=True)

    assert dciodvfy.errors_of(path) == []


def test_the_encapsulated_document_is_whole_and_its_length_is_told(studies: dict[str, Study]) -> None:
    study = studies["classic"]
    notes = [f"Radiology {'x' * count}" for count in range(8)]

    made = [pdf_object(study, findings_of(study, "benign"), settings={"institution_note": note}) for note in notes]

    assert {len(one.EncapsulatedDocument) % 2 for one in made} == {0}
    assert {one.EncapsulatedDocumentLength % 2 for one in made} == {0, 1}  # else the padding was not tried
    for one in made:
        assert document_of(one).startswith(b"%PDF-")
        assert document_of(one).rstrip(b"\r\n").endswith(b"%%EOF")
        assert bytes(one.EncapsulatedDocument[one.EncapsulatedDocumentLength :]).strip(b"\0") == b""


def test_the_object_is_an_encapsulated_pdf_that_says_what_it_was_made_from(studies: dict[str, Study]) -> None:
    study = studies["classic"]
    findings = findings_of(study, "malignant")

    made = pdf_object(study, findings)

    assert made.SOPClassUID == EncapsulatedPDFStorage
    assert (made.Modality, made.MIMETypeOfEncapsulatedDocument) == ("DOC", "application/pdf")
    assert (made.BurnedInAnnotation, made.VerificationFlag) == ("NO", "UNVERIFIED")
    assert "MALIGNANT" in made.DocumentTitle
    assert "For research use only" in made.DocumentTitle
    assert (made.StudyInstanceUID, made.PatientID) == (study.series[0].study_instance_uid, "P-0001")
    assert made.SeriesDescription == "SpineNode WFF PDF - malignant"
    used = {image.sop_instance_uid for series in findings.series_used for image in series.images}
    assert {item.ReferencedSOPInstanceUID for item in made.SourceInstanceSequence} == used


def test_a_page_of_a_case_that_was_not_analysed_names_what_was_looked_at(studies: dict[str, Study]) -> None:
    study = studies["enhanced"]

    made = pdf_object(study, findings_of(study, "not_analysed"))

    assert {item.ReferencedSOPInstanceUID for item in made.SourceInstanceSequence} == set(study.images)


@pytest.mark.parametrize("verdict", ["malignant", "negative"])
def test_the_title_is_coded_as_that_of_the_structured_report(studies: dict[str, Study], verdict: str) -> None:
    study = studies["classic"]
    context = context_of(study, settings=ReportSettings(objects=("pdf",)))

    sr, pdf = (made.dataset for made in build_report(findings_of(study, verdict), study.images, context))

    assert pdf.ConceptNameCodeSequence[0].CodeValue == sr.ConceptNameCodeSequence[0].CodeValue


def test_the_page_names_the_structured_report_beside_it(studies: dict[str, Study]) -> None:
    study = studies["classic"]
    context = context_of(study, settings=ReportSettings(objects=("pdf",)))

    sr, pdf = (made.dataset for made in build_report(findings_of(study, "benign"), study.images, context))

    assert sr.SOPInstanceUID in text_of(pdf)


@pytest.mark.parametrize("verdict", ["tie", "not_analysed"])
def test_the_same_case_gives_the_same_bytes(studies: dict[str, Study], verdict: str) -> None:
    study = studies["classic"]

    first, second = (pdf_object(study, findings_of(study, verdict)) for _ in range(2))

    assert first.EncapsulatedDocument == second.EncapsulatedDocument
    assert first.to_json() == second.to_json()


@pytest.mark.parametrize("verdict", VERDICTS)
def test_no_name_number_or_birth_date_of_the_patient_is_on_the_page(studies: dict[str, Study], verdict: str) -> None:
    made = pdf_object(studies["classic"], findings_of(studies["classic"], verdict))

    document = document_of(made)
    assert not any(word in text_of(made) for word in ("Doe", "Jane", "P-0001", "1962", "A1\n"))
    assert not any(word in document for word in (b"Doe", b"P-0001", b"19620304"))  # nor in the file's own properties


@pytest.mark.parametrize(
    ("palette", "verdict"),
    [("paper", "benign"), ("paper", "malignant"), ("colour_blind_safe", "benign"), ("colour_blind_safe", "malignant")],
)
def test_headline_votes_and_boxes_have_the_colour_of_the_verdict(
    studies: dict[str, Study], palette: drawing.Palette, verdict: str
) -> None:
    colours = drawing.verdict_colours(palette)
    study = studies["classic"]

    pixels = picture_of(pdf_object(study, findings_of(study, verdict), settings={"palette": palette}))

    headline, pictures = pixels[:250], pixels[750:]
    other = Verdict.BENIGN if verdict == "malignant" else Verdict.MALIGNANT
    assert number_of(colours[Verdict(verdict)], headline) > 50_000
    assert number_of(colours[Verdict(verdict)], pictures) > 2_000
    assert number_of(colours[other], pixels) == 0


def test_the_key_slices_are_shown(studies: dict[str, Study]) -> None:
    study = studies["classic"]
    shown = picture_of(pdf_object(study, findings_of(study, "negative")))

    without = pdf_object(study, findings_of(study, "negative"), files={})

    dark = (shown.max(axis=-1) < 60).sum(), (picture_of(without).max(axis=-1) < 60).sum()
    assert dark[0] > 5 * dark[1]
    assert text_of(without).count("no picture") == 3


def test_the_table_has_one_row_per_sequence_and_one_for_the_patient(studies: dict[str, Study]) -> None:
    text = text_of(pdf_object(studies["classic"], findings_of(studies["classic"], "tie")))

    for row in ("78.4 %", "21.6 %", "70.0 %", "All sequences", "no lesion", "TR 400 ms, TE 15 ms"):
        assert row in text


def test_what_the_site_and_the_case_add_is_said(studies: dict[str, Study]) -> None:
    study = studies["classic"]

    made = pdf_object(
        study,
        findings_of(study, "malignant"),
        settings={"institution_note": "Radiology, phone 4711", "late_after_s": 60},
        revision=2,
        waited_s=7200.0 + 60,
    )

    text = text_of(made)
    for said in ("Radiology, phone 4711", "revision 2", "Late answer: analysed 2.0 hours", "Made 2026-03-04 10:11"):
        assert said in text


def test_every_script_is_written_without_empty_boxes(studies: dict[str, Study]) -> None:
    study = studies["classic"]
    detail = "Größe Łódź \N{LEFT DOUBLE QUOTATION MARK}腰椎\N{RIGHT DOUBLE QUOTATION MARK} Обзор a\u0308\x07\nnext"

    text = text_of(pdf_object(study, replace(findings_of(study, "not_analysed"), detail=detail)))

    assert "Größe Łódz \N{LEFT DOUBLE QUOTATION MARK}??\N{RIGHT DOUBLE QUOTATION MARK} ????? ä? next." in text


LONG = "Made of 4312 lesions of 1204 patients of eleven hospitals, "


def long_findings(study: Study, verdict: str) -> Findings:
    findings = findings_of(study, verdict)
    left_out = [
        replace(findings.series_left_out[0], series_instance_uid=f"1.2.{number}", detail=f"Series {number} " + detail)
        for number, detail in enumerate([LONG * 5, "腰" * 300, "x" * 900] * 10)
    ]
    return replace(
        findings,
        bundle=replace(BUNDLE, name="long-name-" * 12, trained_on=LONG * 40, validated_on=LONG * 40),
        series_left_out=tuple(left_out),
        detail=LONG * 20,
    )


@pytest.mark.parametrize("verdict", ["malignant", "negative", "not_analysed"])
def test_the_longest_case_stays_on_one_page_and_nothing_covers_anything(tmp_path: Path, verdict: str) -> None:
    study = classic_study(tmp_path, kinds=[*SequenceKind] * 5)
    settings = {"institution_note": "W" * 200, "late_after_s": 60}

    made = pdf_object(study, long_findings(study, verdict), settings=settings, revision=12)

    text = text_of(made)
    assert "the structured report names them all." in text
    assert "... (the structured report has the whole text)" in text
    assert BUNDLE.sha256 in text
    last = "Series 11" if verdict == "not_analysed" else "no lesion"
    order = tops_of(
        made, "revision 12", "Synthetic phantom model", last, "sha256", "Trained on", "Validated on", "W" * 20
    )
    assert order == sorted(order)
    assert min(after - before for before, after in pairwise(order)) > 7
    assert order[-1] < 842 - 36


def test_where_not_all_sequences_fit_those_with_boxes_are_shown(tmp_path: Path) -> None:
    study = classic_study(tmp_path, kinds=[SequenceKind.T1] * 12 + [SequenceKind.T2, SequenceKind.T2FS])
    findings = findings_of(replace_series(study, 12), "malignant")

    text = text_of(pdf_object(study, replace(findings, series_used=tuple(study.series))))

    assert text.count("1 box") == 2
    assert "And 10 more sequences; the structured report names them all." in text


def replace_series(study: Study, first: int) -> Study:
    """The same study, with the series from `first` on in front: those get the lesions."""
    return Study(images=study.images, files=study.files, series=[*study.series[first:], *study.series[:first]])
