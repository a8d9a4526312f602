"""Progress over the patients of a long run, for whoever shows it."""

from collections.abc import Callable

Report = Callable[[str, int, int], None]  # stage, patients done, of how many


def patient_counter(stage: str, total: int, report: Report | None) -> Callable[[], None]:
    """To be called once per patient."""
    done = 0

    def one_more() -> None:
        nonlocal done
        done += 1
        if report is not None:
            report(stage, done, total)

    return one_more
