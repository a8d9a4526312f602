"""What every report object is made from."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from functools import cached_property

from inference.findings import Findings, ImageReference
from node.report import wording
from node.report.context import ReportContext, ReportKind
from node.report.evidence import SourceImages, identity_note
from node.report.finish import ObjectIdentity, object_identity
from node.report.pictures.overlay import MOST_OVERLAYS, Overlay, draw_overlays, overlay_subjects
from node.report.pictures.slice_picture import SlicePicture


@dataclass(frozen=True, kw_only=True)
class Material:
    """One case revision, looked up once for all of its objects.

    `pictures` are the slices that can be shown: those with a finding and the key slice of each series, as far as the
    wanted objects need them and their pixels could be read.
    """

    findings: Findings
    sources: SourceImages
    context: ReportContext
    pictures: Mapping[ImageReference, SlicePicture]
    left_out: list[str] = field(default_factory=list)  # what objects that were made do not show, for the report

    def identity(self, kind: ReportKind, index: int) -> ObjectIdentity:
        """Of the `index`-th object (from 1) of a kind."""
        return object_identity(
            kind, index, bundle=self.findings.bundle, context=self.context, outcome=wording.outcome(self.findings)
        )

    @cached_property
    def overlays(self) -> list[Overlay]:
        """Drawn when they are first wanted; the report tells how many images with a box are not among them."""
        drawn, count = draw_overlays(self.findings, self.pictures, self.context.settings.palette), self.boxed_images
        if 0 < len(drawn) < count:
            self.left_out.append(wording.overlays_left_out(count - len(drawn), count, most=MOST_OVERLAYS))
        return drawn

    @property
    def boxed_images(self) -> int:
        return len(overlay_subjects(self.findings))

    @property
    def warning(self) -> str:
        """What a reader of this report must know besides the result: doubts of identity, a late answer; or empty."""
        late = self.context.late_s
        notes = [identity_note(self.findings, self.sources, self.context), "" if late is None else wording.late(late)]
        return " ".join(filter(None, notes))
