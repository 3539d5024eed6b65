"""SOQL as text and as a tree: the part of the language the REST query resource is used with.

Read here: SELECT with relationship paths, aggregates and aliases, FROM, WHERE (comparisons, LIKE, IN, NOT IN,
semi-joins, AND, OR, NOT, parentheses), GROUP BY, HAVING, ORDER BY, LIMIT, OFFSET. Whether a name exists is not decided
here, only whether the text is SOQL; ``salesforce_query`` binds a tree to the objects of an org and runs it.

The language is stricter than SQL in two ways that bite: AND and OR may not be mixed without parentheses, and date and
time literals stand unquoted and carry a zone.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from datetime import UTC, date, datetime
from enum import StrEnum
from typing import NoReturn

__all__ = [
    "Aggregate",
    "Both",
    "Comparison",
    "Condition",
    "Either",
    "Kind",
    "Literal",
    "Membership",
    "Not",
    "Operator",
    "Order",
    "Path",
    "Query",
    "SemiJoin",
    "SoqlError",
    "Wildcard",
    "parse",
    "stamp",
    "text_of",
]

LONGEST_QUERY = 100_000
LONGEST_TEXT = 4_000
LARGEST_OFFSET = 2_000


class SoqlError(Exception):
    """The query is refused; ``code`` is Salesforce's error code, the message the one a client would see."""

    def __init__(self, code: str, message: str) -> None:
        super().__init__(message)
        self.code = code
        self.message = message


class Kind(StrEnum):
    """What a literal is, before it meets a field."""

    TEXT = "string"
    NUMBER = "number"
    MOMENT = "dateTime"
    DAY = "date"
    BOOLEAN = "boolean"
    NULL = "null"
    SPAN = "date literal"


class Operator(StrEnum):
    EQUAL = "="
    UNEQUAL = "!="
    LESS = "<"
    AT_MOST = "<="
    MORE = ">"
    AT_LEAST = ">="
    LIKE = "like"


@dataclass(frozen=True, slots=True, kw_only=True)
class Literal:
    """A constant. ``value``: raw text between the quotes, a number, stamp, ISO day, bool, None, ``LAST_N_DAYS:3``."""

    kind: Kind
    value: str | float | bool | None


@dataclass(frozen=True, slots=True, kw_only=True)
class Path:
    """A field, perhaps reached over parents: ``Account.Owner.Name``. ``at`` is where it stands in the text."""

    names: tuple[str, ...]
    at: int

    def __str__(self) -> str:
        return ".".join(self.names)


@dataclass(frozen=True, slots=True, kw_only=True)
class Aggregate:
    """``COUNT(Id) n``. ``of`` is None for the bare ``COUNT()``."""

    function: str
    of: Path | None
    alias: str | None


@dataclass(frozen=True, slots=True, kw_only=True)
class Wildcard:
    """``FIELDS(ALL)``, ``FIELDS(STANDARD)`` or ``FIELDS(CUSTOM)``."""

    group: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Comparison:
    left: Path | Aggregate
    operator: Operator
    right: Literal


@dataclass(frozen=True, slots=True, kw_only=True)
class Membership:
    path: Path
    among: tuple[Literal, ...]
    negated: bool


@dataclass(frozen=True, slots=True, kw_only=True)
class SemiJoin:
    path: Path
    query: Query
    negated: bool


@dataclass(frozen=True, slots=True, kw_only=True)
class Not:
    inner: Condition


@dataclass(frozen=True, slots=True, kw_only=True)
class Both:
    """All of these (AND)."""

    parts: tuple[Condition, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class Either:
    """At least one of these (OR)."""

    parts: tuple[Condition, ...]


Condition = Comparison | Membership | SemiJoin | Not | Both | Either


@dataclass(frozen=True, slots=True, kw_only=True)
class Order:
    by: Path | Aggregate
    descending: bool
    nulls_last: bool


@dataclass(frozen=True, slots=True, kw_only=True)
class Query:
    source: str
    object: str
    object_at: int
    select: tuple[Path | Aggregate | Wildcard, ...]
    where: Condition | None = None
    group_by: tuple[Path, ...] = ()
    having: Condition | None = None
    order: tuple[Order, ...] = ()
    limit: int | None = None
    offset: int = 0

    @property
    def counts_rows(self) -> bool:
        """Whether this is ``SELECT COUNT() FROM ...``: only a total, no rows."""
        return len(self.select) == 1 and isinstance(self.select[0], Aggregate) and self.select[0].of is None

    @property
    def aggregates(self) -> bool:
        return bool(self.group_by) or any(isinstance(one, Aggregate) for one in self.select)


@dataclass(frozen=True, slots=True, kw_only=True)
class _Token:
    kind: str
    text: str
    at: int

    @property
    def word(self) -> str:
        return self.text.upper() if self.kind == "name" else ""


_TOKEN = re.compile(
    r"""
    (?P<space>\s+)
    | (?P<moment>\d{4}-\d\d-\d\d[Tt]\d\d:\d\d:\d\d(?:\.\d{1,9})?(?:[Zz]|[+-]\d\d:?\d\d))
    | (?P<day>\d{4}-\d\d-\d\d)
    | (?P<number>[+-]?(?:\d+(?:\.\d*)?|\.\d+)(?:[eE][+-]?\d+)?)
    | (?P<text>'(?:[^'\\]|\\.)*')
    | (?P<span>[A-Za-z_]+:\d+)
    | (?P<name>[A-Za-z_][A-Za-z0-9_]*(?:\.[A-Za-z_][A-Za-z0-9_]*)*)
    | (?P<sign><=|>=|!=|<>|[=<>(),])
    """,
    re.VERBOSE | re.DOTALL,
)
_SPANS = frozenset({"TODAY", "YESTERDAY", "TOMORROW"})
_COUNTED_SPANS = frozenset({"LAST_N_DAYS", "NEXT_N_DAYS"})
_FUNCTIONS = frozenset({"COUNT", "COUNT_DISTINCT", "SUM", "AVG", "MIN", "MAX"})
_CLAUSES = frozenset(
    {"FROM", "WHERE", "GROUP", "HAVING", "ORDER", "LIMIT", "OFFSET", "AND", "OR", "USING", "WITH", "FOR"}
)
_ESCAPE = re.compile(r"\\(u[0-9A-Fa-f]{4}|.)", re.DOTALL)
_ESCAPED = {"n": "\n", "r": "\r", "t": "\t", "b": "\b", "f": "\f", "'": "'", '"': '"', "\\": "\\"}
_ESCAPED |= {"N": "\n", "R": "\r", "T": "\t", "B": "\b", "F": "\f"}


def stamp(moment: datetime) -> str:
    """A moment as Salesforce writes it, ``2024-05-06T07:08:09.000+0000``; such texts sort like the moments."""
    utc = moment.astimezone(UTC)
    return f"{utc:%Y-%m-%dT%H:%M:%S}.{utc.microsecond // 1000:03d}+0000"


def text_of(raw: str, *, like: bool = False) -> str:
    """The characters a quoted literal stands for. For LIKE, ``\\%`` and ``\\_`` keep their backslash."""

    def one(match: re.Match[str]) -> str:
        code = match.group(1)
        if code[0] == "u" and len(code) == 5:
            return chr(int(code[1:], 16))
        if code in _ESCAPED:
            # a pattern sees its own backslashes, so one that is meant stays escaped there
            return "\\\\" if like and code == "\\" else _ESCAPED[code]
        if like and code in "%_":
            return match.group(0)
        raise SoqlError(
            "MALFORMED_QUERY", f"Invalid string literal '{raw}'. Illegal character sequence '\\{code}' in it"
        )

    return _ESCAPE.sub(one, raw)


def parse(text: str) -> Query:
    """Read one query. Raises SoqlError (MALFORMED_QUERY, NUMBER_OUTSIDE_VALID_RANGE)."""
    if len(text) > LONGEST_QUERY:
        raise SoqlError("MALFORMED_QUERY", f"SOQL statements cannot be longer than {LONGEST_QUERY} characters.")
    reader = _Reader(text)
    query = reader.query()
    reader.at_end()
    return query


class _Reader:
    """Recursive descent over the tokens, one method a rule of the grammar."""

    def __init__(self, text: str) -> None:
        self._text = text
        self._tokens = self._split(text)
        self._next = 0

    def _split(self, text: str) -> list[_Token]:
        tokens = []
        at = 0
        while at < len(text):
            match = _TOKEN.match(text, at)
            if match is None:
                raise SoqlError("MALFORMED_QUERY", f"unexpected token: '{text[at : at + 20]}' at {at + 1}")
            kind = match.lastgroup or ""
            if kind != "space":
                tokens.append(_Token(kind=kind, text=match.group(), at=at))
            at = match.end()
        tokens.append(_Token(kind="end", text="<EOF>", at=at))
        return tokens

    # -- tokens

    @property
    def _token(self) -> _Token:
        return self._tokens[self._next]

    def _advance(self) -> _Token:
        token = self._token
        self._next += 1
        return token

    def _refuse(self, token: _Token | None = None) -> NoReturn:
        token = token or self._token
        raise SoqlError("MALFORMED_QUERY", f"unexpected token: '{token.text}' at character {token.at + 1}")

    def _word(self, *words: str) -> bool:
        """Take the next tokens if they are these words."""
        if all(self._tokens[min(self._next + i, len(self._tokens) - 1)].word == w for i, w in enumerate(words)):
            self._next += len(words)
            return True
        return False

    def _sign(self, sign: str) -> bool:
        if self._token.kind == "sign" and self._token.text == sign:
            self._next += 1
            return True
        return False

    def _need_word(self, word: str) -> None:
        if not self._word(word):
            self._refuse()

    def _need_sign(self, sign: str) -> None:
        if not self._sign(sign):
            self._refuse()

    def _need_name(self) -> _Token:
        if self._token.kind != "name" or self._token.word in _CLAUSES:
            self._refuse()
        return self._advance()

    def at_end(self) -> None:
        if self._token.kind != "end":
            self._refuse()

    # -- grammar

    def query(self) -> Query:
        start = self._token.at
        self._need_word("SELECT")
        select = [self._selected()]
        while self._sign(","):
            select.append(self._selected())
        self._need_word("FROM")
        if self._token.kind != "name":
            self._refuse()
        target = self._advance()  # any name: Group and Order are objects too
        where = self._condition() if self._word("WHERE") else None
        group_by = tuple(self._paths()) if self._word("GROUP", "BY") else ()
        having = self._condition() if self._word("HAVING") else None
        order = tuple(self._orders()) if self._word("ORDER", "BY") else ()
        limit = self._whole() if self._word("LIMIT") else None
        offset = self._whole() if self._word("OFFSET") else 0
        if offset > LARGEST_OFFSET:
            raise SoqlError("NUMBER_OUTSIDE_VALID_RANGE", f"Maximum SOQL offset allowed is {LARGEST_OFFSET}")
        return Query(
            source=self._text[start : self._token.at],
            object=target.text,
            object_at=target.at,
            select=tuple(select),
            where=where,
            group_by=group_by,
            having=having,
            order=order,
            limit=limit,
            offset=offset,
        )

    def _selected(self) -> Path | Aggregate | Wildcard:
        if self._token.word == "FIELDS" and self._tokens[self._next + 1].text == "(":
            self._next += 2
            group = self._need_name().word
            self._need_sign(")")
            if group not in {"ALL", "STANDARD", "CUSTOM"}:
                self._refuse()
            return Wildcard(group=group)
        aggregate = self._aggregate()
        return aggregate or self._path()

    def _aggregate(self) -> Aggregate | None:
        token = self._token
        if token.kind != "name" or self._tokens[self._next + 1].text != "(":
            return None
        if token.word not in _FUNCTIONS:
            self._refuse()
        self._next += 2
        of = None if self._token.text == ")" else self._path()
        self._need_sign(")")
        if of is None and token.word != "COUNT":
            self._refuse()
        alias = self._advance().text if self._token.kind == "name" and self._token.word not in _CLAUSES else None
        return Aggregate(function=token.word, of=of, alias=alias)

    def _path(self) -> Path:
        token = self._need_name()
        return Path(names=tuple(token.text.split(".")), at=token.at)

    def _paths(self) -> list[Path]:
        paths = [self._path()]
        while self._sign(","):
            paths.append(self._path())
        return paths

    def _orders(self) -> list[Order]:
        orders = [self._order()]
        while self._sign(","):
            orders.append(self._order())
        return orders

    def _order(self) -> Order:
        by = self._aggregate_bare() or self._path()
        descending = self._word("DESC") or (self._word("ASC") and False)
        nulls_last = self._word("NULLS", "LAST") or (self._word("NULLS", "FIRST") and False)
        return Order(by=by, descending=descending, nulls_last=nulls_last)

    def _aggregate_bare(self) -> Aggregate | None:
        """An aggregate where no alias can follow (ORDER BY COUNT(Id) DESC, HAVING COUNT(Id) > 1)."""
        if self._token.kind != "name" or self._tokens[self._next + 1].text != "(":
            return None
        token = self._token
        if token.word not in _FUNCTIONS:
            self._refuse()
        self._next += 2
        of = self._path()
        self._need_sign(")")
        return Aggregate(function=token.word, of=of, alias=None)

    def _whole(self) -> int:
        if self._token.kind != "number" or not self._token.text.isdigit():
            self._refuse()
        return int(self._advance().text)

    def _condition(self) -> Condition:
        parts = [self._negatable()]
        joined = self._token.word
        while self._token.word in {"AND", "OR"}:
            if self._token.word != joined:
                # a OR b AND c has no meaning in SOQL until parentheses give it one
                self._refuse()
            self._next += 1
            parts.append(self._negatable())
        if len(parts) == 1:
            return parts[0]
        return Both(parts=tuple(parts)) if joined == "AND" else Either(parts=tuple(parts))

    def _negatable(self) -> Condition:
        if self._word("NOT"):
            return Not(inner=self._negatable())
        if self._sign("("):
            inner = self._condition()
            self._need_sign(")")
            return inner
        return self._test()

    def _test(self) -> Condition:
        left = self._aggregate_bare() or self._path()
        if isinstance(left, Path):
            if self._word("IN"):
                return self._among(left, negated=False)
            if self._word("NOT", "IN"):
                return self._among(left, negated=True)
            if self._word("LIKE"):
                return Comparison(left=left, operator=Operator.LIKE, right=self._literal())
        token = self._advance()
        if token.kind != "sign" or token.text in "(),":
            self._refuse(token)
        operator = Operator.UNEQUAL if token.text == "<>" else Operator(token.text)
        return Comparison(left=left, operator=operator, right=self._literal())

    def _among(self, path: Path, *, negated: bool) -> Condition:
        self._need_sign("(")
        if self._token.word == "SELECT":
            query = self.query()
            self._need_sign(")")
            return SemiJoin(path=path, query=query, negated=negated)
        among = [self._literal()]
        while self._sign(","):
            among.append(self._literal())
        self._need_sign(")")
        return Membership(path=path, among=tuple(among), negated=negated)

    def _literal(self) -> Literal:
        token = self._advance()
        match token.kind:
            case "text":
                if len(token.text) - 2 > LONGEST_TEXT:
                    raise SoqlError(
                        "MALFORMED_QUERY", f"String literals cannot be longer than {LONGEST_TEXT} characters"
                    )
                return Literal(kind=Kind.TEXT, value=token.text[1:-1])
            case "number":
                whole = re.fullmatch(r"[+-]?\d+", token.text)
                return Literal(kind=Kind.NUMBER, value=int(token.text) if whole else float(token.text))
            case "moment" | "day":
                return self._dated(token)
            case "span" if token.text.split(":")[0].upper() in _COUNTED_SPANS:
                return Literal(kind=Kind.SPAN, value=token.text.upper())
            case "name" if token.word in {"TRUE", "FALSE"}:
                return Literal(kind=Kind.BOOLEAN, value=token.word == "TRUE")
            case "name" if token.word == "NULL":
                return Literal(kind=Kind.NULL, value=None)
            case "name" if token.word in _SPANS:
                return Literal(kind=Kind.SPAN, value=token.word)
        return self._refuse(token)

    def _dated(self, token: _Token) -> Literal:
        try:
            if token.kind == "day":
                return Literal(kind=Kind.DAY, value=date.fromisoformat(token.text).isoformat())
            return Literal(kind=Kind.MOMENT, value=stamp(datetime.fromisoformat(token.text.upper())))
        except ValueError as wrong:
            raise SoqlError("MALFORMED_QUERY", f"line 1:{token.at} invalid date or time '{token.text}'") from wrong
