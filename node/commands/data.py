"""`spinenode data`: from a folder of DICOM, annotations and pathology to a data set, or to a list of its faults."""

import logging
import warnings
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from node.commands.surroundings import quiet_logs

if TYPE_CHECKING:
    from inference.labels.data_set import Imported

_FAULTY = 1

app = typer.Typer(no_args_is_help=True, help="Labelled studies: check a folder, and make a data set of it.")

Folder = Annotated[Path, typer.Argument(metavar="FOLDER", help="DICOM files, annotations and pathology.csv.")]
AsJson = Annotated[bool, typer.Option("--json", help="As JSON.")]
WithInfo = Annotated[
    bool, typer.Option("--info", help="List also what is usual: series of other planes, for instance.")
]


def register(parent: typer.Typer) -> None:
    parent.add_typer(app, name="data")


@app.command()
def check(folder: Folder, with_info: WithInfo = False, as_json: AsJson = False) -> None:
    """List every fault of a labelled folder: whose, where, and what to do. Status 1 when there are errors.

    Nothing is changed. The list names PatientIDs and files, never names.
    """
    _quiet()
    from inference.labels.check import check_folder
    from inference.labels.faults import Severity
    from node.commands.data_view import as_data, show_faults
    from node.commands.output import show_json
    from node.commands.stages import Stages

    with Stages(shown=not as_json) as stages:
        checked = check_folder(folder, stages.report)
    if as_json:
        show_json(as_data(checked))
    else:
        show_faults(checked, with_info=with_info)
    if checked.counts[Severity.ERROR]:
        raise typer.Exit(_FAULTY)


@app.command("import")
def import_(
    folder: Folder,
    out: Annotated[Path, typer.Option("--out", metavar="DATASET", help="The data set; a new or empty folder.")],
    leave_out_faulty: Annotated[
        bool, typer.Option("--leave-out-faulty", help="Leave out patients with errors instead of refusing the folder.")
    ] = False,
    key: Annotated[
        Path | None,
        typer.Option("--key", metavar="FILE", help="Who is who; without it patients-key.csv beside the data set."),
    ] = None,
    no_key: Annotated[bool, typer.Option("--no-key", help="Write nowhere who is who.")] = False,
    as_json: AsJson = False,
) -> None:
    """Check the folder, then make a data set of it: patients by pseudonym, images as the node shows its nets."""
    _quiet()
    from inference.labels.check import check_folder
    from inference.labels.data_set import require_room, write_data_set
    from inference.labels.pseudonyms import KEY_FILE
    from node.commands.data_view import as_data, show_faults
    from node.commands.output import show_json
    from node.commands.stages import Stages

    if no_key and key is not None:
        raise typer.BadParameter("it contradicts --key", param_hint="--no-key")
    key_file = None if no_key else key or out.absolute().parent / KEY_FILE
    require_room(out, key_file)  # before the long check
    with Stages(shown=not as_json) as stages:
        checked = check_folder(folder, stages.report)
    if not as_json:
        show_faults(checked, with_info=False)
    with Stages(shown=not as_json) as stages:
        imported = write_data_set(
            checked, out, key_file=key_file, leave_out_faulty=leave_out_faulty, progress=stages.report
        )
    data = {**as_data(checked), "data_set": str(out), "key": key_file and str(key_file), **_summary(imported)}
    if as_json:
        show_json(data)
    else:
        _print(data)


def _quiet() -> None:
    """pydicom has a word on every oddity of a file, thousands in an archive; the list of faults is the answer."""
    import pydicom.config  # sets the level of its logger when it is loaded

    quiet_logs()
    pydicom.config.logger.setLevel(logging.CRITICAL)
    warnings.filterwarnings("ignore", module="pydicom")


def _summary(imported: "Imported") -> dict[str, Any]:
    patients = imported.patients
    series = [one for patient in patients for one in patient.series]
    verdicts = [patient.verdict for patient in patients]
    return {
        "imported": {
            "patients": len(patients),
            "benign": verdicts.count("benign"),  # type: ignore[arg-type]  # a Verdict is its text
            "malignant": verdicts.count("malignant"),  # type: ignore[arg-type]
            "lesion_free": verdicts.count(None),
            "series": len(series),
            "images": sum(len(one.boxes) for one in series),
            "images_with_boxes": sum(len(one.labelled_slices) for one in series),
            "boxes": sum(len(boxes) for one in series for boxes in one.boxes),
        },
        "left_out": [{"patient_id": one.patient_id, "issuer": one.issuer} for one in imported.left_out],
    }


def _print(data: dict[str, Any]) -> None:
    from node.commands.data_view import counted
    from node.commands.output import show_text

    made = data["imported"]
    show_text(
        f"{data['data_set']}: {counted(made['patients'], 'patient')} ({made['benign']} benign, {made['malignant']} "
        f"malignant, {made['lesion_free']} lesion-free), {made['series']} series, {counted(made['images'], 'image')}, "
        f"{made['boxes']} boxes on {made['images_with_boxes']} of them"
    )
    if left_out := data["left_out"]:
        names = ", ".join(one["patient_id"] for one in left_out)
        show_text(f"left out, with errors: {counted(len(left_out), 'patient')} ({names})")
    if data["key"] is not None:
        show_text(f"{data['key']} says who is who: keep it apart from the data set")
