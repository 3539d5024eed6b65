"""Logs: one JSON line an event on stderr, without secrets and without personal data.

Events are ``verb.past_participle`` (``pull.page_stored``, ``write.settled``). Lines of APScheduler, urllib3 and the
client packages come out in the same shape and through the same redactor.
"""

from __future__ import annotations

import hashlib
import logging
import re
import sys
from collections.abc import Mapping, MutableMapping
from typing import Any, TextIO

import structlog

__all__ = ["Redactor", "configure", "get_logger"]

SECRET_KEYS = re.compile(
    r"token|secret|password|authorization|api[_-]?key|assertion|session_id|private_key|cookie", re.I
)
PERSONAL_KEYS = frozenset(
    {
        "email",
        "emails",
        "address",
        "name",
        "first_name",
        "last_name",
        "phone",
        "title",
        "subject",
        "lines",
        "theirs",
        "ours",
    }
)
SECRET_TEXT = re.compile(
    r"(?i:Bearer|Basic)\s+[\w.!~+/=-]+"
    r"|pat-[a-z0-9]+-[\w-]+"
    r"|00D[A-Za-z0-9]{12,15}![\w.!]+"
    r"|(?P<name>(?i:access_token|refresh_token|client_secret|security_token|assertion|password|session_?id)"
    r"[\"']?\s*[=:]\s*[\"']?)[^&\s\"',;}]+"
)
BOUND_VALUES = re.compile(r"\[parameters: .*\](?=\s*(?:\(Background|$))", re.DOTALL)
"""What SQLAlchemy adds to its messages: the values of a statement, which are people."""

ADDRESS_TEXT = re.compile(r"[\w+-][\w.+'-]*(?:@|%40)[\w-]+(?:\.[\w-]+)+")

Event = MutableMapping[str, Any]


class Redactor:
    """The last step before a line is rendered: secrets become ``***``, personal values a keyed hash.

    The hash of one value is the same within one installation, so lines about one person can be joined, but not read.
    ``secrets`` are the values the configuration resolved; they are removed wherever they appear.
    """

    def __init__(self, key: bytes, secrets: frozenset[str] = frozenset()) -> None:
        self._key = key
        self._secrets = tuple(sorted((s for s in secrets if len(s) >= 6), key=len, reverse=True))

    def __call__(self, logger: Any, method: str, event: Event) -> Event:
        for key, value in event.items():
            event[key] = self._traces(value) if key == "exception" else self._clean(key, value)
        return event

    def _clean(self, key: str, value: Any) -> Any:
        if SECRET_KEYS.search(key):
            return "***"
        match value:
            case bool() | None:
                return value
            case Mapping():
                return {self.text(str(k)): self._clean(str(k), v) for k, v in value.items()}
            case list() | tuple() | set() | frozenset():
                return [self._clean(key, one) for one in value]
            case _ if key in PERSONAL_KEYS:
                return self._hash(str(value))
            case int() | float():
                return value
            case _:
                return self.text(str(value))

    def _traces(self, value: Any) -> Any:
        """A traceback as `structlog.tracebacks` makes it: the keys are the package's, ``name`` is a function's."""
        match value:
            case Mapping():
                return {k: self._traces(v) for k, v in value.items()}
            case list() | tuple():
                return [self._traces(one) for one in value]
            case bool() | int() | float() | None:
                return value
            case _:
                return self.text(str(value))

    def text(self, text: str) -> str:
        """A text without the secrets and addresses in it."""
        for secret in self._secrets:
            text = text.replace(secret, "***")
        text = BOUND_VALUES.sub("[parameters: ***]", text)
        text = SECRET_TEXT.sub(lambda found: f"{found['name'] or ''}***", text)
        return ADDRESS_TEXT.sub(lambda found: self._hash(found.group().replace("%40", "@")), text)

    def _hash(self, value: str) -> str:
        plain = value.strip().casefold().encode()
        return "~" + hashlib.blake2b(plain, key=self._key, digest_size=6).hexdigest()


def configure(*, level: str, key: bytes, secrets: frozenset[str] = frozenset(), stream: TextIO | None = None) -> None:
    """Send every log line of this process to ``stream`` (stderr), as JSON.

    Local variables are never part of a traceback: they hold people and tokens.
    """
    shared: list[Any] = [
        structlog.contextvars.merge_contextvars,
        structlog.stdlib.add_log_level,
        structlog.stdlib.ExtraAdder(),
        structlog.processors.TimeStamper(fmt="iso", utc=True),
        structlog.processors.ExceptionRenderer(structlog.tracebacks.ExceptionDictTransformer(show_locals=False)),
    ]
    structlog.configure(
        processors=[*shared, structlog.stdlib.ProcessorFormatter.wrap_for_formatter],
        logger_factory=structlog.stdlib.LoggerFactory(),
        wrapper_class=structlog.stdlib.BoundLogger,
        cache_logger_on_first_use=False,
    )
    handler = logging.StreamHandler(stream if stream is not None else sys.stderr)
    handler.setFormatter(
        structlog.stdlib.ProcessorFormatter(
            foreign_pre_chain=shared,
            processors=[
                structlog.stdlib.ProcessorFormatter.remove_processors_meta,
                Redactor(key, secrets),
                structlog.processors.JSONRenderer(sort_keys=True, ensure_ascii=False),
            ],
        )
    )
    root = logging.getLogger()
    root.handlers[:] = [handler]
    root.setLevel(level.upper())
    for noisy in ("urllib3", "apscheduler", "alembic", "hubspot", "simple_salesforce"):
        logging.getLogger(noisy).setLevel(max(logging.WARNING, root.level))


def get_logger() -> structlog.stdlib.BoundLogger:
    """The logger of the project; events carry what `structlog.contextvars` has bound (run, job)."""
    logger: structlog.stdlib.BoundLogger = structlog.stdlib.get_logger("mqlsync")
    return logger
