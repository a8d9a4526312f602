"""What the inference benchmark prints."""

from typing import Any, Final

USUAL_SLICES: Final = 60  # of a patient: 4 sequences of 15


def as_text(result: dict[str, Any]) -> str:
    limits, on = result["limits"], result["machine"]
    less = "" if result["slices"] == USUAL_SLICES else f" (a usual patient has {USUAL_SLICES})"
    lines = [
        (
            f"{result['size']} size: {result['sequences']} sequences, {result['slices']} slices{less}, "
            f"{result['rounds']} rounds in turn"
        ),
        (
            f"{result['device']}, {result['threads']} threads, {result['precision']}; {on['processor']}, "
            f"{on['cores']} cores, load {on['load_average']} at the end, waiting threads {result['waiting_threads']}"
        ),
        *([f"runs with {', '.join(result['changed'])}"] if result["changed"] else []),
        f"boxes: {result['boxes']}",
        *(_line(name, result) for name in result["seconds_per_patient"]),
        f"  {' / '.join(reversed(result['seconds_per_patient']))}: {result['ratio']:.2f} x",
        (
            f"counted: {limits['gigaflop_per_slice']:.1f} GF per slice, {limits['gigaflop_per_clip']:.1f} per clip, "
            f"{limits['gigaflop']:.0f} in all; measured peak "
            + ", ".join(f"{peak:.0f} GF/s ({name})" for name, peak in limits["peak_gigaflop_per_s"].items())
        ),
        "stages: " + ", ".join(f"{name} {1e3 * s:.1f} ms" for name, s in result["stage_seconds"].items()),
        "one batch, one worker: "
        + ", ".join(f"{k} {1e3 * s:.1f} ms/slice" for k, s in result["detector_parts_seconds"].items()),
        (
            f"reading DICOM: {result['read']['headers_ms']:.2f} ms/slice headers, "
            f"{result['read']['pixels_ms']:.2f} ms/slice pixels; it runs beside the networks"
        ),
    ]
    return "\n".join(lines) + "\n"


def _line(name: str, result: dict[str, Any]) -> str:
    took, limits = result["seconds_per_patient"][name], result["limits"]
    p95 = f"{1e3 * took['p95']:9.0f} p95" if "p95" in took else ""
    return (
        f"  {name:14} {1e3 * took['median']:9.0f} ms median {p95}   "
        f"{1e3 * took['median'] / result['slices']:8.1f} ms/slice   {limits['gigaflop_per_s'][name]:7.0f} GF/s = "
        f"{100 * limits['share_of_peak'][name]:3.0f} % of peak   {result['peak_memory_mib'][name]:6.0f} MiB"
    )
