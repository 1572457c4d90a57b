"""HTML from Python: values as text, elements, tables; every text is escaped unless it is `Html`.

One way to write each kind of value, with true minus signs, and a dash where there is none:

    percent(0.8912)                          → 89.1%
    score(0.8912, "accuracy")                → 89.1%       score(-0.0135, "spearman") → −0.013
    interval_text([0.871, 0.911], "accuracy") → 87.1–91.1
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from html import escape
from typing import Any, NamedTuple

from ssl_lib.evaluation import skills
from ssl_lib.evaluation.tasks import TASKS
from ssl_lib.report.inputs import Result, is_interval, known

NONE = "–"
EMPTY_ELEMENTS = frozenset({"meta", "br", "line", "circle", "path", "rect", "polyline"})
NAMES = {
    "mlm": "Masked language model",
    "ntp": "Next token",
    "contrastive": "Contrastive",
    "denoising": "Denoising",
    "numerical": "Numerical",
    "tfidf_words": "TF-IDF, words",
    "tfidf_characters": "TF-IDF, characters",
    "char_cnn": "char-CNN",
    "ngram_counts": "n-gram counts",
    "ppmd": "PPMd, primed",
    "xz": "xz, primed",
    "tfidf_and_values": "TF-IDF with values",
    "tfidf_and_units": "TF-IDF with amounts in base units",
    "number_finder_and_units": "Number finder and unit table",
    "twin_and_units": "Twin and unit table",
    "all_documents": "Language, all documents",
    "tfidf_svd": "TF-IDF and SVD",
    "nearest_contexts": "25 nearest contexts",
    "words_before": "Table of the words before",
    "words_on_both_sides": "Table of the words on both sides",
    "causal_alone": "The trained model, from the left alone",
    "as_it_is": "The text as it is",
    "spelling": "Spelling corrector",
    "log10_error": "Numbers that are not determined",
    "crps": "All numbers",
}
METRICS = {
    "spearman": "Spearman",
    "rmse": "RMSE",
    "auc": "AUC",
    "error_decades": "error, orders of magnitude",
    "crps_decades": "CRPS, orders of magnitude",
    "exact_match": "exact",
    "accuracy_at_1": "nearest is right",
    "f1_of_edits": "F1 of edits",
    "right": "share right",
    "exact_rows": "exactly the clean text",
    "left_alone": "clean words left alone",
    "coverage": "share inside the interval",
}
Rows = list[list[Any]]  # the cells of a table
SHARES = ("accuracy", "exact_match")  # and the metric of every task whose unit is %


class Html(str):
    """Text that is markup already."""

    __slots__ = ()


class Cell(NamedTuple):
    """A cell of a heat map: `share` (0 to 1) says how dark it is, `wrong` in another color."""

    shown: str
    share: float
    wrong: bool = False


def spaced(key: str) -> str:
    """A key of the files in small letters: `date_part` → date part."""
    return key.replace("_", " ")


def name(key: str) -> str:
    """A key of the files as words: the title of a task, or `bag_of_tokens` → Bag of tokens."""
    if key in TASKS:
        return TASKS[key].title
    words = spaced(key)
    return NAMES.get(key) or words.capitalize()


def metric_name(metric: str) -> str:
    """A metric as words: `bits_per_byte` → bits per byte."""
    words = spaced(metric)
    return METRICS.get(metric, words)


def is_share(metric: str) -> bool:
    """Is a value of this metric a share, written in percent?"""
    return (
        metric in SHARES
        or metric in skills.SHARES
        or any(task.metric == metric and task.unit == "%" for task in TASKS.values())
    )


def number(value: Any, digits: int = 3) -> str:
    """A number with a fixed count of decimals and thousands separators: 1,234.500."""
    if not known(value):
        return NONE
    # −0.013 with a true minus sign, which is as wide as the digits
    text = f"{value:,.{digits}f}"
    return text.replace("-", "−")


def count(value: Any) -> str:
    """A whole number: 1,234."""
    return number(value, 0)


def percent(value: Any, digits: int = 1) -> str:
    """A share as a percentage: 0.8912 → 89.1%."""
    if known(value):
        return number(100 * value, digits) + "%"
    return NONE


def whole_percent(value: Any) -> str:
    """A share as a whole percentage: 0.4 → 40%."""
    return percent(value, 0)


def short(value: Any, digits: int = 4) -> str:
    """A number of any size in a few significant digits: 0.3125, 1,234, 1.5e+09."""
    if not known(value):
        return NONE
    # 0.31249999 → 0.3125; 0.00002 → 2e-05; 12345.6 → 12,350; 1.5e9 → 1.5e+09
    rounded = float(f"{value:.{digits}g}")
    size = abs(rounded)
    if rounded != 0 and not 1e-4 <= size < 1e9:
        text = f"{rounded:g}"
    elif size >= 10**digits:
        text = f"{rounded:,.0f}"
    else:
        text = f"{rounded:,.{digits}g}"
    return text.replace("-", "−")


def score(value: Any, metric: str) -> str:
    """A value in the way of its metric: shares in percent, correlations with three decimals."""
    if is_share(metric):
        return percent(value)
    if metric == "rmse":
        return short(value)
    return number(value)


def interval_text(interval: Any, metric: str) -> str:
    """An interval in the way of its metric, without percent signs: 91.9–94.8."""
    if not is_interval(interval):
        return NONE
    # A dash beside a minus sign would be misread: −0.034 to 0.007.
    low, high = (score(end, metric).removesuffix("%") for end in interval)
    if "−" in low + high:
        return f"{low} to {high}"
    return f"{low}–{high}"


def gain(value: Any, metric: str) -> str:
    """A signed difference; of shares in percentage points: +64.0 pt."""
    if not known(value):
        return NONE
    text = f"{number(100 * value, 1)} pt" if is_share(metric) else score(value, metric)
    if value > 0:
        return f"+{text}"
    return text


def duration(seconds: Any) -> str:
    """Seconds as a person says them: 21.5 s, 5 min, 3 h 20 min."""
    if not known(seconds):
        return NONE
    if seconds < 120:
        return f"{seconds:.1f} s"
    minutes = round(seconds / 60)
    if minutes < 120:
        return f"{minutes} min"
    return f"{minutes // 60} h {minutes % 60} min"


def safe(child: Any) -> str:
    """A child as markup: `Html` as it is, anything else escaped."""
    if isinstance(child, Html):
        return child
    return escape(str(child), quote=True)


def join(*children: Any) -> Html:
    """Several children as one; None is left out."""
    return Html("".join(safe(child) for child in children if child is not None))


def tag(name: str, /, *children: Any, **attributes: Any) -> Html:
    """One element: `tag("td", "5 < 6", class_="n")` → `<td class="n">5 &lt; 6</td>`.

    `class_` stands for class, `aria_label` for aria-label; attributes that are None are left out.
    """
    written = ""
    for key, value in attributes.items():
        if value is not None:
            # class_ → class, fill_opacity → fill-opacity
            attribute = key.rstrip("_").replace("_", "-")
            written += f' {attribute}="{escape(str(value), quote=True)}"'
    # HTML has <br>, SVG inside HTML has <line/>.
    if name in ("meta", "br"):
        return Html(f"<{name}{written}>")
    if name in EMPTY_ELEMENTS:
        return Html(f"<{name}{written}/>")
    return Html(f"<{name}{written}>{join(*children)}</{name}>")


def paragraph(*children: Any, class_: str | None = None) -> Html:
    """A paragraph."""
    return tag("p", *children, class_=class_)


def note(text: str) -> Html:
    """What must be known to read a table, below it."""
    return paragraph(text, class_="note")


def absent(what: str) -> Html:
    """The one line that stands where a part has no data."""
    return paragraph(what, class_="absent")


def with_interval(value: Any, interval: Any, metric: str) -> Html:
    """A value and, below it, its 95% interval."""
    shown = score(value, metric)
    return _above_interval(shown, interval, metric)


def gain_with_interval(value: Any, interval: Any, metric: str) -> Html:
    """A signed difference and, below it, its 95% interval."""
    shown = gain(value, metric)
    return _above_interval(shown, interval, metric)


def _above_interval(shown: str, interval: Any, metric: str) -> Html:
    # <span class="v">89.1%</span><span class="ci">87.1–91.1</span>
    value = tag("span", shown, class_="v")
    if not is_interval(interval):
        return value
    return join(value, small(interval_text(interval, metric)))


def small(words: str) -> Html:
    """Words in small type on a line of their own, inside a cell."""
    return tag("span", words, class_="ci")


def before_cell(result: Result) -> Html:
    """The result of the randomly initialised twin."""
    return with_interval(result.before, result.before_ci95, result.metric)


def after_cell(result: Result) -> Html:
    """The result of the trained model."""
    return with_interval(result.after, result.after_ci95, result.metric)


def gain_cell(result: Result) -> Html:
    """After - before with the interval of the paired difference."""
    return gain_with_interval(result.gain, result.difference_ci95, result.metric)


def table(
    caption: str,
    head: Sequence[Any],
    rows: Iterable[Sequence[Any]],
    words: int = 1,
    foot: Sequence[Any] | None = None,
) -> Html:
    """A table that scrolls inside its box; its first `words` columns hold words, others numbers.

    The first cell of a row is its heading: `<tr><th scope="row">Addition</th><td class="n">111...`.
    """
    # The class n aligns numbers to the right.
    kinds = [None if i < words else "n" for i in range(len(head))]

    def row(cells: Sequence[Any]) -> Html:
        first = tag("th", cells[0], scope="row", class_=kinds[0])
        others = zip(cells[1:], kinds[1:], strict=True)
        return tag("tr", first, *(tag("td", cell, class_=kind) for cell, kind in others))

    titles = zip(head, kinds, strict=True)
    header = tag("tr", *(tag("th", title, scope="col", class_=kind) for title, kind in titles))
    body = tag("tbody", *map(row, rows))
    last = tag("tfoot", row(foot)) if foot else None
    return scroll_box(tag("table", tag("thead", header), body, last, aria_label=caption), caption)


def heat_map(
    caption: str,
    corner: str,
    columns: Sequence[str],
    rows: Iterable[tuple[str, Sequence[Cell | str]]],
) -> Html:
    """A table whose cells are as dark as their share; a cell that is text alone has no color.

    `<tr><th>money</th><td style="--w: 0.979">95</td><td style="--w: 0.144" class="off">`
    """
    # The style sheet makes the strength of the color of --w.
    titles = [tag("th", column, scope="col", class_="n") for column in columns]
    header = tag("tr", tag("th", corner, scope="col"), *titles)
    body = []
    for title, cells in rows:
        heading = tag("th", title, scope="row")
        parts = [heading]
        for cell in cells:
            if isinstance(cell, str):
                parts.append(tag("td", cell))
            else:
                side = "off" if cell.wrong else None
                parts.append(tag("td", cell.shown, style=f"--w: {cell.share:.3f}", class_=side))
        body.append(tag("tr", *parts))
    inner = tag("table", tag("thead", header), tag("tbody", *body), aria_label=caption)
    return tag("div", scroll_box(inner, caption), class_="heat")


def scroll_box(content: Html, caption: str) -> Html:
    """A caption, and below it a box that scrolls sideways by itself, also with the keyboard."""
    box = tag("div", content, class_="scroll", tabindex=0, role="region", aria_label=caption)
    return join(paragraph(caption, class_="caption"), box)


def figure(drawing: Html, caption: Any) -> Html:
    """A drawing with words below it."""
    return tag("figure", drawing, tag("figcaption", caption), class_="figure")


def grid(*parts: Any) -> Html:
    """Parts side by side where there is room."""
    return tag("div", *parts, class_="grid")


def folded(summary: str, *children: Any) -> Html:
    """Parts that open when asked for."""
    return tag("details", tag("summary", summary), *children)


def listed(pairs: Iterable[tuple[str, Any]]) -> Html:
    """Names and values."""
    return tag("dl", *(tag("div", tag("dt", name), tag("dd", value)) for name, value in pairs))


def legend(*entries: tuple[str, str]) -> Html:
    """Colors of the style sheet and what they stand for: `legend(("--after", "trained"))`."""
    items = [tag("li", words, style=f"--c: var({color})") for color, words in entries]
    return tag("ul", *items, class_="legend")
