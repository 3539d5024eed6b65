"""Learned points: a scorecard fitted to people whose outcome is known. Needs the extra `learn` (scikit-learn).

Pure: rows in, `Suggestion` out. Chance (the folds) comes from a seed, so that the same table gives the same patch.

A number is cut at round bounds near its quantiles, and neighbouring parts that win alike become one (chi-square). A
text keeps its frequent values. Columns are taken one by one while the likelihood they add is worth their lines (BIC).
The points are the coefficients of a regularised logistic regression on those lines, scaled so that ``doubling`` points
double the odds, centred so that the average row has 0, and rounded. Every figure is computed from the rounded points,
and in cross-validation all of this is done without the rows that are tested.
"""

from __future__ import annotations

import math
import re
from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
from scipy.special import stdtrit
from sklearn.linear_model import LogisticRegression
from sklearn.model_selection import RepeatedStratifiedKFold, StratifiedKFold
from threadpoolctl import threadpool_limits

from scoring.suggestion import (
    Band,
    Column,
    ColumnKind,
    Estimate,
    LeftOut,
    Line,
    Method,
    PointsTable,
    Suggestion,
    TooFewOutcomes,
    area_under_curve,
    bayes_points,
    number_text,
    phrase_of,
)
from scoring.tables import fold

__all__ = ["FEWEST", "FEWEST_OF_EACH", "Options", "learn"]

FEWEST, FEWEST_OF_EACH = 50, 10
"""Known outcomes, and won and lost ones among them, below which nothing is suggested."""

SEEN = 20
"""Values and parts seen in fewer rows than this get no points of their own."""

MOST_PARTS, MOST_VALUES = 8, 25
"""Parts of a number, and values of a text, that a table can have."""

QUANTILES = 20
ALIKE = 6.635
"""Chi-square of two neighbouring parts below which they are one: chance does this in 1 case of 100."""

SELECT_FROM = 20_000
"""Rows that columns are chosen on; with more, a drawn sample of so many."""

TOO_GOOD = 0.97
"""Area under the curve of one column alone that no fact known beforehand reaches."""

GOOD = 0.93
"""Cross-validated area under the curve that asks for a second look at the columns."""

SURE, SURE_ROWS, SURE_SHARE = 0.125, 0.05, 0.3
"""See `_telling_values`."""

Floats = npt.NDArray[np.float64]
Codes = npt.NDArray[np.intp]


@dataclass(frozen=True, slots=True, kw_only=True)
class Options:
    """How points are made.

    doubling       points that double the odds
    step           point values are multiples of it
    strength       inverse of the L2 penalty, as scikit-learn's C
    folds, repeats of the cross-validation
    window         days in which counts of events were taken
    keep           titles of columns to use although they look like a leak
    """

    method: Method = Method.LOGISTIC
    doubling: int = 20
    step: int = 5
    strength: float = 1.0
    folds: int = 5
    repeats: int = 2
    seed: int = 1
    window: int = 90
    keep: frozenset[str] = frozenset()


def learn(
    columns: Sequence[Column],
    won: Sequence[bool],
    options: Options | None = None,
    *,
    current: Sequence[float] | None = None,
    current_name: str = "",
    notes: Sequence[str] = (),
    progress: Callable[[int, int], None] = lambda done, of: None,
) -> Suggestion:
    """The scorecard of these rows.

    Parameters
    ----------
    columns: what is known of each row; a column with a ``why`` is left out with that sentence
    won: the outcome of each row
    current: scores of the points in use, to be compared on the same rows
    notes: sentences about the rows, kept with the figures
    progress: is told after each fold

    Raises
    ------
    TooFewOutcomes: fewer than `FEWEST` rows, or than `FEWEST_OF_EACH` of one outcome, or no column that helps
    ValueError: a column has another number of rows than ``won``
    """
    options = options or Options()
    for column in columns:
        if len(column.values) != len(won):
            raise ValueError(f"{column.title} has {len(column.values)} rows, the outcome has {len(won)}")
    y = np.asarray(won, dtype=np.float64)
    _enough(y)
    # The matrices are small: threads of the linear algebra would wait for one another.
    with threadpool_limits(limits=1):
        usable, left_out = _admit(columns, y, options)
        everybody = np.arange(len(y))
        scorecard = _fit(usable, y, everybody, options)
        if scorecard.tables:
            estimate, bands = _validate(usable, y, options, progress)
    if not scorecard.tables:
        raise TooFewOutcomes(
            "no column tells won from lost rows better than chance would: there is nothing to suggest"
            + (f" (left out, for example {left_out[0].title}: {left_out[0].why})" if left_out else "")
        )
    used = {table.column.title for table in scorecard.tables}
    left_out += [
        LeftOut(title=c.title, why="adds too little to what the other columns say")
        for c in usable
        if c.title not in used
    ]
    return Suggestion(
        method=options.method,
        doubling=options.doubling,
        step=options.step,
        n=len(y),
        won=int(y.sum()),
        window=options.window,
        tables=tuple(table.described(y) for table in scorecard.tables),
        left_out=tuple(left_out),
        bands=bands,
        estimate=estimate,
        fitted=_auc(scorecard.scores(everybody), y),
        notes=(*notes, *_notes(estimate, [table.column.title for table in scorecard.tables])),
        current=None if current is None else area_under_curve(current, won),
        current_name=current_name,
    )


def _notes(estimate: Estimate, used: Sequence[str]) -> Iterator[str]:
    if estimate.auc > GOOD:
        yield (
            f"An AUC above {GOOD} is more than facts known beforehand usually give: look for columns that were filled "
            "in after the outcome, and name them with --leaks."
        )
    if doubtful := [title for title in used if _name_words(title) & _CHANGING]:
        yield f"Make sure that this was known before the outcome, else name it with --leaks: {', '.join(doubtful)}."


def _enough(y: Floats) -> None:
    n, won = len(y), int(y.sum())
    if n and won in (0, n):
        raise TooFewOutcomes(
            f"all {n} rows with a known outcome are {'won' if won else 'lost'}: there is nothing to tell apart; "
            "nothing is suggested"
        )
    if n < FEWEST:
        raise TooFewOutcomes(
            f"{n} rows with a known outcome are too few to learn from: at least {FEWEST} are needed; "
            "nothing is suggested"
        )
    if min(won, n - won) < FEWEST_OF_EACH:
        raise TooFewOutcomes(
            f"{won} won and {n - won} lost rows are too few to learn from: at least {FEWEST_OF_EACH} of each are "
            "needed; nothing is suggested"
        )


# -- columns as arrays -------------------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True, kw_only=True)
class _Readable:
    """A column as an array: numbers (NaN is missing), or numbers of its texts (-1 is missing).

    texts   the folded texts by number; spelled: as each is written most often
    """

    column: Column
    numbers: Floats
    texts: tuple[str, ...] = ()
    spelled: tuple[str, ...] = ()

    @property
    def title(self) -> str:
        return self.column.title

    @property
    def is_text(self) -> bool:
        return self.column.kind is ColumnKind.TEXT

    @property
    def known(self) -> npt.NDArray[np.bool_]:
        return self.numbers >= 0 if self.is_text else ~np.isnan(self.numbers)


def _readable(column: Column) -> _Readable:
    if column.kind is not ColumnKind.TEXT:
        numbers = np.array([np.nan if v is None else float(v) for v in column.values], dtype=np.float64)
        return _Readable(column=column, numbers=numbers)
    ids: dict[str, int] = {}
    spellings: list[Counter[str]] = []
    found: list[int] = []
    for value in column.values:
        if value is None:
            found.append(-1)
            continue
        text = str(value)
        at = ids.setdefault(fold(text), len(ids))
        if at == len(spellings):
            spellings.append(Counter())
        spellings[at][text] += 1
        found.append(at)
    return _Readable(
        column=column,
        numbers=np.asarray(found, dtype=np.float64),
        texts=tuple(ids),
        spelled=tuple(s.most_common(1)[0][0] for s in spellings),
    )


# -- what may be used --------------------------------------------------------------------------------------------


_AFTERWARDS = {
    *("converted", "conversion", "outcome", "won", "lost", "closed", "stage", "lifecycle", "disposition", "churned"),
    *("deal", "opportunity"),
}
"""Words in a column's name that say it was filled in with, or after, the outcome."""

_OTHERWISE_KEEP = "it was probably known only after the outcome; if not, name it with --keep"

_CHANGING = {"last", "latest", "status", "quality", "tag", "tags", "note", "notes", "reason", "result"}
"""Words in a column's name that say its value may have moved after the outcome."""

_NUMBERED = {"id", "uuid", "guid", "number", "no", "nr", "key", "code", "index"}


def _admit(columns: Sequence[Column], y: Floats, options: Options) -> tuple[list[_Readable], list[LeftOut]]:
    """The columns to learn from, and why the others are not."""
    usable: list[_Readable] = []
    left_out: list[LeftOut] = []
    for column in columns:
        why = column.why
        if not why:
            read = _readable(column)
            why = _unusable(read, y) or ("" if column.title in options.keep else _leak(read, y, options.seed))
            if not why:
                usable.append(read)
                continue
        left_out.append(LeftOut(title=column.title, why=why))
    return usable, left_out


def _name_words(title: str) -> set[str]:
    spaced = re.sub(r"(?<=[a-z])(?=[A-Z])", " ", title)
    return set(re.findall(r"[^\W_]+", spaced.casefold()))


def _unusable(read: _Readable, y: Floats) -> str:
    """Why a column cannot say anything, whatever the outcome; empty when it can."""
    known = read.numbers[read.known]
    distinct, n = len(np.unique(known)), len(known)
    if n == 0:
        return "it is empty"
    if distinct == 1 and n == len(y):
        return "it is the same in every row"
    if read.is_text:
        if distinct > n / 2 and n >= SEEN:
            return f"an identifier or free text: {distinct:,} different values in {n:,} rows"
    elif distinct == n >= SEEN and bool(np.all(known == np.floor(known))) and _looks_numbered(read.title, known):
        return f"an identifier: a different number in each of {n:,} rows"
    if n < SEEN:
        return f"known in {n} rows only: at least {SEEN} are needed"
    return ""


def _looks_numbered(title: str, known: Floats) -> bool:
    digits = {len(str(int(abs(v)))) for v in (known.min(), known.max())}
    return bool(_name_words(title) & _NUMBERED) or (len(digits) == 1 and digits.pop() >= 4)


def _leak(read: _Readable, y: Floats, seed: int) -> str:
    """Why a column was probably known only after the outcome; empty when nothing says so."""
    if found := sorted(_name_words(read.title) & _AFTERWARDS):
        return f"its name ({found[0]}) is that of an outcome: {_OTHERWISE_KEEP}"
    auc = _alone(read, y, seed)
    if auc > TOO_GOOD:
        return f"alone it predicts the outcome nearly perfectly (AUC {auc:.3f}): {_OTHERWISE_KEEP}"
    if sure := _telling_values(read, y):
        return f"{sure}: {_OTHERWISE_KEEP}"
    return ""


def _groups(read: _Readable) -> Codes:
    """Rows by value: every text, numbers by their quantiles, the last group is missing."""
    if read.is_text:
        return np.where(read.known, read.numbers, len(read.texts)).astype(np.intp)
    bounds = _candidates(read.numbers[read.known])
    return np.where(read.known, np.searchsorted(bounds, read.numbers, side="right"), len(bounds) + 1).astype(np.intp)


def _alone(read: _Readable, y: Floats, seed: int) -> float:
    """Area under the curve of the column by itself: each row judged by the other rows of its value."""
    groups = _groups(read)
    size = int(groups.max()) + 1
    scores = np.zeros(len(y))
    for train, test in StratifiedKFold(5, shuffle=True, random_state=seed).split(y, y):
        n, won = _counts(groups[train], y[train], size)
        scores[test] = ((won + y.mean()) / (n + 1))[groups[test]]
    return _auc(scores, y)


def _telling_values(read: _Readable, y: Floats) -> str:
    """Values that nearly always go with one outcome, in more rows than a fact known beforehand would have.

    Either both outcomes have such values (an eighth as many exceptions as usual, in a twentieth of all rows each), or
    one value has hardly an exception (1 in 100) and holds three tenths of its outcome. An outcome that four rows in
    five have anyway proves nothing.
    """
    groups = _groups(read)
    n, won = _counts(groups, y, int(groups.max()) + 1)
    base = float(y.mean())
    sides: list[tuple[float, int]] = []
    for hits, usual in ((won, base), (n - won, 1 - base)):
        if usual > 0.8:
            continue
        misses = (n - hits + 0.5) / (n + 1)
        seen = n >= SEEN
        sure = seen & (misses <= (1 - usual) * SURE)
        certain = np.flatnonzero(seen & (misses <= min(0.01, (1 - usual) / 20)))
        best = max(certain, key=lambda g: hits[g], default=None)
        if best is not None and hits[best] >= SURE_SHARE * hits.sum():
            how = f"{_percent(hits[best] / n[best])} of {int(n[best]):,} rows"
            return f"{_value(read, int(best))} nearly always goes with one outcome ({how})"
        sides.append((float(n[sure].sum()) / len(y), int(sure.sum())))
    if len(sides) == 2 and min(share for share, _ in sides) >= SURE_ROWS:
        share, values = (sum(side) for side in zip(*sides, strict=True))
        return f"{values} of its values nearly settle the outcome, in {_percent(share)} of all rows"
    return ""


def _value(read: _Readable, group: int) -> str:
    if read.is_text:
        return f"{read.spelled[group]!r}" if group < len(read.spelled) else "a missing value"
    return "one range of its numbers"


def _percent(share: float) -> str:
    return f"{100 * share:.0f} %"


# -- lines -------------------------------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class _Parts:
    """How a column is cut: bounds of a number (rising), or the numbers of the texts that have a line.

    Codes: the parts in this order, then (texts) all other known values, then missing ones.
    """

    read: _Readable
    bounds: Floats
    values: tuple[int, ...] = ()

    @property
    def size(self) -> int:
        return (len(self.values) + 1 if self.read.is_text else len(self.bounds) + 1) + 1

    def codes(self, rows: Codes) -> Codes:
        numbers, known = self.read.numbers[rows], self.read.known[rows]
        if not self.read.is_text:
            found = np.searchsorted(self.bounds, numbers, side="right")
        else:
            place = np.full(len(self.read.texts) + 1, len(self.values))
            place[list(self.values)] = np.arange(len(self.values))
            found = place[np.where(known, numbers, 0).astype(np.intp)]
        return np.where(known, found, self.size - 1).astype(np.intp)


def _cut(read: _Readable, y: Floats, rows: Codes) -> _Parts:
    if read.is_text:
        ids = read.numbers[rows]
        n = np.bincount(ids[ids >= 0].astype(np.intp), minlength=len(read.texts))
        frequent = sorted((i for i in range(len(n)) if n[i] >= SEEN), key=lambda i: (-n[i], read.texts[i]))
        return _Parts(read, np.empty(0), tuple(frequent[:MOST_VALUES]))
    known = read.known[rows]
    return _Parts(read, _bounds(read.numbers[rows][known], y[rows][known]))


def _bounds(numbers: Floats, y: Floats) -> Floats:
    """Round bounds near the quantiles; the two neighbours that win most alike are joined until all differ."""
    if not len(numbers):
        return np.empty(0)
    distinct = np.unique(numbers)
    bounds: list[float] = sorted({_round_near(float(q), distinct) for q in _candidates(numbers) if q > distinct[0]})
    while bounds:
        part = np.searchsorted(np.asarray(bounds), numbers, side="right")
        n, won = _counts(part, y, len(bounds) + 1)
        differ = [_difference(won[i : i + 2], n[i : i + 2]) for i in range(len(bounds))]
        least = int(np.argmin(differ))
        if differ[least] >= ALIKE and len(bounds) < MOST_PARTS:
            break
        bounds.pop(least)
    return np.asarray(bounds, dtype=np.float64)


def _candidates(numbers: Floats) -> Floats:
    """The quantiles; and where one value is several of them, such as 0 among payments, the next greater value too."""
    quantiles = np.quantile(numbers, np.linspace(0, 1, QUANTILES + 1)[1:-1], method="higher")
    bounds, times = np.unique(quantiles, return_counts=True)
    distinct = np.unique(numbers)
    after = np.searchsorted(distinct, bounds[times > 1], side="right")
    return np.union1d(bounds, distinct[after[after < len(distinct)]])


def _round_near(q: float, distinct: Floats) -> float:
    """The roundest number that parts the values nearly as ``q`` does: in the gap below it, or at most a tenth lower."""
    gap = float(distinct[np.searchsorted(distinct, q) - 1])
    low = min(gap, q - abs(q) / 10)
    for exponent in range(12, -7, -1):
        for unit in (10.0**exponent, 10.0**exponent / 2):
            rounded = round(math.floor(q / unit) * unit, 6)
            if low < rounded <= q:
                return rounded
    return round(q, 6)


def _counts(groups: Codes, y: Floats, size: int) -> tuple[Floats, Floats]:
    """Rows, and won rows, of each group."""
    n, won = np.bincount(groups, minlength=size), np.bincount(groups, weights=y, minlength=size)
    return n.astype(np.float64), won.astype(np.float64)


def _difference(won: Floats, n: Floats) -> float:
    """Chi-square of two neighbours; far below 0 where one of them is too small to stand alone."""
    n = np.maximum(n, 1e-9)
    share = won.sum() / n.sum()
    chi = 0.0 if share in (0.0, 1.0) else float((((won - n * share) ** 2) / (n * share * (1 - share))).sum())
    return chi if n.min() >= SEEN else chi - 1e12


# -- points ------------------------------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class _Table:
    """One column's points by code."""

    parts: _Parts
    points: Codes

    @property
    def column(self) -> Column:
        return self.parts.read.column

    def scores(self, rows: Codes) -> Codes:
        return np.asarray(self.points[self.parts.codes(rows)], dtype=np.intp)

    def described(self, y: Floats) -> PointsTable:
        """The lines as they are written. Neighbouring parts of equal points are one; so is a value with the rest."""
        codes = self.parts.codes(np.arange(len(y)))
        n, won = _counts(codes, y, self.parts.size)
        counted = [(int(self.points[i]), int(n[i]), int(won[i])) for i in range(self.parts.size)]
        *inner, missing = counted
        lines = self._texts(inner) if self.parts.read.is_text else self._numbers(inner)
        lines.insert(len(lines) - 1, Line(phrase="unknown", points=missing[0], n=missing[1], won=missing[2]))
        return PointsTable(fact=self.column.fact, title=self.column.title, kind=self.column.kind, lines=tuple(lines))

    def _texts(self, counted: list[tuple[int, int, int]]) -> list[Line]:
        *values, (rest, n, won) = counted
        lines: list[Line] = []
        for at, (points, seen, of_them) in zip(self.parts.values, values, strict=True):
            if points == rest:
                n, won = n + seen, won + of_them
                continue
            phrase = phrase_of(self.column.fact, self.parts.read.spelled[at])
            lines.append(Line(phrase=phrase, points=points, n=seen, won=of_them))
        return [*lines, Line(phrase="otherwise", points=rest, n=n, won=won)]

    def _numbers(self, counted: list[tuple[int, int, int]]) -> list[Line]:
        phrases = ["otherwise", *(f"from {number_text(float(b))}" for b in self.parts.bounds)]
        joined: list[Line] = []
        for phrase, (points, n, won) in zip(phrases, counted, strict=True):
            if joined and joined[-1].points == points:
                last = joined.pop()
                phrase, n, won = last.phrase, n + last.n, won + last.won
            joined.append(Line(phrase=phrase, points=points, n=n, won=won))
        return joined[::-1]


@dataclass(frozen=True, slots=True)
class _Scorecard:
    tables: tuple[_Table, ...]

    def scores(self, rows: Codes) -> Floats:
        total = np.zeros(len(rows))
        for table in self.tables:
            total += table.scores(rows)
        return total


def _fit(columns: Sequence[_Readable], y: Floats, rows: Codes, options: Options) -> _Scorecard:
    """The whole way from columns to whole points, on these rows alone."""
    parts = [_cut(read, y, rows) for read in columns]
    match options.method:
        case Method.LOGISTIC:
            chosen = _choose(parts, y, _sample(rows, options.seed), options.strength)
            return _logistic(chosen, y, rows, options)
        case Method.BAYES:
            tables = [_bayes(part, y, rows, options) for part in parts if _worth(part, y, rows) > 0]
            return _Scorecard(tuple(t for t in tables if np.any(t.points)))


def _sample(rows: Codes, seed: int) -> Codes:
    if len(rows) <= SELECT_FROM:
        return rows
    return np.sort(np.random.default_rng(seed).choice(rows, SELECT_FROM, replace=False)).astype(np.intp)


def _deviance(p: Floats, y: Floats) -> float:
    p = np.clip(p, 1e-9, 1 - 1e-9)
    return float(-2 * np.sum(y * np.log(p) + (1 - y) * np.log(1 - p)))


def _worth(part: _Parts, y: Floats, rows: Codes) -> float:
    """What a column alone adds to the likelihood, less what its lines cost (BIC). At most 0: not worth having."""
    codes, own = part.codes(rows), y[rows]
    n, won = _counts(codes, own, part.size)
    rate = (won + own.mean()) / (n + 1)
    return _deviance(np.full(len(own), own.mean()), own) - _deviance(rate[codes], own) - _cost(n, len(own))


def _cost(n: Floats, rows: int) -> float:
    return float((max(2, int((n >= SEEN).sum())) - 1) * math.log(rows))


def _choose(parts: Sequence[_Parts], y: Floats, rows: Codes, strength: float) -> list[_Parts]:
    """Forward selection by BIC.

    A column's gain seldom grows as others join, so only the most promising one is asked again.
    """
    own = y[rows]
    waiting = [(gain, at) for at, part in enumerate(parts) if (gain := _worth(part, y, rows)) > 0]
    blocks = {at: _dummies(parts[at], rows) for _, at in waiting}
    costs = {at: _cost(blocks[at].sum(axis=0), len(own)) for at in blocks}
    chosen: list[int] = []
    base = _deviance(np.full(len(own), own.mean()), own)
    while waiting:
        waiting.sort(key=lambda pair: (-pair[0], pair[1]))
        _, at = waiting.pop(0)
        deviance = _deviance(_regress([blocks[i] for i in (*chosen, at)], own, strength)[1], own)
        gain = base - deviance - costs[at]
        if gain <= 0:
            continue
        if waiting and gain < waiting[0][0]:
            waiting.append((gain, at))
            continue
        chosen.append(at)
        base = deviance
    return [parts[at] for at in chosen]


def _dummies(part: _Parts, rows: Codes) -> Floats:
    """One column of 0 and 1 for each code seen often enough; a rarer one stays at 0 points."""
    codes = part.codes(rows)
    table = np.eye(part.size)[codes]
    table[:, np.bincount(codes, minlength=part.size) < SEEN] = 0
    return np.asarray(table, dtype=np.float64)


def _regress(blocks: Sequence[Floats], y: Floats, strength: float) -> tuple[Floats, Floats]:
    """Coefficients of all columns of the blocks, and the fitted probabilities."""
    x = np.hstack(blocks)
    model = LogisticRegression(C=strength, solver="newton-cholesky", max_iter=200).fit(x, y)
    return model.coef_[0], model.predict_proba(x)[:, 1]


def _logistic(parts: Sequence[_Parts], y: Floats, rows: Codes, options: Options) -> _Scorecard:
    if not parts:
        return _Scorecard(())
    blocks = [_dummies(part, rows) for part in parts]
    coefficients, _ = _regress(blocks, y[rows], options.strength)
    tables: list[_Table] = []
    at = 0
    for part, block in zip(parts, blocks, strict=True):
        exact = coefficients[at : at + part.size] * options.doubling / math.log(2)
        n = block.sum(axis=0)
        exact = np.where(n > 0, exact - np.average(exact, weights=n), 0.0)
        tables.append(_Table(part, _whole(exact, options.step)))
        at += part.size
    return _Scorecard(tuple(t for t in tables if np.any(t.points)))


def _bayes(part: _Parts, y: Floats, rows: Codes, options: Options) -> _Table:
    """Each value by itself. A missing value, and one without a line, says nothing."""
    codes, own = part.codes(rows), y[rows]
    lined = part.size - (2 if part.read.is_text else 1)
    n, won = _counts(codes, own, part.size)
    known, known_won = int(n[:-1].sum()), int(won[:-1].sum())
    numbers = part.read.numbers[rows]
    seen = len(np.unique(numbers[numbers >= 0])) if part.read.is_text else lined
    exact = np.zeros(part.size)
    for code in range(lined):
        exact[code] = bayes_points(
            int(won[code]),
            known_won,
            int(n[code] - won[code]),
            known - known_won,
            doubling=options.doubling,
            values=seen,
        )
    return _Table(part, _whole(exact, options.step))


def _whole(exact: Floats, step: int) -> Codes:
    """Half up, as the language rounds."""
    return (np.floor(exact / step + 0.5) * step).astype(np.intp)


# -- how good it is ----------------------------------------------------------------------------------------------


def _auc(scores: Floats, y: Floats) -> float:
    _, place, n = np.unique(scores, return_inverse=True, return_counts=True)
    ranks = (np.cumsum(n) - (n - 1) / 2)[place]
    won = y.sum()
    return float((ranks[y == 1].sum() - won * (won + 1) / 2) / (won * (len(y) - won)))


def _validate(
    columns: Sequence[_Readable], y: Floats, options: Options, progress: Callable[[int, int], None]
) -> tuple[Estimate, tuple[Band, ...]]:
    """Repeated stratified folds. The interval allows for folds sharing their rows (Nadeau and Bengio, 2003)."""
    folds = RepeatedStratifiedKFold(n_splits=options.folds, n_repeats=options.repeats, random_state=options.seed)
    total = options.folds * options.repeats
    found: list[float] = []
    scores = np.zeros(len(y))
    for train, test in folds.split(y, y):
        tested = _fit(columns, y, train, options).scores(test)
        found.append(_auc(tested, y[test]))
        if len(found) <= options.folds:
            scores[test] = tested
        progress(len(found), total)
    mean = float(np.mean(found))
    spread = math.sqrt(float(np.var(found, ddof=1)) * (1 / total + 1 / (options.folds - 1)))
    half = float(stdtrit(total - 1, 0.975)) * spread
    estimate = Estimate(auc=mean, low=max(0.0, mean - half), high=min(1.0, mean + half), folds=total)
    return estimate, _bands(scores, y, options.step)


def _bands(scores: Floats, y: Floats, step: int) -> tuple[Band, ...]:
    """What thresholds would give that let through a twentieth to a half of the rows."""
    wanted = np.quantile(scores, [0.95, 0.9, 0.8, 0.7, 0.6, 0.5])
    marks = sorted({int(math.ceil(q / step) * step) for q in wanted}, reverse=True)
    rows = [(mark, scores >= mark) for mark in marks]
    return tuple(Band(points=mark, n=int(above.sum()), won=int(y[above].sum())) for mark, above in rows if above.any())
