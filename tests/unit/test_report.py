"""Reports: the same tables and bars at a terminal and in a browser."""

from __future__ import annotations

from html.parser import HTMLParser

import pytest

from sync.report import Bars, Report, Table, as_html, as_text, bar

TABLE = Table(title="Who", head=("name", "owner"), rows=(("Ana <b>", "bo"), ("Cy", "")), note="And 3 more.")
BARS = Bars(title="By week", names=("in use", "new"), rows=(("one", 0, 10), ("two", 5, 1)))
REPORT = Report(title="A & B", lead=("First.", "Second."), parts=(TABLE, BARS))


class Page(HTMLParser):
    """What a browser would find: tags with attributes, texts, and whether every tag is closed."""

    VOID = frozenset({"meta", "rect"})

    def __init__(self, text: str) -> None:
        super().__init__()
        self.tags: list[tuple[str, dict[str, str | None]]] = []
        self.texts: list[str] = []
        self.open: list[str] = []
        self.feed(text)

    def handle_starttag(self, tag, attrs):
        self.tags.append((tag, dict(attrs)))
        if tag not in self.VOID:
            self.open.append(tag)

    def handle_endtag(self, tag):
        if tag not in self.VOID:
            assert self.open.pop() == tag

    def handle_data(self, data):
        if data.strip():
            self.texts.append(data.strip())


def test_at_a_terminal_columns_line_up_and_bars_are_in_proportion() -> None:
    assert list(as_text(REPORT)) == [
        "A & B",
        "First.",
        "Second.",
        "",
        "Who",
        "  name     owner",
        "  Ana <b>  bo",
        "  Cy",
        "  And 3 more.",
        "",
        "By week",
        "  one  in use   0",
        f"       new     {'#' * 30} 10",
        f"  two  in use  {'#' * 15} 5",
        "       new     ### 1",
    ]


@pytest.mark.parametrize(("n", "most", "length"), [(0, 100, 0), (1, 1000, 1), (50, 100, 15), (100, 100, 30), (0, 0, 0)])
def test_a_bar_is_as_long_as_its_number_and_never_hides_one(n: int, most: int, length: int) -> None:
    assert bar(n, most) == "#" * length


def test_a_page_is_whole_needs_no_network_and_takes_texts_as_texts() -> None:
    page = Page(as_html(REPORT))
    assert page.open == []
    assert {"Ana <b>", "And 3 more.", "A & B", "10"} <= set(page.texts)
    assert {tag for tag, _ in page.tags}.isdisjoint({"script", "link", "img", "iframe", "b"})
    assert not any(name in ("src", "href") for _, attrs in page.tags for name in attrs)


def test_bars_of_a_page_are_in_proportion_and_say_what_they_are() -> None:
    page = Page(as_html(REPORT))
    widths = {
        kind: [float(a["width"] or 0) for tag, a in page.tags if tag == "rect" and a["class"] == kind]
        for kind in ("before", "after")
    }
    assert widths == {"before": [10, 0, 250], "after": [10, 500, 50]}, "the first of each is the legend"
    assert [a["aria-label"] for tag, a in page.tags if tag == "svg"] == ["By week"]


def test_without_anybody_the_note_says_so() -> None:
    empty = Report(title="t", lead=(), parts=(Table(title="Who", head=("name",), rows=(), note="Nobody."),))
    assert list(as_text(empty))[-2:] == ["Who", "  Nobody."]
    assert "table" not in {tag for tag, _ in Page(as_html(empty)).tags}
