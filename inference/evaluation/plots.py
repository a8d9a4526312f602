"""The plots of the evaluation page, as inline SVG. Colours differ for the colour-blind; lines differ in dash, too."""

import io
import re
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any, Final

from inference.errors import EvaluationError
from inference.evaluation.decision_curve import DecisionCurve
from inference.evaluation.froc import RATES, Froc
from inference.evaluation.metrics import Confusion
from inference.evaluation.probability_calibration import ProbabilityCalibration
from inference.evaluation.results import RegionRow, SequencesRow
from inference.evaluation.roc import RocBand, RocCurve

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

# Okabe and Ito's colours, told apart with every common kind of colour vision
_BLUE, _ORANGE, _GREEN, _RED, _GREY = "#0072b2", "#e69f00", "#009e73", "#d55e00", "#6b7580"
_SIZE: Final = (5.2, 4.2)  # inches
_WIDE: Final = (9.6, 3.6)
_MOST_FALSE_BOXES: Final = 12.0  # right end of the axis
_FONT: Final = "DejaVu Sans"
_SETTINGS: Final[dict[Any, Any]] = {
    "svg.fonttype": "none",  # text stays text: small, and found by a search
    "svg.hashsalt": "evaluation",  # the same plot, the same bytes
    "font.family": _FONT,
    "font.size": 10,
    "axes.spines.top": False,
    "axes.spines.right": False,
    "axes.grid": True,
    "grid.color": "#e3e7ec",
    "legend.frameon": False,
    "axes.axisbelow": True,
}


def require_plots() -> None:
    """Raises EvaluationError where matplotlib is not installed."""
    try:
        import matplotlib.figure  # noqa: F401  only whether it is there
    except ImportError as error:
        raise EvaluationError(
            'the page needs matplotlib, which is not installed; run: pip install "spinenode[science]"'
        ) from error


def roc_plot(curves: Sequence[RocCurve], band: RocBand, *, main: str, counts: Confusion) -> str:
    """The curve `main` with its band and the point where it decides; the others thin."""
    with _drawing() as (figure, axes):
        axes.fill_between(band.false_positive_rate, band.low, band.high, step="post", color=_BLUE, alpha=0.18, lw=0)
        axes.plot([0, 1], [0, 1], color=_GREY, lw=1, ls=":", label="chance")
        dashes = iter((("--", _ORANGE), ("-.", _GREEN), ((0, (1, 1)), _RED)))
        for curve in curves:
            style, colour = ("-", _BLUE) if curve.name == main else next(dashes)
            width = 2.2 if curve.name == main else 1.3
            label = f"{curve.name}, with 95 % band" if curve.name == main else curve.name
            axes.plot(
                curve.false_positive_rate, curve.true_positive_rate, color=colour, ls=style, lw=width, label=label
            )
        point = (1 - counts.specificity.value, counts.sensitivity.value)
        axes.plot(*point, "o", color="white", mec=_BLUE, mew=2, ms=8, label="decision of the model")
        _square(axes, "1 - specificity", "sensitivity")
        axes.legend(loc="lower right")
        return _svg(figure, "roc")


def reliability_plot(calibration: ProbabilityCalibration) -> str:
    with _drawing() as (figure, axes):
        axes.plot([0, 1], [0, 1], color=_GREY, lw=1, ls=":", label="perfect")
        for one in calibration.bins:
            if one.mean_probability is None or one.malignant_interval is None:
                continue
            fraction, (low, high) = one.malignant / one.patients, one.malignant_interval
            axes.plot([one.mean_probability] * 2, [low, high], color=_BLUE, lw=1.5)
            axes.plot(one.mean_probability, fraction, "o", color=_BLUE, ms=6)
            axes.annotate(
                str(one.patients), (one.mean_probability, fraction), (6, -3), textcoords="offset points", fontsize=8
            )
        _square(axes, "probability that the model gave", "fraction that was malignant")
        axes.legend(loc="upper left")
        return _svg(figure, "reliability")


def decision_curve_plot(curve: DecisionCurve, prevalence: float) -> str:
    with _drawing() as (figure, axes):
        axes.plot(curve.thresholds, curve.model, color=_BLUE, lw=2.2, label="as the model says")
        axes.plot(curve.thresholds, curve.treat_all, color=_ORANGE, ls="--", label="act on everybody")
        axes.axhline(0.0, color=_GREY, ls=":", label="act on nobody")
        axes.set_xlim(0, 1)
        axes.set_ylim(-0.1 * prevalence - 0.02, 1.35 * prevalence)  # room for the legend
        axes.set_xlabel("threshold probability")
        axes.set_ylabel("net benefit per patient")
        axes.legend(loc="upper right")
        return _svg(figure, "decision")


def froc_plot(froc: Froc) -> str:
    with _drawing() as (figure, axes):
        axes.plot(froc.false_boxes, froc.sensitivity, color=_BLUE, lw=2, drawstyle="steps-post", label="detector")
        last = (froc.false_boxes[-1], froc.sensitivity[-1])  # it never makes more false boxes
        axes.plot([last[0], _MOST_FALSE_BOXES], [last[1]] * 2, color=_BLUE, lw=1, ls=":")
        for rate, point in zip(RATES, froc.at_rates, strict=True):
            axes.plot([rate, rate], [point.low, point.high], color=_BLUE, lw=1.2)
        axes.plot(RATES, [point.value for point in froc.at_rates], "o", color=_BLUE, ms=5, label="with 95 % interval")
        axes.set_xscale("log", base=2)
        axes.set_xlim(1 / 16, _MOST_FALSE_BOXES)
        axes.set_xticks(RATES, ["1/8", "1/4", "1/2", "1", "2", "4", "8"])
        axes.minorticks_off()
        axes.set_ylim(0, 1.02)
        axes.set_xlabel(f"mean false boxes per {froc.unit}")
        axes.set_ylabel("labelled boxes found" if froc.unit == "image" else "patients with a lesion found")
        axes.legend(loc="lower right")
        return _svg(figure, f"froc-{froc.unit}")


def regions_plot(rows: Sequence[RegionRow]) -> str:
    with _drawing() as (figure, axes):
        names = [row.region for row in rows]
        axes.bar(names, [row.right for row in rows], color=_BLUE, width=0.6, label="right")
        bottoms = [row.right for row in rows]
        axes.bar(
            names, [row.wrong for row in rows], bottom=bottoms, color=_ORANGE, hatch="//", width=0.6, label="wrong"
        )
        for place, row in enumerate(rows):
            axes.text(
                place, row.right + row.wrong, f"{row.wrong} of {row.right + row.wrong} wrong", ha="center", va="bottom"
            )
        axes.set_ylabel("patients with a lesion there")
        axes.grid(visible=False, axis="x")
        axes.margins(y=0.22)
        axes.legend(loc="upper right", ncols=2)
        return _svg(figure, "regions")


def sequences_plot(rows: Sequence[SequencesRow]) -> str:
    """Accuracy of every strategy by what sequences vote."""
    strategies = list(dict.fromkeys(row.strategy for row in rows))
    choices = list(dict.fromkeys(row.sequences for row in rows))
    looks = ((_ORANGE, "//"), (_GREEN, ".."), (_BLUE, ""))
    with _drawing(_WIDE) as (figure, axes):
        width = 0.8 / len(choices)
        for number, (choice, (colour, hatch)) in enumerate(zip(choices, looks, strict=False)):
            of_choice = [row.performance.accuracy for row in rows if row.sequences == choice]
            places = [place + (number - (len(choices) - 1) / 2) * width for place in range(len(strategies))]
            values = [one.value for one in of_choice]
            errors = [[v - one.low for v, one in zip(values, of_choice, strict=True)]]
            errors.append([one.high - v for v, one in zip(values, of_choice, strict=True)])
            axes.bar(
                places, values, width * 0.92, color=colour, hatch=hatch, edgecolor="white", label=choice, yerr=errors,
                error_kw={"ecolor": "#1b2430", "elinewidth": 1, "capsize": 2},
            )  # fmt: skip
        axes.set_xticks(
            range(len(strategies)), [name.replace("as the bundle ", "as the bundle\n") for name in strategies]
        )
        axes.set_ylim(0, 1.0)
        axes.set_ylabel("accuracy")
        axes.grid(visible=False, axis="x")
        axes.legend(loc="lower left", bbox_to_anchor=(0, 1), ncols=len(choices))
        return _svg(figure, "sequences")


@contextmanager
def _drawing(size: tuple[float, float] = _SIZE) -> Iterator[tuple["Figure", "Axes"]]:
    require_plots()
    from matplotlib import rc_context
    from matplotlib.figure import Figure

    with rc_context(_SETTINGS):
        figure = Figure(figsize=size, layout="constrained")
        yield figure, figure.add_subplot()


def _square(axes: "Axes", x_label: str, y_label: str) -> None:
    axes.set_xlim(-0.01, 1.01)
    axes.set_ylim(-0.01, 1.01)
    axes.set_xlabel(x_label)
    axes.set_ylabel(y_label)


def _svg(figure: "Figure", name: str) -> str:
    """The SVG element alone. Its identifiers get `name` in front: one page holds several plots."""
    stream = io.StringIO()
    figure.savefig(stream, format="svg", metadata={"Date": None, "Creator": None, "Format": None, "Type": None})
    whole = stream.getvalue()
    svg = re.sub(r"<metadata>.*?</metadata>", "", whole[whole.index("<svg") :], flags=re.DOTALL)
    svg = re.sub(r'\bid="', f'id="{name}-', svg)
    svg = re.sub(r"url\(#", f"url(#{name}-", svg)
    svg = re.sub(r'href="#', f'href="#{name}-', svg)
    return svg.replace(f"'{_FONT}'", f"'{_FONT}', system-ui, sans-serif").strip()
