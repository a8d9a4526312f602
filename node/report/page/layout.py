"""The whole result of a case on one A4 page, as PDF. Also made when nothing was found or analysed.

Blocks of text stand one below the other from the upper edge, what the model is worth stands at the lower edge, and the
key slices take the room between them. Every block has a highest height, so the page never overflows.
"""

from collections.abc import Sequence
from typing import Final

from inference.findings import Findings, Status
from node.report import wording
from node.report.evidence import identity_note
from node.report.finish import written_at
from node.report.identifiers import MANUFACTURER, model_name
from node.report.material import Material
from node.report.page.blocks import (
    HEADING,
    Block,
    Paragraph,
    footer,
    headline,
    left_out_list,
    named_values,
    paragraphs,
    probability_bar,
    titled,
    top_line,
    warning,
)
from node.report.page.sheet import HEIGHT, MARGIN, QUIET, Sheet
from node.report.page.slices import key_slice_pictures
from node.report.page.table import vote_table
from node.report.pictures import drawing
from node.report.pictures.sequence_card import sequence_cards
from node.report.pictures.summary import key_slices

_GAP: Final = 9.0
_VOTES: Final = ", and below them the vote of every slice (B benign, M malignant)"
_WHOSE: Final = (
    "The page names no patient: name and number stand in the header of this object, where viewers show them."
)


def draw_page(material: Material) -> bytes:
    """The PDF file: one page with embedded fonts. The same material gives the same bytes."""
    findings, context = material.findings, material.context
    palette = context.settings.palette
    sheet = Sheet(title=document_title(findings), subject=wording.caveats(findings.bundle), author=MANUFACTURER)
    above, below = _above(material, palette), _below(material)
    y = MARGIN
    for block in above:
        block.draw(sheet, y)
        y += block.height + _GAP
    bottom = HEIGHT - MARGIN
    for block in reversed(below):
        bottom -= block.height
        block.draw(sheet, bottom)
        bottom -= _GAP
    _draw_slices(sheet, material, palette, y, bottom)
    return sheet.pdf()


def document_title(findings: Findings) -> str:
    """The verdict and what it is worth, for viewers that list documents by their titles."""
    return f"{model_name(findings.bundle)} (AI): {wording.headline(findings)}. {wording.caveats(findings.bundle)}"


def _above(material: Material, palette: drawing.Palette) -> Sequence[Block]:
    findings, context = material.findings, material.context
    made_at = written_at(material.sources.source, context).strftime("%Y-%m-%d %H:%M")
    revision = f", revision {context.revision}" if context.revision > 1 else ""
    blocks = [
        top_line(f"{model_name(findings.bundle)}  -  AI result{revision}", f"Made {made_at}"),
        headline(findings, palette),
    ]
    if findings.bundle.phantom_trained:
        blocks.append(warning(wording.PHANTOM_SHORT, wording.PHANTOM))
    if findings.decision is not None:
        blocks.append(probability_bar(findings.decision.probability_malignant, palette))
    late = Paragraph(text="" if context.late_s is None else wording.late(context.late_s), weight="bold")
    blocks.append(paragraphs([*_facts(findings), late]))
    if note := identity_note(findings, material.sources, context):
        blocks.append(warning("Several patient identities", note))
    if findings.status is Status.NOT_ANALYSED:
        if findings.series_left_out:
            blocks.append(titled("Series left out", left_out_list(findings)))
    elif findings.series_used:
        title = "What it was decided on" if findings.decision else "What was read"
        blocks.append(titled(title, vote_table(findings, palette)))
    return blocks


def _facts(findings: Findings) -> list[Paragraph]:
    if findings.status is Status.NOT_ANALYSED:
        return [Paragraph(text=wording.not_analysed(findings))]
    left_out = Paragraph(text=wording.left_out_in_short(findings), colour=QUIET)
    if findings.decision is None:
        images = sum(len(series.images) for series in findings.series_used)
        seen = f"{wording.counted(len(findings.series_used), 'sequence')}, {wording.counted(images, 'image')} analysed."
        return [Paragraph(text=f"{seen} {wording.NO_LESION_CAVEAT}"), left_out]
    return [
        Paragraph(text=wording.sentence(wording.votes_of_patient(findings))),
        Paragraph(text=wording.how_decided(findings.decision)),
        Paragraph(text=f"{wording.age_term(findings)}.", colour=QUIET),
        left_out,
    ]


def _below(material: Material) -> Sequence[Block]:
    bundle = material.findings.bundle
    model = [
        ("Model", f"{bundle.name} {bundle.version} ({model_name(bundle)})"),
        ("sha256", bundle.sha256),
        ("Trained on", bundle.trained_on or "Not stated."),
        ("Validated on", bundle.validated_on or "Not stated."),
        ("Full result", f"structured report {material.identity('sr', 1).sop_instance_uid}"),
    ]
    return [titled("Model", named_values(model, most=3)), footer(material.context.settings.institution_note, _WHOSE)]


def _draw_slices(sheet: Sheet, material: Material, palette: drawing.Palette, top: float, bottom: float) -> None:
    findings = material.findings
    if findings.status is Status.NOT_ANALYSED:
        return
    cards = sequence_cards(findings, key_slices(findings), material.pictures)
    pictures = key_slice_pictures(cards, palette, room=bottom - top - HEADING)
    if pictures is not None:
        titled(f"Key slices{_VOTES if findings.decision else ''}", pictures).draw(sheet, top)
