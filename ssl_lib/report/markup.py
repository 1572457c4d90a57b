"""HTML and SVG from Python: every text is escaped unless it is `Html` already."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from html import escape
from typing import Any

EMPTY_ELEMENTS = frozenset({"meta", "br", "line", "circle", "path", "rect", "polyline"})


class Html(str):
    """Text that is markup already."""

    __slots__ = ()


def safe(child: Any) -> str:
    """A child as markup: `Html` as it is, anything else escaped."""
    return child if isinstance(child, Html) else escape(str(child), quote=True)


def join(*children: Any) -> Html:
    """Several children as one."""
    return Html("".join(safe(child) for child in children if child is not None))


def tag(name: str, /, *children: Any, **attributes: Any) -> Html:
    """One element. `class_` stands for class, `aria_label` for aria-label; attributes that are None are left out."""
    written = "".join(
        f' {key.rstrip("_").replace("_", "-")}="{escape(str(value), quote=True)}"'
        for key, value in attributes.items()
        if value is not None
    )
    if name in EMPTY_ELEMENTS:
        return Html(f"<{name}{written}>" if name in ("meta", "br") else f"<{name}{written}/>")
    return Html(f"<{name}{written}>{join(*children)}</{name}>")


def paragraph(*children: Any, class_: str | None = None) -> Html:
    """A paragraph."""
    return tag("p", *children, class_=class_)


def absent(what: str) -> Html:
    """The one line that stands where a part has no data."""
    return paragraph(what, class_="absent")


def table(
    caption: str,
    head: Sequence[Any],
    rows: Iterable[Sequence[Any]],
    words: int = 1,
    foot: Sequence[Any] | None = None,
) -> Html:
    """A table that scrolls inside its box; its first `words` columns hold words, the others figures."""
    header = tag(
        "tr", *(tag("th", cell, scope="col", class_=_kind(i, words)) for i, cell in enumerate(head))
    )
    body = [_row(row, words) for row in rows]
    last = tag("tfoot", _row(foot, words)) if foot else None
    return scroll_box(
        tag("table", tag("thead", header), tag("tbody", *body), last, aria_label=caption), caption
    )


def scroll_box(content: Html, caption: str) -> Html:
    """A caption, and below it a box that scrolls sideways by itself, also with the keyboard."""
    box = tag("div", content, class_="scroll", tabindex=0, role="region", aria_label=caption)
    return join(paragraph(caption, class_="caption"), box)


def figure(drawing: Html, caption: Any, class_: str = "figure") -> Html:
    """A drawing with words below it."""
    return tag("figure", drawing, tag("figcaption", caption), class_=class_)


def grid(*parts: Any) -> Html:
    """Parts side by side where there is room."""
    return tag("div", *parts, class_="grid")


def folded(summary: str, *children: Any) -> Html:
    """Parts that open when asked for."""
    return tag("details", tag("summary", summary), *children)


def listed(pairs: Iterable[tuple[str, Any]]) -> Html:
    """Names and values."""
    return tag("dl", *(tag("div", tag("dt", name), tag("dd", value)) for name, value in pairs))


def _row(cells: Sequence[Any], words: int) -> Html:
    first = tag("th", cells[0], scope="row", class_=_kind(0, words))
    return tag(
        "tr", first, *(tag("td", cell, class_=_kind(i, words)) for i, cell in enumerate(cells) if i)
    )


def _kind(column: int, words: int) -> str | None:
    return None if column < words else "n"
