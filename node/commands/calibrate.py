"""`spinenode calibrate`: the probabilities of a bundle, fitted to a site's own labelled patients."""

from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

if TYPE_CHECKING:
    from inference.findings import BundleIdentity
    from inference.wff.calibration.fitting import Quality, SiteCalibration
    from inference.wff.calibration.run import CalibrationRun


def register(app: typer.Typer) -> None:
    app.command()(calibrate)


def calibrate(
    bundle: Annotated[Path, typer.Option("--bundle", metavar="FOLDER", help="The bundle to start from.")],
    data: Annotated[
        Path, typer.Option("--data", metavar="DATASET", help="Labelled patients, from `spinenode data import`.")
    ],
    out: Annotated[Path, typer.Option("--out", metavar="NEW", help="The folder of the new bundle.")],
    name: Annotated[
        str | None, typer.Option("--name", help="Of the new bundle; without it the parent's and '-calibrated'.")
    ] = None,
    split: Annotated[
        Path | None, typer.Option("--split", metavar="FILE", help="splits.json of a training; else all patients.")
    ] = None,
    part: Annotated[
        str, typer.Option("--part", help="Of the split: held_out, training, fold-1, fold-2, ...")
    ] = "held_out",
    even_if_seen: Annotated[
        bool,
        typer.Option("--even-if-seen", help="Take cases that the bundle was trained or calibrated on; reports say so."),
    ] = False,
    even_if_worse: Annotated[
        bool, typer.Option("--even-if-worse", help="Write the bundle although the log loss rises, by more than chance.")
    ] = False,
    processes: Annotated[
        int,
        typer.Option(
            "--processes", min=1, max=256, help="Copies of the networks on the CPU; 1 uses a GPU if there is one."
        ),
    ] = 1,
    as_json: Annotated[bool, typer.Option("--json", help="As JSON.")] = False,
) -> None:
    """Fit the probability calibration and the age table to a site's labelled patients; write a new bundle.

    The networks stay as they are, byte for byte. Both classes need at least 10 patients with a detection.

    Cases that the bundle was trained on are refused: of its own data set, name the split.
    """
    from inference.durable_files import require_writable
    from inference.errors import CalibrationError
    from inference.wff.calibration.run import CalibrationRequest, CalibrationRun
    from node.commands.output import show_json
    from node.commands.stages import Stages
    from node.commands.surroundings import quiet_logs

    quiet_logs()
    if out.exists():  # told before the networks have run for an hour
        raise CalibrationError(f"{out} exists already: a bundle is never changed; choose another folder")
    require_writable(out)
    run = CalibrationRun(
        CalibrationRequest(bundle=bundle, data=data, splits=split, part=part, even_if_seen=even_if_seen)
    )
    with Stages(shown=True) as stages:
        made = run.fit(processes=processes, report=stages.report)
    if not as_json:
        _show(made, run)
    identity = run.write(made, out, name=name, even_if_worse=even_if_worse)
    if as_json:
        show_json(_as_data(made, identity, run))
    else:
        _tell(identity, out)


def _show(made: "SiteCalibration", run: "CalibrationRun") -> None:
    from inference.evaluation.subject import PHANTOM_HEADING
    from inference.wff.calibration.fitting import FOLDS
    from node.commands.output import show_table, show_text

    cases, fusion = made.cases, made.model.fusion
    rows = [
        (name, before, after) for (name, before), (_, after) in zip(_rows(made.before), _rows(made.after), strict=True)
    ]
    heading = f"{PHANTOM_HEADING}: " if run.is_phantom else ""
    title = f"{heading}{cases.malignant} malignant and {cases.benign} benign patients"
    show_table(title, ("", "before", f"after, {FOLDS}-fold cross-validated"), rows)
    show_text(f"slope {fusion.calibration_slope:.4f}, intercept {fusion.calibration_intercept:+.4f} of the logit")
    show_text(made.worth)
    show_text(f"{100 * cases.malignant_share:.0f} % of the cases are malignant: the probabilities hold that case mix")
    if cases.undetected:
        show_text(f"{cases.undetected} patients have no detection: no probability, counted as benign")
    if run.data.overlap:
        show_text(run.data.overlap)


def _rows(quality: "Quality") -> list[tuple[str, str]]:
    probabilities = quality.probabilities
    return [
        ("log loss", f"{quality.log_loss:.4f}"),
        ("Brier score", str(probabilities.brier)),
        ("expected calibration error", str(probabilities.expected_error)),
        ("calibration slope (1)", str(probabilities.slope or "")),
        ("calibration intercept (0)", str(probabilities.intercept or "")),
        ("decision right", str(quality.accuracy)),
    ]


def _tell(identity: "BundleIdentity", out: Path) -> None:
    from node.commands.output import show_text

    show_text(f"{identity.name} {identity.version} written to {out}, sha256 {identity.sha256}")
    show_text("set it as worker.bundle, then restart the node")


def _as_data(made: "SiteCalibration", identity: "BundleIdentity", run: "CalibrationRun") -> dict[str, Any]:
    from dataclasses import asdict

    return {
        "bundle": {"name": identity.name, "version": identity.version, "sha256": identity.sha256},
        "cases": {
            **asdict(made.cases),
            "patients": made.cases.patients,
            "malignant_share": made.cases.malignant_share,
        },
        "calibration_slope": made.model.fusion.calibration_slope,
        "calibration_intercept": made.model.fusion.calibration_intercept,
        "before": asdict(made.before),
        "after_cross_validated": asdict(made.after),
        "change_of_log_loss": asdict(made.change),
        "overlap": run.data.overlap,
        "is_phantom": run.is_phantom,
    }
