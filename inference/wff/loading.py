"""From the files of a case to windowed slices of the series that can be analysed."""

from dataclasses import dataclass

import structlog

from inference.case import Case
from inference.errors import PixelError
from inference.findings import Reason, SeriesLeftOut
from inference.selection import EligibleSeries, patient_age_years, read_head, select_series
from inference.volume import gray_limits, load_volume, window_to_uint8
from inference.wff.networks.batches import DetectionRun, Images
from inference.wff.stage_times import StageTimes

log = structlog.get_logger(__name__)


@dataclass(frozen=True, slots=True)
class Loaded:
    """What the files of a case gave."""

    series: tuple[EligibleSeries, ...]
    images: tuple[Images, ...]
    gray_limits: tuple[tuple[float, float], ...]  # of each series, modality values
    left_out: tuple[SeriesLeftOut, ...]
    age_years: float | None


def load_series(case: Case, detection: DetectionRun, times: StageTimes) -> Loaded:
    """Selects the series, decodes them and hands each over; one with broken pixels is left out and the rest goes on."""
    with times.stage("read"):
        heads = [read_head(file) for file in case.files]
        selection = select_series(heads)
    series, images, limits, left_out = [], [], [], list(selection.left_out)
    for candidate in selection.eligible:
        try:
            with times.stage("read"):
                volume = load_volume(candidate)
                seen = gray_limits(volume)
                windowed = window_to_uint8(volume, seen)
        except PixelError as error:
            log.warning("series_left_out", case_id=case.case_id, reason=Reason.BROKEN_PIXELS, detail=str(error))
            left_out.append(_broken(candidate, error))
            continue
        with times.stage("detector"):
            detection.add(windowed)
        series.append(candidate)
        images.append(windowed)
        limits.append(seen)
    return Loaded(tuple(series), tuple(images), tuple(limits), tuple(left_out), patient_age_years(heads))


def _broken(series: EligibleSeries, error: PixelError) -> SeriesLeftOut:
    return SeriesLeftOut(
        series_instance_uid=series.series_instance_uid,
        study_instance_uid=series.study_instance_uid,
        reason=Reason.BROKEN_PIXELS,
        detail=str(error),
        instance_count=len({s.image.sop_instance_uid for s in series.slices}),
    )
