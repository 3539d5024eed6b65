"""Made-up people with outcomes: who is won depends on visits, channel and role, and on chance from a seed."""

from __future__ import annotations

import csv
import io
import math
import random

TITLES = ("Person ID", "Visits", "Channel", "Role", "Country", "Colour", "Answered", "Close Reason", "Paid", "Won")

CHANNELS = (("Search: paid", -0.6), ("Fair, Berlin", 1.4), ("from Partner", 0.3), ("Mail #1", -1.2))
ROLES = (("Head of Sales", 1.6), ("Intern", -1.5), ("", -0.5))


def made_table(rows: int = 800, *, seed: int = 3) -> list[tuple[str, ...]]:
    """Rows below `TITLES`. ``Close Reason`` and ``Paid`` are filled in after the outcome; ``Colour`` says nothing."""
    chance = random.Random(seed)
    made = []
    for n in range(rows):
        visits = int(chance.expovariate(1 / 6))
        channel, of_channel = chance.choice(CHANNELS)
        role, of_role = chance.choice(ROLES)
        odds = -1.0 + of_channel + of_role + (1.2 if visits >= 10 else -0.4 if visits == 0 else 0)
        won = chance.random() < 1 / (1 + math.exp(-odds))
        reason = chance.choice(("signed", "upsell")) if won else chance.choice(("no budget", "silent"))
        made.append(
            (
                f"p-{n:05d}-{chance.randrange(10**6)}",
                "" if chance.random() < 0.05 else str(visits),
                channel if chance.random() < 0.9 else channel.upper(),
                role,
                "NO",
                chance.choice(("red", "green", "blue")),
                chance.choice(("yes", "no")),
                reason,
                str(chance.randrange(50, 90)) if won else "0",
                "1" if won else "0",
            )
        )
    return made


def as_csv(rows: list[tuple[str, ...]], titles: tuple[str, ...] = TITLES) -> str:
    text = io.StringIO()
    writer = csv.writer(text, lineterminator="\n")
    writer.writerow(titles)
    writer.writerows(rows)
    return text.getvalue()
