"""A configuration file as positioned text, and the readers that give its scalars a type.

YAML 1.2 in a strict subset: one document, no anchors, aliases, tags or merge keys, no key twice. Every scalar is text
(``NO`` is Norway); a type comes from whoever reads it. Nothing raises on the way: a reader that cannot use what it
finds reports a `Problem` with its place and returns a harmless value, so that all errors of all files are seen at once.
Whoever asked for the file raises `PolicyInvalid` at the end, and nothing made of those values lives on.
"""

from __future__ import annotations

import re
from bisect import bisect_left
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from datetime import date, datetime, timedelta
from decimal import Decimal
from enum import StrEnum
from functools import lru_cache
from typing import NamedTuple, TypeVar

from rapidfuzz import process
from rapidfuzz.distance import OSA
from ruamel.yaml import YAML
from ruamel.yaml.error import MarkedYAMLError, YAMLError
from ruamel.yaml.events import (
    AliasEvent,
    DocumentStartEvent,
    Event,
    MappingEndEvent,
    MappingStartEvent,
    ScalarEvent,
    SequenceEndEvent,
    SequenceStartEvent,
)
from ruamel.yaml.reader import ReaderError

from scoring.conditions import Span, Unit
from scoring.team import Delay

__all__ = [
    "COMMA",
    "Entry",
    "Kind",
    "Node",
    "PolicyInvalid",
    "Problem",
    "Source",
    "Unreadable",
    "did_you_mean",
    "parse_boolean",
    "parse_clock",
    "parse_date",
    "parse_days",
    "parse_delay",
    "parse_instant",
    "parse_number",
    "parse_percent",
    "parse_working_time",
    "read_document",
]

T = TypeVar("T")

MAX_BYTES = 2 * 1024 * 1024
MAX_DEPTH = 40
COMMA = "; inside { } a comma starts a new key: put a text that has one in quotes"
"""What is said of an unknown key without a value: most likely the end of a text."""

MAX_DAYS = 36_500
MAX_MONTHS = 1_200
MAX_HOURS = 8_760
"""Of spans of time: a year."""


class Source(NamedTuple):
    """A file: the name shown in messages, and its bytes."""

    name: str
    content: bytes


@dataclass(frozen=True, slots=True, kw_only=True)
class Problem:
    """One thing wrong with a file. ``line`` and ``col`` count from 1; ``path`` is empty for the file as a whole.

    ``whole``: the file cannot be read at all, so whatever else is said of it means nothing.
    ``code``: the finding of docs/policy.md it is (``E02``, ``W04``), empty when it is none of those.
    """

    file: str
    line: int
    col: int
    path: str
    message: str
    warning: bool = False
    whole: bool = field(default=False, compare=False)
    code: str = field(default="", compare=False)

    def __str__(self) -> str:
        return ": ".join(filter(None, (f"{self.file}:{self.line}:{self.col}", self.path, self.message)))


class PolicyInvalid(Exception):
    """The files cannot be loaded. ``problems`` are all their errors, by file, line and column."""

    def __init__(self, problems: Iterable[Problem]) -> None:
        found = dict.fromkeys(problems)
        unread = {p.file for p in found if p.whole}
        told = (p for p in found if p.whole or p.file not in unread)
        self.problems = tuple(sorted(told, key=lambda p: (p.file, p.line, p.col)))
        super().__init__("\n".join(str(p) for p in self.problems))


class Unreadable(ValueError):
    """A scalar is not of the wanted type. The text says what to write instead; ``code`` as in `Problem`."""

    def __init__(self, message: str, *, code: str = "") -> None:
        super().__init__(message)
        self.code = code


def did_you_mean(word: str, names: Iterable[str]) -> str:
    """``, did you mean 'x'?`` for the nearest name, or nothing when none is near.

    Near is an edit distance (a swap of neighbours is one edit) of at most a third of the name, at least 1, at most 3.
    """
    best = _nearest(word, tuple(names))
    return "" if best is None else f", did you mean '{best}'?"


MOST_NAMES = 1000
"""Among more names than this, only those are looked at that begin or end much like the word."""

NEIGHBOURS = 50


def _nearest(word: str, names: tuple[str, ...]) -> str | None:
    some = names if len(names) <= MOST_NAMES else _neighbours(word, names)
    near = process.extract(word, some, scorer=OSA.distance, score_cutoff=3, limit=20)
    return next((name for name, distance, _ in near if distance <= max(1, len(name) // 3)), None)


def _neighbours(word: str, names: tuple[str, ...]) -> tuple[str, ...]:
    """Names beside the word, in alphabetical order and in that of their last letters."""
    forwards, backwards = _in_order(names)
    found: dict[str, None] = {}
    for spelled, order in ((word, forwards), (word[::-1], backwards)):
        at = bisect_left(order, spelled)
        beside = order[max(0, at - NEIGHBOURS) : at + NEIGHBOURS]
        found |= dict.fromkeys(beside if order is forwards else (name[::-1] for name in beside))
    return tuple(found)


@lru_cache(maxsize=4)
def _in_order(names: tuple[str, ...]) -> tuple[list[str], list[str]]:
    return sorted(names), sorted(name[::-1] for name in names)


# -- scalars -----------------------------------------------------------------------------------------------------

_NUMBER = re.compile(r"-?[0-9]{1,12}(\.[0-9]{1,6})?")
_COUNTED = re.compile(r"([0-9]{1,9}) +([a-z]+)")
_DELAY = re.compile(r"([0-9]{1,9}) +(?:(working|business) +)?(minutes?|hours?)")
_GROUPED = re.compile(r"-?[0-9]{1,3}(,[0-9]{3})+(\.[0-9]+)?")
_DATE = re.compile(r"[0-9]{4}-[0-9]{2}-[0-9]{2}")
_INSTANT = re.compile(
    r"[0-9]{4}-[0-9]{2}-[0-9]{2}T[0-9]{2}:[0-9]{2}(:[0-9]{2}(\.[0-9]{1,6})?)?(Z|[+-][0-9]{2}:[0-9]{2})?"
)
_TURNED_DATE = re.compile(r"([0-9]{1,2})[./]([0-9]{1,2})[./]([0-9]{4})")
_DAYS_IN = {"day": 1, "days": 1, "week": 7, "weeks": 7}
_SECONDS_IN = {"second": 1, "seconds": 1, "minute": 60, "minutes": 60, "hour": 3600, "hours": 3600}
_SPOKEN_BOOLEANS = {"yes": True, "on": True, "1": True, "y": True, "no": False, "off": False, "0": False, "n": False}


def parse_number(text: str) -> Decimal:
    """``200``, ``-5``, ``0.25``: at most 12 digits before the point and 6 after it."""
    if _NUMBER.fullmatch(text):
        return Decimal(text)
    if _GROUPED.fullmatch(text):
        raise Unreadable(f"'{text}': write {text.replace(',', '')}")
    if text.endswith("%") and _NUMBER.fullmatch(text[:-1]):
        raise Unreadable(f"'{text}': a plain number is wanted here, not a percentage")
    raise Unreadable(f"'{text}' is not a number (at most 12 digits before and 6 after the point)")


def parse_percent(text: str) -> int:
    """``5%``, ``0.5%``: 0 to 100 with at most 2 decimals. In hundredths of a percent."""
    number = text.removesuffix("%").strip()
    if not _NUMBER.fullmatch(number):
        raise Unreadable(f"'{text}' is not a percentage: write it like 5% or 0.5%")
    value = Decimal(number) * 100
    if not text.endswith("%"):
        meant = Decimal(number) * 100 if Decimal(number) <= 1 else Decimal(number)
        raise Unreadable(f"'{text}': a percentage has a %: write {meant.normalize():f}%")
    if not 0 <= value <= 10_000:
        raise Unreadable(f"'{text}': a percentage is from 0% to 100%")
    if value != value.to_integral_value():
        raise Unreadable(f"'{text}': a percentage has at most 2 decimals")
    return int(value)


def parse_boolean(text: str) -> bool:
    """``true`` or ``false`` and nothing else."""
    if text in ("true", "false"):
        return text == "true"
    raise Unreadable(f"'{text}': write true or false")


def parse_days(text: str) -> Span:
    """``14 days``, ``2 weeks``, ``3 months``: at least 1, weeks are 7 days."""
    counted = _COUNTED.fullmatch(text)
    if counted is None:
        if re.fullmatch(r"[0-9]{1,9}", text):
            raise Unreadable(f"'{text}': say of what: write '{text} days'")
        raise Unreadable(f"'{text}' is not a span: write it like '14 days', '2 weeks' or '3 months'")
    n, unit = int(counted[1]), counted[2]
    if unit in _SECONDS_IN:
        days = max(1, -(-n * _SECONDS_IN[unit] // 86_400))
        raise Unreadable(f"scoring counts whole days: write '{days} day{'s' if days > 1 else ''}'")
    if unit in ("month", "months"):
        if not 1 <= n <= MAX_MONTHS:
            raise Unreadable(f"'{text}': from 1 to {MAX_MONTHS} months")
        return Span(n, Unit.MONTH)
    if unit not in _DAYS_IN:
        raise Unreadable(f"'{text}': unknown unit '{unit}'{did_you_mean(unit, ('days', 'weeks', 'months'))}")
    days = n * _DAYS_IN[unit]
    if not 1 <= days <= MAX_DAYS:
        raise Unreadable(f"'{text}': from 1 to {MAX_DAYS} days")
    return Span(days)


def parse_clock(text: str) -> timedelta:
    """``10 seconds``, ``5 minutes``, ``2 hours``; 0 is allowed."""
    counted = _COUNTED.fullmatch(text)
    if counted is None or counted[2] not in _SECONDS_IN:
        raise Unreadable(f"'{text}' is not a time span: write it like '10 seconds', '5 minutes' or '2 hours'")
    return timedelta(seconds=int(counted[1]) * _SECONDS_IN[counted[2]])


def parse_delay(text: str) -> Delay:
    """``4 working hours``, ``30 minutes``: at least a minute."""
    counted = _DELAY.fullmatch(text)
    if counted is None:
        raise Unreadable(f"'{text}' is not a time span: write it like '4 working hours' or '30 minutes'")
    n, kind, unit = int(counted[1]), counted[2], counted[3]
    if kind == "business":
        raise Unreadable(f"'{text}': write '{n} working {unit}'")
    minutes = n * _SECONDS_IN[unit] // 60
    if not 1 <= minutes <= MAX_HOURS * 60:
        raise Unreadable(f"'{text}': from 1 minute to {MAX_HOURS} hours")
    return Delay(minutes=minutes, working=kind is not None)


def parse_working_time(text: str) -> Delay:
    """``4 working hours``, ``30 working minutes``."""
    delay = parse_delay(text)
    if not delay.working:
        n, _, unit = text.partition(" ")
        raise Unreadable(f"'{text}': working time is wanted here: write '{n} working {unit.strip()}'")
    return delay


def parse_date(text: str) -> date:
    """``2026-12-21``."""
    turned = _TURNED_DATE.fullmatch(text)
    if turned:
        raise Unreadable(f"'{text}': write {turned[3]}-{int(turned[2]):02}-{int(turned[1]):02}")
    if not _DATE.fullmatch(text):
        raise Unreadable(f"'{text}' is not a date: write it like 2026-12-21")
    try:
        return date.fromisoformat(text)
    except ValueError:
        raise Unreadable(f"'{text}': there is no such day") from None


def parse_instant(text: str) -> datetime:
    """``2026-12-21T14:00:00Z``, or with an offset."""
    if not _INSTANT.fullmatch(text):
        raise Unreadable(f"'{text}' is not an instant: write it like 2026-12-21T14:00:00Z")
    try:
        instant = datetime.fromisoformat(text)
    except ValueError:
        raise Unreadable(f"'{text}': there is no such instant") from None
    if instant.tzinfo is None:
        raise Unreadable(f"'{text}' does not say its zone: write {text}Z for UTC, or an offset like +02:00")
    return instant


# -- nodes -------------------------------------------------------------------------------------------------------


class Kind(StrEnum):
    TEXT = "a text"
    EMPTY = "no value"
    LIST = "a list"
    MAPPING = "a mapping"


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Entry:
    """A key and its value. ``name`` is the key as a text of its own place; its path ends with the key."""

    key: str
    name: Node
    node: Node


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Node:
    """A value with its place. ``problems`` is the one list to which everything about this file is reported."""

    file: str
    line: int
    col: int
    path: str
    kind: Kind
    value: str = ""
    items: tuple[Node, ...] = ()
    entries: tuple[Entry, ...] = ()
    problems: list[Problem] = field(repr=False)
    by_key: Mapping[str, Node] = field(default_factory=dict, repr=False)

    # -- reporting

    def error(self, message: str, *, at: Node | None = None, code: str = "") -> None:
        """Report an error about this value, at the place of ``at`` if given."""
        self._report(message, at or self, warning=False, code=code)

    def warn(self, message: str, *, at: Node | None = None, code: str = "") -> None:
        self._report(message, at or self, warning=True, code=code)

    def _report(self, message: str, at: Node, *, warning: bool, code: str) -> None:
        self.problems.append(
            Problem(file=at.file, line=at.line, col=at.col, path=self.path, message=message, warning=warning, code=code)
        )

    def no_value(self) -> None:
        self.error("no value")

    def _not(self, wanted: str) -> None:
        if self.kind is Kind.EMPTY:
            self.no_value()
        else:
            self.error(f"{wanted} is wanted here, not {self.kind}")

    def under(self, path: str) -> Node:
        """The same place, reported under another path."""
        return replace(self, path=path)

    # -- looking

    def get(self, key: str) -> Node | None:
        return self.by_key.get(key)

    def without(self, key: str) -> Node:
        """The same mapping as if ``key`` were not in it."""
        return replace(
            self,
            entries=tuple(e for e in self.entries if e.key != key),
            by_key={k: node for k, node in self.by_key.items() if k != key},
        )

    def find(self, *keys: str | int) -> Node | None:
        """The value below, by keys and indexes; None when there is none."""
        node: Node | None = self
        for key in keys:
            if isinstance(key, str):
                node = node.get(key) if node else None
            else:
                node = node.items[key] if node and 0 <= key < len(node.items) else None
        return node

    # -- reading

    def text(self) -> str:
        """The text, trimmed. Blank is an error."""
        if self.kind is not Kind.TEXT:
            self._not("a text")
            return ""
        text = self.value.strip()
        if not text:
            self.no_value()
        return text

    def read(self, parse: Callable[[str], T], otherwise: T) -> T:
        """What ``parse`` makes of the text; its `Unreadable` is reported and ``otherwise`` returned."""
        text = self.text()
        if not text:
            return otherwise
        try:
            return parse(text)
        except Unreadable as why:
            self.error(str(why), code=why.code)
            return otherwise

    def number(self, otherwise: Decimal = Decimal(0)) -> Decimal:
        return self.read(parse_number, otherwise)

    def integer(self, low: int, high: int, otherwise: int | None = None) -> int:
        def parse(text: str) -> int:
            number = parse_number(text)
            if number != number.to_integral_value() or not low <= number <= high:
                raise Unreadable(f"'{text}': a whole number from {low} to {high} is wanted here")
            return int(number)

        return self.read(parse, low if otherwise is None else otherwise)

    def boolean(self) -> bool:
        return self.read(parse_boolean, False)

    def percent(self) -> int:
        """In hundredths of a percent."""
        return self.read(parse_percent, 0)

    def days(self) -> Span:
        return self.read(parse_days, Span(1))

    def clock(self) -> timedelta:
        return self.read(parse_clock, timedelta())

    def choice(self, options: Sequence[str], what: str = "") -> str:
        """One of ``options``; the first when it is none of them."""

        def parse(text: str) -> str:
            if text in options:
                return text
            near = did_you_mean(text, options) or (f"; there are {', '.join(options)}" if what else "")
            raise Unreadable(
                f"unknown {what} '{text}'{near}" if what else f"'{text}' is not one of {', '.join(options)}{near}"
            )

        return self.read(parse, options[0])

    def each(self) -> tuple[Node, ...]:
        """The values of a list."""
        if self.kind is not Kind.LIST:
            self._not("a list")
        return self.items

    def pairs(self) -> tuple[Entry, ...]:
        """Keys and values of a mapping whose keys are free."""
        if self.kind is not Kind.MAPPING:
            self._not("a mapping")
        return self.entries

    def fields(
        self, *known: str, required: Iterable[str] = (), later: Iterable[str] = (), what: str = "key"
    ) -> Mapping[str, Node]:
        """The values of a mapping whose keys are ``known``.

        Other keys are errors with the nearest known name, and are read as that one where it is not there itself, so
        that one slip is one error. ``later`` names keys that are reserved, an error that says so. A missing required
        key is reported at the mapping's own place.
        """
        later = tuple(later)
        entries = self.pairs()
        found = {entry.key: entry.node for entry in entries if entry.key in known}
        for entry in entries:
            if entry.key in known:
                continue
            if entry.key in later:
                entry.name.error(f"'{entry.key}' is not supported by this version yet")
            elif entry.node.kind is Kind.EMPTY and not _nearest(entry.key, known):
                entry.name.error(f"unknown {what}{COMMA}", code="E02")
            else:
                entry.name.error(f"unknown {what}{did_you_mean(entry.key, (*known, *later))}", code="E02")
                meant = _nearest(entry.key, (*known, *later))
                if meant in known:
                    found.setdefault(meant, entry.node)
        if self.kind is Kind.MAPPING:
            for key in required:
                if key not in found:
                    self.under(f"{self.path}.{key}" if self.path else key).error("this key is missing")
        return found

    def walk(self) -> Iterator[Node]:
        yield self
        for item in self.items:
            yield from item.walk()
        for entry in self.entries:
            yield from entry.node.walk()

    def report_empty(self) -> None:
        """Report every key without a value that no reader has looked at."""
        told = {(p.file, p.line, p.col) for p in self.problems}
        for node in self.walk():
            if node.kind is Kind.EMPTY and (node.file, node.line, node.col) not in told:
                node.no_value()


# -- YAML to nodes -----------------------------------------------------------------------------------------------


def read_document(content: bytes | str, name: str) -> Node:
    """The file as a tree of text. What is not allowed in it is in ``problems`` of the returned node.

    A file that is no YAML at all gives an empty mapping and one problem.
    """
    problems: list[Problem] = []

    def broken(message: str, line: int = 1, col: int = 1) -> Node:
        problems.append(Problem(file=name, line=line, col=col, path="", message=message, whole=True))
        return Node(file=name, line=1, col=1, path="", kind=Kind.MAPPING, problems=problems)

    if len(content) > MAX_BYTES:
        return broken("the file is larger than 2 MiB")
    if isinstance(content, str):
        text = content
    else:
        try:
            text = content.decode("utf-8-sig")
        except UnicodeDecodeError as why:
            line, col = _place(content[: why.start].decode("utf-8", "replace"))
            return broken("this is not UTF-8", line, col)
    try:
        node = _Builder(name, problems).build(YAML(typ="safe", pure=True).parse(text))
    except _Stopped:
        return Node(file=name, line=1, col=1, path="", kind=Kind.MAPPING, problems=problems)
    except MarkedYAMLError as why:
        mark = why.problem_mark or why.context_mark
        said = " ".join(filter(None, (why.context, why.problem)))
        return broken(f"this is not YAML: {said}", mark.line + 1 if mark else 1, mark.column + 1 if mark else 1)
    except ReaderError as why:
        line, col = _place(text[: why.position])
        return broken("this character is not allowed in YAML", line, col)
    except (YAMLError, ValueError, OverflowError, AttributeError) as why:
        # the package's scanner does arithmetic and look-ups on what the text says, such as \UFFFFFFFF in quotes
        return broken(f"this is not YAML: {why}")
    return node if node is not None else broken("the file is empty")


def _place(before: str) -> tuple[int, int]:
    lines = before.split("\n")
    return len(lines), len(lines[-1]) + 1


class _Stopped(Exception):
    """A problem after which the rest of the file has no meaning. It has been reported."""


class _Builder:
    """Makes nodes of parser events. Iterative where text can nest, so no file can exhaust the stack."""

    def __init__(self, name: str, problems: list[Problem]) -> None:
        self.name = name
        self.problems = problems
        self.ended = 0
        """Where the last text ends, in characters."""

    def build(self, events: Iterator[Event]) -> Node | None:
        self.events = events
        node: Node | None = None
        documents = 0
        for event in events:
            match event:
                case DocumentStartEvent():
                    documents += 1
                    if documents > 1:
                        self._stop(event, "", "a file is one document: there is a second one here")
                    if event.version not in (None, (1, 2)):
                        self._stop(event, "", "files are read as YAML 1.2: take the %YAML line away")
                case MappingStartEvent() | SequenceStartEvent() | ScalarEvent() | AliasEvent():
                    node = self._node(event, "", 0)
                case _:
                    pass
        return None if node is not None and node.kind is Kind.EMPTY else node

    def _stop(self, event: Event, path: str, message: str) -> None:
        self._error(event, path, message, whole=True)
        raise _Stopped

    def _error(self, event: Event, path: str, message: str, *, whole: bool = False) -> None:
        line, col = self._at(event)
        self.problems.append(Problem(file=self.name, line=line, col=col, path=path, message=message, whole=whole))

    def _at(self, event: Event) -> tuple[int, int]:
        return event.start_mark.line + 1, event.start_mark.column + 1

    def _node(self, event: Event, path: str, depth: int) -> Node:
        if depth > MAX_DEPTH:
            self._stop(event, path, f"nested deeper than {MAX_DEPTH} levels")
        if isinstance(event, AliasEvent):
            self._error(event, path, "aliases (*name) are not allowed")
            return self._make(event, path, Kind.EMPTY)
        assert isinstance(event, ScalarEvent | SequenceStartEvent | MappingStartEvent)
        if event.anchor is not None:
            self._error(event, path, "anchors (&name) are not allowed")
        if event.tag:
            self._error(event, path, "tags (!name) are not allowed: every value is text, the key says what it means")
        match event:
            case ScalarEvent():
                return self._scalar(event, path)
            case SequenceStartEvent():
                items: list[Node] = []
                for inner in self.events:
                    if isinstance(inner, SequenceEndEvent):
                        break
                    items.append(self._node(inner, f"{path}[{len(items)}]", depth + 1))
                return self._make(event, path, Kind.LIST, items=tuple(items))
            case _:
                return self._make(event, path, Kind.MAPPING, entries=self._entries(path, depth))

    def _make(
        self,
        event: Event,
        path: str,
        kind: Kind,
        *,
        value: str = "",
        items: tuple[Node, ...] = (),
        entries: tuple[Entry, ...] = (),
    ) -> Node:
        line, col = self._at(event)
        return Node(
            file=self.name,
            line=line,
            col=col,
            path=path,
            kind=kind,
            value=value,
            items=items,
            entries=entries,
            problems=self.problems,
            by_key={entry.key: entry.node for entry in entries},
        )

    def _scalar(self, event: ScalarEvent, path: str) -> Node:
        if not event.value and event.implicit[0]:
            return self._make(event, path, Kind.EMPTY)
        self.ended = event.end_mark.index
        value = str(event.value)
        try:
            # JSON writes characters above U+FFFF as two halves
            value = value.encode("utf-16", "surrogatepass").decode("utf-16")
        except UnicodeDecodeError:
            self._error(event, path, "half a character: \\uD800 to \\uDFFF come in pairs")
            value = value.encode("ascii", "replace").decode()
        return self._make(event, path, Kind.TEXT, value=value)

    def _entries(self, path: str, depth: int) -> tuple[Entry, ...]:
        entries: dict[str, Entry] = {}
        grouped: dict[str, Node] = {}
        last: Entry | None = None
        for event in self.events:
            if isinstance(event, MappingEndEvent):
                break
            follows = event.start_mark.index == self.ended + 1
            entry = self._entry(event, path, depth)
            if entry.name.kind is not Kind.TEXT:
                continue
            if last is not None and follows and (whole := _ungrouped(last, entry)) is not None:
                entries.pop(last.key)
                grouped.pop(last.key, None)
                grouped[whole.key] = whole.node if whole.key == last.key else whole.name
                entry = whole
            first = entries.setdefault(entry.key, entry)
            if first is not entry:
                entry.name.error(f"this key is already on line {first.name.line}")
            last = first
        for node in grouped.values():
            node.error(f"inside {{ }} a comma starts a new key: write {node.value}")
        return tuple(entries.values())

    def _entry(self, event: Event, path: str, depth: int) -> Entry:
        name = self._node(event, path, depth + 1)
        key = name.value.strip() if name.kind is Kind.TEXT else ""
        inner = f"{path}.{key}" if path else key
        name = replace(name, path=inner)
        if name.kind is Kind.LIST:
            name.error("a key is a text: give the list a name under 'lists' and write 'in NAME'")
        elif name.kind is not Kind.TEXT:
            name.error("a key is a text")
        elif name.value == "<<" and isinstance(event, ScalarEvent) and not event.style:
            name.error("merge keys (<<) are not allowed")
        following = next(self.events)
        value = self._node(following, inner, depth + 1)
        if value.kind is Kind.EMPTY and isinstance(following, ScalarEvent):
            value = replace(value, line=name.line, col=name.col)
        return Entry(key=key, name=name, node=value)


_THREE_DIGITS = re.compile(r"[0-9]{3}(\.[0-9]+)?")


def _ungrouped(before: Entry, after: Entry) -> Entry | None:
    """The one entry that is meant by ``{a: 1,000}`` or ``{from 1,000: 5}``, two to YAML; None when two are meant."""
    if not _THREE_DIGITS.fullmatch(after.key):
        return None
    if after.node.kind is Kind.EMPTY and before.node.kind is Kind.TEXT and before.node.value[-1:].isdecimal():
        return replace(before, node=replace(before.node, value=before.node.value + after.key))
    if before.node.kind is Kind.EMPTY and before.key[-1:].isdecimal():
        name = replace(before.name, value=before.key + after.key, path=before.name.path + after.key)
        return Entry(key=name.value, name=name, node=after.node.under(name.path))
    return None
