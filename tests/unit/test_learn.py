"""Learned points: the published vectors, the laws of cutting and rounding, what is refused, and what the patch says."""

from __future__ import annotations

import random
import re
from collections.abc import Sequence
from datetime import date
from decimal import Decimal
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from scoring.conditions import OneOf, Table
from scoring.document import Source, parse_number
from scoring.learn import FEWEST, SEEN, Options, learn
from scoring.load import load_policy
from scoring.suggestion import (
    Column,
    ColumnKind,
    Estimate,
    Line,
    Method,
    PointsTable,
    Suggestion,
    TooFewOutcomes,
    area_under_curve,
    bayes_points,
    number_text,
    patch_text,
    phrase_of,
)
from scoring.tables import fold
from sync.outcomes import TableUnusable, fact_of, from_table, outcomes_of, read_table
from sync.table_scores import load_points, score_rows
from tests.support.outcomes import TITLES, as_csv, made_table

QUICK = Options(repeats=1)
PLAIN_BAYES = Options(method=Method.BAYES, step=1, repeats=1)


def column(title: str, values: Sequence[float | str | None], kind: ColumnKind = ColumnKind.TEXT) -> Column:
    return Column(fact=fact_of(title), title=title, kind=kind, values=values)


def number(title: str, values: Sequence[float | None]) -> Column:
    return column(title, values, ColumnKind.NUMBER)


def points_of(found: Suggestion, title: str) -> dict[str, int]:
    table = next(t for t in found.tables if t.title == title)
    return {line.phrase: line.points for line in table.lines}


def why(found: Suggestion, title: str) -> str:
    return next(left.why for left in found.left_out if left.title == title)


@pytest.fixture(scope="module")
def table_file(tmp_path_factory: pytest.TempPathFactory) -> Path:
    file = tmp_path_factory.mktemp("outcomes") / "people.csv"
    file.write_text(as_csv(made_table()), encoding="utf-8")
    return file


@pytest.fixture(scope="module")
def learned(table_file: Path) -> Suggestion:
    known = from_table(read_table(table_file), "Won")
    return learn(known.columns, known.won, QUICK)


# -- the specification's method ----------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("counts", "values", "exact", "whole"),
    [
        ((40, 100, 20, 200), 0, "40.00", 40),
        ((60, 100, 80, 200), 0, "11.70", 12),
        ((0, 100, 20, 200), 2, "-68.13", -68),
    ],
    ids=["K1", "K2", "K3"],
)
def test_bayes_points(counts: tuple[int, int, int, int], values: int, exact: str, whole: int) -> None:
    points = bayes_points(*counts, doubling=20, values=values)
    assert f"{points:.2f}" == exact
    assert round(points) == whole


def test_a_bayes_table_holds_the_vectors_points() -> None:
    """K3 from rows to lines: 0 of 100 won and 20 of 200 lost have the value, two values are seen."""
    won = [True] * 100 + [False] * 200
    values = ["other"] * 100 + ["Retail"] * 20 + ["other"] * 180
    found = learn([column("Industry", values)], won, PLAIN_BAYES)
    assert points_of(found, "Industry")["Retail"] == -68
    assert points_of(found, "Industry")["unknown"] == points_of(found, "Industry")["otherwise"] == 0


def test_bayes_gives_a_missing_value_nothing() -> None:
    won = [True] * 100 + [False] * 100
    values = [None] * 40 + ["a"] * 55 + ["b"] * 5 + [None] * 10 + ["a"] * 40 + ["b"] * 50
    found = learn([column("Thing", values)], won, PLAIN_BAYES)
    assert points_of(found, "Thing")["unknown"] == 0
    assert points_of(found, "Thing")["b"] < 0


# -- figures -----------------------------------------------------------------------------------------------------


@given(st.lists(st.tuples(st.integers(-5, 5), st.booleans()), min_size=2, max_size=40))
def test_the_area_is_the_share_of_pairs_in_order(rows: list[tuple[int, bool]]) -> None:
    winners, losers = [s for s, won in rows if won], [s for s, won in rows if not won]
    scores, won = [float(s) for s, _ in rows], [w for _, w in rows]
    if not winners or not losers:
        with pytest.raises(ValueError, match="same outcome"):
            area_under_curve(scores, won)
        return
    pairs = [1.0 if high > low else 0.5 if high == low else 0.0 for high in winners for low in losers]
    assert area_under_curve(scores, won) == pytest.approx(sum(pairs) / len(pairs))


def test_the_estimate_is_of_rows_the_points_were_not_made_from() -> None:
    """Noise that fits its own rows well is no better than chance in cross-validation."""
    chance = random.Random(11)
    won = [chance.random() < 0.5 for _ in range(300)]
    useful = number("Useful", [float(w) + chance.gauss(0, 1.2) for w in won])
    found = learn([useful, *(column(f"n{i}", [chance.choice("abc") for _ in won]) for i in range(8))], won, QUICK)
    assert found.estimate.low < found.estimate.auc < found.estimate.high
    assert found.estimate.auc <= found.fitted


def test_equal_tables_give_equal_patches(table_file: Path, learned: Suggestion) -> None:
    known = from_table(read_table(table_file), "Won")
    again = learn(known.columns, known.won, QUICK)
    assert again == learned
    assert patch_text(again, "x") == patch_text(learned, "x")


def test_the_signal_is_found_and_the_rest_is_not(learned: Suggestion) -> None:
    assert {table.title for table in learned.tables} == {"Visits", "Channel", "Role"}
    assert learned.estimate.auc > 0.75
    assert points_of(learned, "Role")["Head of Sales"] > 0 > points_of(learned, "Role")["Intern"]
    assert points_of(learned, "Channel")["Fair, Berlin"] > points_of(learned, "Channel")["Mail #1"]
    assert points_of(learned, "Visits").keys() & {"from 8", "from 9", "from 10"}


def test_points_are_whole_and_multiples_of_the_step(learned: Suggestion) -> None:
    assert all(line.points % 5 == 0 for table in learned.tables for line in table.lines)


def test_doubling_scales_the_points(table_file: Path) -> None:
    known = from_table(read_table(table_file), "Won")
    small = learn(known.columns, known.won, Options(repeats=1, doubling=10, step=1))
    large = learn(known.columns, known.won, Options(repeats=1, doubling=100, step=1))
    for line, other in zip(small.tables[0].lines, large.tables[0].lines, strict=True):
        assert abs(other.points - 10 * line.points) <= 10


def test_every_row_is_counted_in_one_line_of_every_table(learned: Suggestion) -> None:
    for table in learned.tables:
        assert sum(line.n for line in table.lines) == learned.n
        assert sum(line.won for line in table.lines) == learned.won


def test_spellings_of_one_text_are_one_value(learned: Suggestion) -> None:
    assert "MAIL #1" not in points_of(learned, "Channel")


# -- cutting numbers ---------------------------------------------------------------------------------------------

figures = st.floats(-1e6, 1e6, allow_nan=False).map(lambda v: round(v, 4)) | st.integers(0, 30).map(float)


@settings(max_examples=25, deadline=None)
@given(st.lists(figures, min_size=120, max_size=200), st.randoms(use_true_random=False))
def test_parts_of_a_number_are_large_round_and_in_order(values: list[float], chance: random.Random) -> None:
    middle = sorted(values)[len(values) // 2]
    won = [(v > middle) != (chance.random() < 0.15) for v in values]
    try:
        found = learn([number("Amount", values)], won, Options(repeats=1, keep=frozenset({"Amount"})))
    except TooFewOutcomes:
        return  # all values are equal, or nearly
    (table,) = found.tables
    bounds = [line for line in table.lines if line.phrase.startswith("from ")]
    read = [parse_number(line.phrase.removeprefix("from ")) for line in bounds]
    assert read == sorted(read, reverse=True)
    assert all(line.n >= SEEN for line in bounds)
    low = Decimal("-Infinity")
    assert table.lines[-1].n == sum(low <= Decimal(str(v)) < read[-1] for v in values)
    assert table.lines[0].n == sum(Decimal(str(v)) >= read[0] for v in values)


@pytest.mark.parametrize(
    ("value", "text"),
    [
        (700.0, "700"),
        (0.5, "0.5"),
        (-2.25, "-2.25"),
        (1e12 - 1, "999999999999"),
        (0.000001, "0.000001"),
        (0.1 + 0.2, "0.3"),
    ],
)
def test_bounds_are_written_as_the_language_reads_them(value: float, text: str) -> None:
    assert number_text(value) == text
    assert parse_number(text) == Decimal(text)


def test_a_number_of_a_few_values_is_cut_between_them() -> None:
    won = [i % 10 < 7 for i in range(100)] + [i % 10 < 2 for i in range(100)]
    found = learn([number("Seats", [1.0] * 100 + [0.0] * 100)], won, QUICK)
    assert [line.phrase for line in found.tables[0].lines] == ["from 1", "unknown", "otherwise"]


def test_a_frequent_value_is_parted_from_the_next_greater_one() -> None:
    """Most pay nothing; who pays at all, pays from 50 up. No quantile falls between the two."""
    chance = random.Random(4)
    paid = [0.0] * 700 + [float(chance.randrange(50, 90)) for _ in range(300)]
    won = [chance.random() < (0.2 if amount == 0 else 0.8) for amount in paid]
    assert [line.phrase for line in learn([number("Paid", paid)], won, QUICK).tables[0].lines] == [
        *("from 50", "unknown", "otherwise")
    ]
    sold = [amount > 0 for amount in paid]
    with pytest.raises(TooFewOutcomes, match="predicts the outcome nearly perfectly"):
        learn([number("Paid", paid)], sold, QUICK)


# -- too little, and too good ------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("won", "said"),
    [
        ([True, False] * 24 + [True], f"49 rows with a known outcome are too few to learn from: at least {FEWEST}"),
        ([True] * 80, "all 80 rows with a known outcome are won"),
        ([False] * 80, "all 80 rows with a known outcome are lost"),
        ([True] * 9 + [False] * 80, "9 won and 80 lost rows are too few"),
        ([], "0 rows with a known outcome are too few"),
    ],
)
def test_too_few_outcomes_are_said(won: list[bool], said: str) -> None:
    with pytest.raises(TooFewOutcomes, match=said):
        learn([number("Visits", [float(i) for i in range(len(won))])], won, QUICK)


def test_nothing_is_suggested_from_noise() -> None:
    chance = random.Random(5)
    won = [chance.random() < 0.5 for _ in range(200)]
    with pytest.raises(TooFewOutcomes, match="better than chance"):
        learn([column("Colour", [chance.choice(("red", "blue")) for _ in won])], won, QUICK)


def test_a_column_of_another_length_is_an_error() -> None:
    with pytest.raises(ValueError, match="Visits has 3 rows, the outcome has 100"):
        learn([number("Visits", [1.0, 2.0, 3.0])], [True, False] * 50, QUICK)


def mixed(n: int = 400) -> tuple[list[bool], Column]:
    """Outcomes, and a column that honestly tells something of them."""
    chance = random.Random(2)
    won = [chance.random() < 0.4 for _ in range(n)]
    return won, column("Honest", ["a" if chance.random() < (0.7 if w else 0.3) else "b" for w in won])


@pytest.mark.parametrize(
    ("leak", "said"),
    [
        (lambda won: number("Score", [float(w) for w in won]), "nearly perfectly"),
        (lambda won: column("Tag", [f"{'x' if w else 'y'}{i % 7}" for i, w in enumerate(won)]), "nearly"),
        (lambda won: column("Gift", ["mug" if w and i % 2 else "none" for i, w in enumerate(won)]), "'mug'"),
        (lambda won: column("Deal Stage", ["a" if i % 3 else "b" for i in range(len(won))]), r"its name \(deal\)"),
        (lambda won: column("ClosedBy", ["a" if i % 3 else "b" for i in range(len(won))]), r"its name \(closed\)"),
    ],
)
def test_a_leak_is_left_out_with_a_sentence_unless_kept(leak, said) -> None:
    won, honest = mixed()
    leaking = leak(won)
    found = learn([honest, leaking], won, QUICK)
    assert [table.title for table in found.tables] == ["Honest"]
    text = why(found, leaking.title)
    assert re.search(said, text), text
    assert "--keep" in text
    kept = learn([honest, leaking], won, Options(repeats=1, keep=frozenset({leaking.title})))
    assert leaking.title not in {left.title for left in kept.left_out if "--keep" in left.why}


@pytest.mark.parametrize(
    ("useless", "said"),
    [
        (column("Ref", [f"r{i}" for i in range(400)]), "an identifier or free text: 400 different values"),
        (number("Account Number", [float(i) for i in range(400)]), "an identifier: a different number"),
        (column("Same", ["x"] * 400), "the same in every row"),
        (column("Empty", [None] * 400), "it is empty"),
        (column("Rare", ["x", "y"] * 5 + [None] * 390), "known in 10 rows only"),
    ],
)
def test_what_cannot_tell_anything_is_left_out(useless: Column, said: str) -> None:
    won, honest = mixed()
    assert said in why(learn([honest, useless], won, QUICK), useless.title)


def test_a_listed_leak_is_never_used(table_file: Path) -> None:
    known = from_table(read_table(table_file), "Won", leaks=["channel", "Close Reason"])
    found = learn(known.columns, known.won, QUICK)
    assert {table.title for table in found.tables} == {"Visits", "Role"}
    assert why(found, "Channel") == why(found, "Close Reason") == "you named it as known only after the outcome"


def test_a_changing_column_is_used_with_a_warning() -> None:
    won, honest = mixed()
    used = column("Last Activity", honest.values)
    assert any("Last Activity" in note for note in learn([used], won, QUICK).notes)


# -- the patch ---------------------------------------------------------------------------------------------------

TEAM = Source("team.yaml", b"version: 1\nqueues: {q: {}}\n")
REST = "version: 1\nname: merged\nmql: {become_when: {hot: {fit: from 40}}}\nrouting: [{to: queue q}]\n"


def merged(patch: str, *names: str):
    from scoring.facts import FactType, custom_fact

    custom = {name: custom_fact(name, FactType.NUMBER if name.endswith("visits") else FactType.TEXT) for name in names}
    return load_policy(Source("policy.yaml", (REST + patch).encode()), TEAM, lists=str, custom=custom)


def test_the_patch_loads_in_a_policy_without_a_warning(learned: Suggestion) -> None:
    policy, warnings = merged(patch_text(learned, "people.csv"), *(table.fact for table in learned.tables))
    assert [w.code for w in warnings] == ["W13"], "the policy around it has no examples"
    fit = policy.models[-1].fit
    assert (fit.max, fit.floor) == (None, None)
    assert {group.name for group in fit.groups} == {"visits", "channel", "role"}


def test_the_patch_says_what_every_line_was_learned_from(learned: Suggestion) -> None:
    text = patch_text(learned, "people.csv")
    assert text.startswith("# Points learned by `mqlsync policy suggest` from people.csv.")
    assert "800 rows with a known outcome" in text
    assert f"AUC {learned.estimate.auc:.3f}" in text
    assert "person.custom.visits: {property: visits, type: number}" in text
    points = [line for line in text.splitlines() if line.startswith("        ")]
    assert points
    assert all("# " in line and ("n = " in line or "nobody seen" in line) for line in points)


NASTY = (
    *("from Berlin", "is", "in review", "not sure", "otherwise", "known", "contains nothing", "has word x", "true"),
    *("a: b", "x # y", '"quoted"', "it's", "- dash", "[a]", "{b}", "/path/", "/a*", "a, b", "*star", "&anchor", "!tag"),
    *("Größe", "?", "NO", "012", "1e3", "within 3 days", "starts with", "begins with x", "50%", "a\\b", "|", ">", "@x"),
)


def test_every_text_can_be_a_value() -> None:
    """Words of the language, of YAML, and others: each line is true for its text and for nothing else."""
    fact = "person.custom.thing"
    lines = [Line(phrase=phrase_of(fact, text), points=n + 1, n=1, won=1) for n, text in enumerate(NASTY)]
    rest = (Line(phrase="unknown", points=0, n=0, won=0), Line(phrase="otherwise", points=0, n=0, won=0))
    table = PointsTable(fact=fact, title="Thing", kind=ColumnKind.TEXT, lines=(*lines, *rest))
    found = Suggestion(
        method=Method.LOGISTIC, doubling=20, step=1, n=1, won=1, window=90, tables=(table,), left_out=(), bands=(),
        estimate=Estimate(auc=0.5, low=0.5, high=0.5, folds=1), fitted=0.5,
    )  # fmt: skip
    policy, _ = merged(patch_text(found, "x"), fact)
    (made,) = policy.models[-1].fit.groups[0].items
    assert isinstance(made, Table)
    assert [line.test for line in made.lines] == [OneOf(fact, (fold(text),)) for text in NASTY]
    assert [line.micro for line in made.lines] == [(n + 1) * 1_000_000 for n in range(len(NASTY))]


def test_counts_of_events_become_rules_that_add_up() -> None:
    lines = (
        Line(phrase="from 5", points=30, n=20, won=15),
        Line(phrase="from 1", points=10, n=40, won=20),
        Line(phrase="unknown", points=0, n=0, won=0),
        Line(phrase="otherwise", points=-5, n=100, won=20),
    )
    table = PointsTable(fact="page_view", title="page_view", kind=ColumnKind.COUNT, lines=lines)
    found = Suggestion(
        method=Method.LOGISTIC, doubling=20, step=5, n=160, won=55, window=90, tables=(table,), left_out=(), bands=(),
        estimate=Estimate(auc=0.6, low=0.5, high=0.7, folds=5), fitted=0.6,
    )  # fmt: skip
    policy, _ = merged(patch_text(found, "x"))
    rules = policy.models[-1].engagement.groups[0].items
    assert [(rule.name, rule.micro // 1_000_000) for rule in rules] == [
        ("page view, 1 in 90 days", 15),
        ("page view, 5 in 90 days", 20),
    ]


# -- a table through the engine ----------------------------------------------------------------------------------


def by_hand(found: Suggestion, cells: dict[str, str]) -> dict[str, int]:
    """The points of a row, read off the lines."""
    given = {}
    for table in found.tables:
        cell, points = cells[table.title], {line.phrase: line.points for line in table.lines}
        if not cell or cell == "unknown":
            given[table.title] = points["unknown"]
        elif table.kind is ColumnKind.NUMBER:
            bounds = [p for p in points if p.startswith("from ") and float(cell) >= float(p.removeprefix("from "))]
            given[table.title] = points[bounds[0]] if bounds else points["otherwise"]
        else:
            texts = {fold(p.removeprefix("is ")): v for p, v in points.items() if p not in ("unknown", "otherwise")}
            given[table.title] = texts.get(fold(cell), points["otherwise"])
    return given


def test_the_engine_gives_the_points_that_were_learned(table_file: Path, learned: Suggestion, tmp_path: Path) -> None:
    """Reasons add up to the score, are those of the lines, and rank the rows exactly as it was said."""
    patch = tmp_path / "patch.yaml"
    patch.write_text(patch_text(learned, "x"), encoding="utf-8")
    table = read_table(table_file)
    scored = list(score_rows(load_points(patch), table, date(2026, 6, 15)))
    assert [row.row for row in scored] == list(range(1, len(table.rows) + 1))
    for row, cells in zip(scored, table.rows, strict=True):
        hand = by_hand(learned, dict(zip(TITLES, cells, strict=True)))
        assert row.score == sum(hand.values()) == sum(reason.points for reason in row.reasons)
        assert sorted(r.points for r in row.reasons) == sorted(v for v in hand.values() if v)
    won = [bool(w) for w in outcomes_of(table, "Won")]
    assert area_under_curve([float(r.score) for r in scored], won) == pytest.approx(learned.fitted)


def test_limits_and_halves_are_reasons_too(tmp_path: Path) -> None:
    policy = tmp_path / "policy.yaml"
    policy.write_text(
        "fit: {max: 20, groups: {a: {max: 15, field: person.custom.a, points: {x: 30.4, unknown: 0}},"
        " b: {rules: [{name: both, when: {person.custom.a: x, person.custom.b: from 2}, points: 2.5}]}}}\n"
    )
    (tmp_path / "t.csv").write_text("a;b\nx;2\nx;1\n;7\n")
    rows = list(score_rows(load_points(policy), read_table(tmp_path / "t.csv"), date(2026, 6, 15)))
    assert [row.score for row in rows] == [18, 15, 0]
    for row in rows:
        assert sum(reason.points for reason in row.reasons) == pytest.approx(row.score)
    assert {reason.name for reason in rows[0].reasons} == {"a", "both", "limits and weights", "rounding"}


def test_an_unreadable_cell_is_missing(tmp_path: Path) -> None:
    patch = tmp_path / "p.yaml"
    patch.write_text("fit: {groups: {a: {field: person.custom.a, points: {from 2: 9, unknown: 4, otherwise: 1}}}}\n")
    (tmp_path / "t.csv").write_text("A\n2\nmany\nUnknown\n1\n")
    rows = score_rows(load_points(patch), read_table(tmp_path / "t.csv"), date(2026, 6, 15))
    assert [row.score for row in rows] == [9, 4, 4, 1]


def test_a_missing_column_is_named(tmp_path: Path, learned: Suggestion) -> None:
    patch = tmp_path / "patch.yaml"
    patch.write_text(patch_text(learned, "x"), encoding="utf-8")
    (tmp_path / "t.csv").write_text("Visits,Role\n1,Intern\n")
    with pytest.raises(TableUnusable, match="no column for 'channel'"):
        list(score_rows(load_points(patch), read_table(tmp_path / "t.csv"), date(2026, 6, 15)))


# -- reading a table ---------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("content", "said"),
    [
        (b"", "is empty"),
        (b"a,b\n", "no rows"),
        (b"a,b\n1,2\n1\n", "line 3: 1 cells, but 2 columns"),
        (b"a,a\n1,2\n", "'a' twice"),
        (b"a,b\n\xff,2\n", "not UTF-8"),
        (b'a,b\n"1,2\n', "line 2"),
    ],
)
def test_a_table_that_cannot_be_read_says_where(tmp_path: Path, content: bytes, said: str) -> None:
    file = tmp_path / "t.csv"
    file.write_bytes(content)
    with pytest.raises(TableUnusable, match=said):
        read_table(file)


def test_semicolons_tabs_and_a_byte_order_mark_are_fine(tmp_path: Path) -> None:
    file = tmp_path / "t.csv"
    for mark in (";", "\t", ","):
        file.write_bytes(f"\ufeffa{mark}b\r\n 1 {mark}2\r\n\r\n".encode())
        table = read_table(file)
        assert (table.titles, table.rows) == (("a", "b"), (("1", "2"),))


@pytest.mark.parametrize(
    ("title", "fact"),
    [
        ("Lead Origin", "person.custom.lead_origin"),
        ("TotalVisits", "person.custom.total_visits"),
        ("Größe (cm)", "person.custom.grosse_cm"),
        ("2nd visit", "person.custom.column_2nd_visit"),
        ("東京", "person.custom.column"),
    ],
)
def test_a_column_has_a_name_in_the_policy(title: str, fact: str) -> None:
    assert fact_of(title) == fact


def test_open_rows_are_not_counted(tmp_path: Path) -> None:
    file = tmp_path / "t.csv"
    file.write_text("a,won\n1,yes\n2,No\n3,\n4,unknown\n5,TRUE\n6,0\n")
    known = from_table(read_table(file), "WON")
    assert known.won == (True, False, True, False)
    assert list(known.columns[0].values) == [1.0, 2.0, 5.0, 6.0]
    assert known.notes == ("2 rows without an outcome were not counted.",)


def test_an_outcome_that_says_neither_is_an_error(tmp_path: Path) -> None:
    file = tmp_path / "t.csv"
    file.write_text("a,won\n1,yes\n2,maybe\n")
    with pytest.raises(TableUnusable, match="row 2: 'won' is 'maybe'"):
        from_table(read_table(file), "won")


def test_columns_of_one_name_in_the_policy_are_refused(tmp_path: Path) -> None:
    file = tmp_path / "t.csv"
    file.write_text("Lead Origin,lead-origin,won\na,b,1\n")
    with pytest.raises(TableUnusable, match=r"would both be person\.custom\.lead_origin"):
        from_table(read_table(file), "won")
