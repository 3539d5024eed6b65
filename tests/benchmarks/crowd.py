"""Made-up people with their engagement, as the Parquet files scoring reads: the same for the same numbers.

Thirteen columns of a person are filled, the other columns of the snapshot are there and empty. Somebody has ten events
on average, most have fewer and a few have many (at most 300), over 180 days, more of them lately.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from datetime import date
from pathlib import Path

import duckdb

from scoring.facts import FACTS
from scoring.tables import Bucket, events_schema, people_schema
from sync.store.parquet import write_sorted

__all__ = ["TODAY", "Crowd"]

TODAY = date(2026, 6, 15)

_PEOPLE = """
SELECT i, lower(translate(substr(md5('seed' || i), 1, 16), '0189', 'wxyz')) AS person_id,
       CAST(hash(i, 1) % 100 AS BIGINT) AS a, CAST(hash(i, 2) % 100 AS BIGINT) AS b,
       CAST(hash(i, 3) % 100 AS BIGINT) AS c, CAST(hash(i, 4) % 100 AS BIGINT) AS d,
       CAST(hash(i, 5) % 700 AS BIGINT) AS e, CAST(hash(i, 11) % 24 AS BIGINT) AS f,
       least(300, CAST(floor(-10.4 * ln((CAST(hash(i, 10) % 1000000 AS BIGINT) + 1) / 1000000.0)) AS BIGINT)) AS events
FROM range({first}, {last}) AS r(i)
"""

_TITLED = """
SELECT *, CASE WHEN b < 85 THEN
       ['chief of', 'ceo', 'cto', 'vp', 'vice president', 'director', 'head of', 'manager', 'senior manager', 'lead',
        'intern', 'engineer', 'analyst', 'account executive', 'consultant', 'student', 'specialist', 'buyer']
       [b % 18 + 1] || ' ' ||
       ['sales', 'marketing', 'it', 'operations', 'finance', 'product', 'people', 'data', 'security', 'platform',
        'growth', 'support', 'legal', 'design', 'research', 'quality', 'logistics', 'energy', 'retail', 'health',
        'partners', 'field sales', 'demand generation', 'customer success'][f + 1] END AS title
FROM people
"""

_FACTS = """
SELECT person_id, 1 AS seq,
       CASE WHEN a < 80 THEN CAST([5, 30, 120, 800, 4000][a % 5 + 1] AS BIGINT) * 1000000 END AS "company.employees",
       title AS "person.title", ' ' || title || ' ' AS "person.title#words",
       CASE WHEN c < 90 THEN ['us', 'gb', 'de', 'fr', 'es', 'it', 'br', 'in', 'jp'][c % 9 + 1] END AS "person.country",
       CASE WHEN d < 70 THEN ['software', 'fintech', 'retail', 'health', 'energy'][d % 5 + 1] END AS "company.industry",
       CASE WHEN d % 10 = 0 THEN 'named' END AS "company.tier",
       ['gmail.com', 'gmx.de', 'acme.com', 'eu.acme.com', 'example.org'][a % 5 + 1] AS "person.email_domain",
       CASE WHEN c % 3 > 0 THEN '+1' END AS "person.phone",
       CASE WHEN c % 3 > 0 THEN c % 3 = 1 END AS "person.phone#valid",
       d = 1 AS "company.is_customer", {zeros},
       DATE '{today}' - CAST(e AS INTEGER) AS "person.created_at"
FROM ({titled}) ORDER BY person_id
"""

_EVENTS = """
SELECT person_id, 'hubspot:' || i || '-' || n AS event_id,
       CASE WHEN k < 50 THEN 'page_view' WHEN k < 75 THEN 'email_click' WHEN k < 82 THEN 'form_submit'
            WHEN k < 88 THEN 'content_download' WHEN k < 93 THEN 'webinar_attended' WHEN k < 96 THEN 'newsletter_signup'
            WHEN k < 98 THEN 'demo_request' ELSE 'meeting_booked' END AS kind,
       DATE '{today}' - CAST(age AS INTEGER) AS day,
       (CAST(DATE '{today}' - CAST(age AS INTEGER) AS TIMESTAMP) + to_seconds(1 + v * 86)) AT TIME ZONE 'UTC' AS at,
       true AS timed, CAST(1 + (v % 50 = 0)::INTEGER AS INTEGER) AS count, 2 * i AS seq, v % 200 = 199 AS deleted,
       CASE WHEN k < 50 THEN CASE v % 6 WHEN 0 THEN '/pricing' WHEN 1 THEN '/integrations/' || v % 40
            WHEN 2 THEN '/careers/ops' ELSE '/blog/article-' || (v * v) % 400 END END AS path,
       CASE WHEN k BETWEEN 50 AND 74 THEN 'newsletter ' || age // 7 END AS email,
       CASE WHEN k BETWEEN 50 AND 74 THEN 'https://example.org/' || v % 90 END AS link,
       CASE WHEN k BETWEEN 75 AND 81 THEN ['contact-sales', 'unsubscribe', 'guide', NULL][v % 4 + 1] END AS form,
       CASE WHEN k BETWEEN 82 AND 87 THEN 'asset ' || v % 30 END AS asset,
       CASE WHEN k BETWEEN 88 AND 92 THEN ['intro', 'deep dive', 'roadmap', NULL][v % 4 + 1] END AS name
FROM (
    SELECT person_id, i, n, CAST(hash(i, n, 6) % 100 AS BIGINT) AS k, CAST(hash(i, n, 7) % 1000 AS BIGINT) AS v,
           least(CAST(hash(i, n, 8) % 181 AS BIGINT), CAST(hash(i, n, 9) % 181 AS BIGINT)) AS age
    FROM people, range(0, 300) AS s(n) WHERE n < events
) ORDER BY person_id, "at", event_id
"""


@dataclass(frozen=True, slots=True, kw_only=True)
class Crowd:
    """``people`` in buckets of at most ``size``, their files in ``folder``."""

    folder: Path
    people: int
    size: int = 50_000

    def buckets(self) -> list[Bucket]:
        """Writes the files, a bucket at a time, sorted and laid out as the snapshot's are."""
        return list(self._written())

    def _written(self) -> Iterator[Bucket]:
        zeros = ", ".join(
            f'{"false" if fact.missing_false else "0"} AS "{fact.name}"'
            for fact in FACTS.values()
            if (fact.missing_false or fact.missing_zero) and fact.name != "company.is_customer" and fact.only_in is None
        )
        facts = _FACTS.format(today=TODAY, zeros=zeros, titled=_TITLED)
        events = _EVENTS.format(today=TODAY)
        with duckdb.connect(config={"threads": 2, "memory_limit": "1GB"}) as connection:
            connection.execute("SET TimeZone = 'UTC'")
            for number, first in enumerate(range(0, self.people, self.size)):
                last = min(first + self.size, self.people)
                connection.execute(f"CREATE OR REPLACE TABLE people AS {_PEOPLE.format(first=first, last=last)}")
                files = []
                for name, query, schema in (("people", facts, people_schema()), ("events", events, events_schema())):
                    file = self.folder / f"{name}-{number:04d}.parquet"
                    write_sorted(connection.sql(query).to_arrow_table(), schema, file)
                    files.append(file)
                yield Bucket(people=(files[0],), events=(files[1],))
