"""People whose outcome is known: from a plain table (CSV), without any CRM, or from the store.

Either gives the same thing, the columns and outcomes that `scoring.learn` learns from. What cannot have been known
before the outcome gets a sentence instead of being used.
"""

from __future__ import annotations

import csv
import io
import re
import unicodedata
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import UTC, date, datetime, timedelta
from decimal import Decimal
from pathlib import Path
from typing import Any
from zoneinfo import ZoneInfo

from sqlalchemy import Connection, select

from scoring.document import did_you_mean
from scoring.episodes import Status
from scoring.facts import FACTS, LIFECYCLE_STAGES, Fact, FactType, custom_fact
from scoring.suggestion import Column, ColumnKind
from scoring.tables import FactValue, fold
from sync.gather import GatherRules, gather, parse
from sync.store import people, schema
from sync.store.db import Store
from sync.store.refs import carries, parts

__all__ = [
    "WINDOW",
    "Known",
    "PlainTable",
    "TableUnusable",
    "fact_of",
    "from_store",
    "from_table",
    "outcomes_of",
    "read_table",
]

WINDOW = 90
"""Days up to the qualification in which events are counted."""

WON = frozenset({"1", "1.0", "true", "yes", "y", "won", "converted"})
LOST = frozenset({"0", "0.0", "false", "no", "n", "lost", "not converted"})

NUMERIC = 0.95
"""The share of a column's known cells that must be numbers for it to be one; the others count as unknown."""


LISTED = "you named it as known only after the outcome"


class TableUnusable(Exception):
    """A table cannot be read, or lacks what was asked of it. The text says which, where, and what to do."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Known:
    """Columns and outcomes of the rows whose outcome is known.

    source    what they are from, for the head of the patch
    current   scores under the policy in use, None where there is none
    notes     what was not counted, in sentences
    """

    source: str
    columns: tuple[Column, ...]
    won: tuple[bool, ...]
    current: tuple[float, ...] | None = None
    notes: tuple[str, ...] = ()


# -- a plain table -----------------------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True, kw_only=True)
class PlainTable:
    """A CSV file: names of the columns, and the cells of each row without surrounding white space."""

    name: str
    titles: tuple[str, ...]
    rows: tuple[tuple[str, ...], ...]

    def column(self, title: str) -> tuple[str, ...]:
        """The cells of a column, by its exact name."""
        at = self.titles.index(title)
        return tuple(row[at] for row in self.rows)

    def title(self, asked: str) -> str:
        """The column a person means; case does not matter.

        Raises TableUnusable with the nearest name.
        """
        if asked in self.titles:
            return asked
        for title in self.titles:
            if fold(title) == fold(asked):
                return title
        near = did_you_mean(asked, self.titles)
        listed = "" if near else f"; it has {', '.join(self.titles[:10])}{', ...' if len(self.titles) > 10 else ''}"
        raise TableUnusable(f"{self.name} has no column {asked!r}{near}{listed}")


def read_table(path: Path) -> PlainTable:
    """A CSV file in UTF-8 with the names of its columns in the first line; parted by commas, semicolons or tabs.

    Raises
    ------
    TableUnusable: the file is missing, unreadable, empty, or a line does not fit the first
    """
    try:
        text = path.read_bytes().decode("utf-8-sig")
    except OSError as error:
        raise TableUnusable(f"{path} cannot be read: {error.strerror}") from None
    except UnicodeDecodeError as error:
        raise TableUnusable(f"{path} is not UTF-8 (byte {error.start}): save it as 'CSV UTF-8'") from None
    head = text.partition("\n")[0]
    delimiter = max(",;\t", key=head.count)
    rows: list[tuple[str, ...]] = []
    reader = csv.reader(io.StringIO(text, newline=""), delimiter=delimiter, strict=True)
    try:
        titles = tuple(cell.strip() for cell in next(reader, []))
        for cells in reader:
            if not "".join(cells).strip() and len(cells) < len(titles):
                continue  # an empty line; a row of blank cells is a row
            if len(cells) != len(titles):
                raise TableUnusable(
                    f"{path}, line {reader.line_num}: {len(cells)} cells, but {len(titles)} columns in the first line"
                )
            rows.append(tuple(cell.strip() for cell in cells))
    except csv.Error as error:
        raise TableUnusable(f"{path}, line {reader.line_num}: {error}") from None
    if not any(titles):
        raise TableUnusable(f"{path} is empty: the first line must name the columns")
    if twice := sorted({title for title in titles if titles.count(title) > 1}):
        raise TableUnusable(f"{path}: the first line names {twice[0]!r} twice; give every column a name of its own")
    if not rows:
        raise TableUnusable(f"{path} has no rows below its first line")
    return PlainTable(name=str(path), titles=titles, rows=tuple(rows))


def fact_of(title: str) -> str:
    """The policy's name for a column: ``Lead Origin`` and ``LeadOrigin`` are ``person.custom.lead_origin``."""
    spaced = re.sub(r"(?<=[a-z])(?=[A-Z])", " ", title)
    plain = unicodedata.normalize("NFKD", spaced.casefold()).encode("ascii", "ignore").decode()
    name = "_".join(re.findall(r"[a-z0-9]+", plain))
    return f"person.custom.{name if name[:1].isalpha() else f'column_{name}' if name else 'column'}"


def outcomes_of(table: PlainTable, outcome: str) -> list[bool | None]:
    """Won, lost, or None where the cell is blank, for each row.

    Raises
    ------
    TableUnusable: there is no such column, or a cell says neither
    """
    title = table.title(outcome)
    found: list[bool | None] = []
    for number, cell in enumerate(table.column(title), start=1):
        said = fold(cell)
        if not said or said == "unknown":
            found.append(None)
        elif said in WON or said in LOST:
            found.append(said in WON)
        else:
            raise TableUnusable(
                f"{table.name}, row {number}: {title!r} is {cell!r}, which says neither won nor lost; "
                "write 1 or 0, yes or no, true or false, won or lost, or leave it blank where it is open"
            )
    return found


def from_table(
    table: PlainTable, outcome: str, *, leaks: Sequence[str] = (), current: Sequence[float] | None = None
) -> Known:
    """The rows of a table whose outcome is known.

    Parameters
    ----------
    outcome: the column that says who was won
    leaks: columns that were known only after the outcome
    current: a score of each row of the table

    Raises
    ------
    TableUnusable: a column is missing, the outcome is unreadable, or two columns would have one name in the policy
    """
    outcomes, title = outcomes_of(table, outcome), table.title(outcome)
    leaking = {table.title(leak) for leak in leaks}
    known = [at for at, won in enumerate(outcomes) if won is not None]
    facts: dict[str, str] = {}
    columns: list[Column] = []
    notes: list[str] = []
    if open_rows := len(outcomes) - len(known):
        notes.append(f"{open_rows:,} rows without an outcome were not counted.")
    for at, name in enumerate(table.titles):
        fact = fact_of(name)
        if (other := facts.setdefault(fact, name)) != name:
            raise TableUnusable(f"{table.name}: {other!r} and {name!r} would both be {fact}: rename one of them")
        if name == title:
            continue
        cells = [table.rows[row][at] for row in known]
        column, unread = _column(fact, name, cells, LISTED if name in leaking else "")
        columns.append(column)
        if unread:
            notes.append(f"{unread:,} cells of {name!r} are no number and count as unknown.")
    return Known(
        source=Path(table.name).name,
        columns=tuple(columns),
        won=tuple(bool(outcomes[at]) for at in known),
        current=None if current is None else tuple(current[at] for at in known),
        notes=tuple(notes),
    )


def _column(fact: str, title: str, cells: Sequence[str], why: str) -> tuple[Column, int]:
    """The column as numbers where nearly all of it is, else as texts; and how many cells are neither."""
    text, number = custom_fact(fact), custom_fact(fact, FactType.NUMBER)
    texts = [parse(text, cell) for cell in cells]
    numbers = [_number(number, cell) for cell in cells]
    known = sum(value is not None for value in texts)
    read = sum(value is not None for value in numbers)
    if known and read >= NUMERIC * known:
        return Column(fact=fact, title=title, kind=ColumnKind.NUMBER, values=numbers, why=why), known - read
    words = [str(value) if value is not None else None for value in texts]
    return Column(fact=fact, title=title, kind=ColumnKind.TEXT, values=words, why=why), 0


def _number(fact: Fact, cell: str) -> float | None:
    try:
        value = parse(fact, cell)
    except ValueError:
        return None
    return float(value) if isinstance(value, Decimal) else None


# -- the store ---------------------------------------------------------------------------------------------------


_AT_SALES = frozenset(LIFECYCLE_STAGES[LIFECYCLE_STAGES.index("sql") :])
_NO_OUTCOME = ("merged", "suppressed")
"""Ends of an episode that say nothing about the person."""

_NOT_USED: Mapping[str, str] = {
    **dict.fromkeys(
        ("person.lifecycle_stage", "person.lead_status", "person.converted", "company.is_customer"),
        "it is the outcome, or moves with it",
    ),
    **dict.fromkeys(
        (
            *("person.owner", "person.last_owner", "person.last_assigned_at", "company.owner"),
            *("company.open_opportunities", "person.consent"),
        ),
        "sales changes it when it takes somebody on",
    ),
    **dict.fromkeys(
        ("person.first_name", "person.last_name", "company.name"), "a name says nothing of the next person"
    ),
    **dict.fromkeys(
        ("person.page_views", "person.visits", "person.minutes_on_site"),
        "it goes on growing after the outcome; events are counted up to the qualification instead",
    ),
}

_KINDS: Mapping[FactType, ColumnKind] = {
    FactType.NUMBER: ColumnKind.NUMBER,
    **dict.fromkeys(
        (FactType.TEXT, FactType.COUNTRY, FactType.ONE_OF, FactType.ORDERED, FactType.BOOLEAN), ColumnKind.TEXT
    ),
}
"""Types that make tables. Addresses, days, owners and lists do not."""


@dataclass(frozen=True, slots=True, kw_only=True)
class _Person:
    """One person with a known outcome. ``qualified``: the first time, None where mqlsync did not see it."""

    won: bool
    qualified: datetime | None
    current: float | None
    facts: Mapping[str, FactValue] = field(default_factory=dict)


def from_store(
    store: Store,
    *,
    rules: GatherRules,
    timezone: str,
    now: datetime,
    leaks: Collection[str] = (),
    lost_after: timedelta | None = None,
) -> Known:
    """The people of the store whose outcome is known.

    Won: converted, in lifecycle stage sql or later, ``with_sales``, or an episode that ended as ``sql``. Lost: a closed
    episode with another outcome, or status ``recycled`` or ``never``. Everybody else is open.

    Engagement is counted up to the first qualification. Where that is known for too few, facts alone are used, of all
    people with an outcome: what somebody did after sales took over must not be taken for interest before it.

    Parameters
    ----------
    rules, timezone: how facts are merged and days are made of instants, as in scoring
    leaks: facts that were known only after the outcome
    lost_after: count open people without an episode that were created so long ago as lost
    """
    zone = ZoneInfo(timezone)
    with store.read() as tx:
        found, still_open = _known_people(tx, rules, zone, now, lost_after)
        qualified = {id: person for id, person in found.items() if person.qualified is not None}
        with_events = len(qualified) >= 50 and len({p.won for p in qualified.values()}) == 2
        used = qualified if with_events else found
        ids = sorted(used)
        moments = {id: person.qualified for id, person in qualified.items() if person.qualified is not None}
        counts = _events_before(tx, moments, zone) if with_events else {}
    columns = _fact_columns([used[id].facts for id in ids], rules, leaks)
    columns += [
        Column(fact=kind, title=kind, kind=ColumnKind.COUNT, values=[float(by_id.get(id, 0)) for id in ids])
        for kind, by_id in sorted(counts.items())
    ]
    current = [used[id].current for id in ids]
    notes: list[str] = []
    if still_open:
        hint = "" if lost_after is not None else " (--lost-after DAYS counts those created long ago as lost)"
        notes.append(f"{still_open:,} people whose outcome is open were not counted{hint}.")
    if not with_events:
        notes.append(
            f"Facts only: for {len(found) - len(qualified):,} of {len(found):,} people it is not known when they "
            "qualified, so engagement before and after it cannot be told apart."
        )
    elif len(found) > len(qualified):
        notes.append(f"{len(found) - len(qualified):,} people who never were an MQL here were not counted.")
    return Known(
        source="the store",
        columns=tuple(columns),
        won=tuple(used[id].won for id in ids),
        current=tuple(score for score in current if score is not None) if None not in current and current else None,
        notes=tuple(notes),
    )


def _known_people(
    tx: Connection, rules: GatherRules, zone: ZoneInfo, now: datetime, lost_after: timedelta | None
) -> tuple[dict[str, _Person], int]:
    """The people with an outcome, and how many have none."""
    p, e = schema.person.c, schema.episode.c
    rows = tx.execute(
        select(p.person_id, p.status, p.fit, p.total).where(p.status.is_not(None), p.ambiguous.is_(False))
    ).all()
    episodes: dict[str, list[Any]] = {}
    for row in tx.execute(select(e.person_id, e.opened_at, e.adopted, e.total, e.outcome).order_by(e.person_id, e.n)):
        episodes.setdefault(row.person_id, []).append(row)
    found: dict[str, _Person] = {}
    still_open = 0
    for part in parts(rows):
        states = {row.person_id: row for row in part}
        for person_id, sources in people.load_sources(tx, list(states), rules.owners).items():
            gathered = gather(sources, rules)
            if gathered is None:
                continue
            row, own = states[person_id], episodes.get(person_id, [])
            won = _won(row.status, gathered.facts, own)
            if won is None and lost_after is not None and not own and _older(gathered.facts, now - lost_after):
                won = False
            if won is None:
                still_open += 1
                continue
            first = own[0] if own and not own[0].adopted else None
            found[person_id] = _Person(
                won=won,
                qualified=None if first is None else first.opened_at,
                current=row.fit if first is None else first.total,
                facts=gathered.facts,
            )
    return found, still_open


def _won(status: str, facts: Mapping[str, FactValue], episodes: Sequence[Any]) -> bool | None:
    at_sales = facts.get("person.lifecycle_stage") in _AT_SALES or facts.get("person.converted") is True
    outcomes = [episode.outcome for episode in episodes if episode.outcome not in (None, *_NO_OUTCOME)]
    if at_sales or status in (Status.WITH_SALES, Status.SQL) or "sql" in outcomes:
        return True
    if outcomes or status in (Status.RECYCLED, Status.NEVER):
        return False
    return None


def _older(facts: Mapping[str, FactValue], moment: datetime) -> bool:
    created = facts.get("person.created_at")
    if isinstance(created, datetime):
        return created < moment
    return isinstance(created, date) and datetime(created.year, created.month, created.day, tzinfo=UTC) < moment


def _events_before(tx: Connection, moments: Mapping[str, datetime], zone: ZoneInfo) -> dict[str, dict[str, int]]:
    """Kind -> person -> occurrences in the `WINDOW` of days that ends with the person's moment.

    An event of that very day without a time counts if it had been seen by then.
    """
    e, link = schema.event.c, schema.link.c
    joined = schema.event.join(schema.link, carries(link, e))
    counts: dict[str, dict[str, int]] = {}
    for part in parts(sorted(moments)):
        asked = (
            select(link.person_id, e.kind, e.at, e.timed, e.count.label("times"), e.seen_at)
            .select_from(joined)
            .where(link.person_id.in_(part), e.deleted.is_(False))
        )
        for row in tx.execute(asked):
            moment = moments[row.person_id]
            if (row.at if row.timed else row.seen_at) > moment and (row.timed or row.at.date() >= moment.date()):
                continue
            is_date = not row.timed and row.at.time() == row.at.min.time()
            day = row.at.date() if is_date else row.at.astimezone(zone).date()
            if 0 <= (moment.astimezone(zone).date() - day).days < WINDOW:
                of_kind = counts.setdefault(row.kind, {})
                of_kind[row.person_id] = of_kind.get(row.person_id, 0) + row.times
    return counts


def _fact_columns(
    people_facts: Sequence[Mapping[str, FactValue]], rules: GatherRules, leaks: Collection[str]
) -> list[Column]:
    columns: list[Column] = []
    for fact in [*FACTS.values(), *rules.custom.values()]:
        kind = _KINDS.get(fact.type)
        if kind is None or fact.only_in is not None or fact.name == "identity.confidence":
            continue
        why = _NOT_USED.get(fact.name, "")
        if fact.name in leaks:
            why = LISTED
        values = [_value(fact, facts.get(fact.name)) for facts in people_facts]
        if any(value is not None for value in values):
            columns.append(Column(fact=fact.name, title=fact.name, kind=kind, values=values, why=why))
    return columns


def _value(fact: Fact, value: FactValue | None) -> float | str | None:
    match value:
        case None:
            if fact.missing_false:
                return "false"
            return 0.0 if fact.missing_zero else None
        case bool():
            return "true" if value else "false"
        case Decimal():
            return float(value)
        case _:
            return str(value)
