"""The same queries on Spark, for more people than one machine can hold.

Spark is given the tree DuckDB is given, printed in its own dialect, and a session in which whole numbers, days and
texts mean what they mean there. One engine is one Java process: started by the first question, ended by `close`.
"""

from __future__ import annotations

import re
import signal
import subprocess
import tempfile
import threading
from collections.abc import Collection, Iterator, Mapping
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from datetime import date, datetime
from pathlib import Path
from types import TracebackType
from typing import TYPE_CHECKING, Any, Generic, TypeVar

import pyarrow as pa
import pyarrow.parquet as pq
from sqlglot import ErrorLevel, exp
from sqlglot.errors import UnsupportedError

from scoring import compile as compiler
from scoring.cards import Fresh, schema
from scoring.compile import Account, Compiled, CompiledFresh
from scoring.engine import EngineFailed, ledgers_of, refuse_lacking, since_table
from scoring.ledger import Ledger
from scoring.policy import Policy
from scoring.tables import KNOWN_FROM, KNOWN_UNTIL, Bucket, events_schema, people_schema

if TYPE_CHECKING:
    from pyspark import SparkContext
    from pyspark.sql import SparkSession
    from pyspark.sql.types import StructType

__all__ = ["SparkEngine", "spark_settings", "spark_sql"]

INSTALL = (
    "install what it needs: pip install 'mqlsync[spark]', and a Java 17 runtime "
    "(on Debian and Ubuntu: apt-get install openjdk-17-jre-headless)"
)

LOOPBACK = "127.0.0.1"

DIALECT = {
    # whole numbers that do not fit are an error, as they are for DuckDB, and never wrap around
    "spark.sql.ansi.enabled": "true",
    "spark.sql.session.timeZone": "UTC",
    # days before 1582 are those of the file, not those of the Julian calendar
    "spark.sql.parquet.datetimeRebaseModeInRead": "CORRECTED",
    # a text of the policy stays one, also if it reads ${env:HOME}
    "spark.sql.variable.substitute": "false",
}
"""What decides on the meaning of a query. Whatever an installation sets, these hold."""

LOCAL = {
    "spark.driver.host": LOOPBACK,
    "spark.driver.bindAddress": LOOPBACK,
    "spark.sql.shuffle.partitions": "8",
}
"""Of a Spark inside one process: nothing listens beyond this machine, and there is no cluster to spread over."""

QUIET = {
    "spark.ui.enabled": "false",
    "spark.ui.showConsoleProgress": "false",
    # up to so many files are listed here and not by a job
    "spark.sql.sources.parallelPartitionDiscovery.threshold": "10000",
    # the answer is bounded by the bucket, and by the memory
    "spark.driver.maxResultSize": "0",
}

STACK = "16m"
"""Of a Java thread: Spark reads and plans by recursion, and a policy may have long sums."""

_ENDING = 30
"""Seconds Java is given to end by itself."""


_Queries = TypeVar("_Queries", Compiled, CompiledFresh)


class SparkEngine:
    """`scoring.engine.Engine` on Spark. Close it, or use it in a ``with`` statement; not for several threads at once.

    master  ``local[*]``, ``local[2]``: inside one Java process on this machine; ``spark://host:7077``: a cluster, whose
            machines see the Parquet files under the same paths
    memory  the Java process's heap (``2g``). In local mode that is all of Spark's memory; beyond it Spark spills to a
            temporary directory

    Nothing is started before the first question, or `start`. Every method raises EngineFailed if pyspark or Java are
    not there, or if Spark broke: it says what to do. There can be one running Spark in a process.
    """

    def __init__(self, master: str = "local[*]", memory: str = "2g") -> None:
        self._master = master
        self._memory = memory
        self._spark: _Spark | None = None
        self._ready: _Ready[Compiled] | None = None
        self._fresh: _Ready[CompiledFresh] | None = None

    def __enter__(self) -> SparkEngine:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    def close(self) -> None:
        """Ends the Java process and removes its files. The engine can be used again: it starts anew."""
        if self._spark is not None:
            self._spark.close()
            self._spark = None

    def start(self) -> str:
        """Starts Spark, if it is not running yet. Returns what is running, in words."""
        return self._session().name

    def score(self, policy: Policy, bucket: Bucket, day: date, *, only: frozenset[str] | None = None) -> pa.Table:
        """See `scoring.engine.Engine.score`."""
        ready = self._prepare(policy, day)
        with self._session().asked() as spark:
            _load(spark, ready, ready.compiled, bucket, only)
            return spark.answer(ready.query).cast(schema(ready.compiled.layout))

    def ledgers(self, policy: Policy, bucket: Bucket, day: date, person_ids: Collection[str]) -> Mapping[str, Ledger]:
        """See `scoring.engine.Engine.ledgers`."""
        ready = self._prepare(policy, day)
        account = ready.compiled.account
        with self._session().asked() as spark:
            _load(spark, ready, account, bucket, frozenset(person_ids))
            rows, picks, ignored = (
                spark.answer(spark_sql(query)).to_pylist() if query is not None else []
                for query in (account.detail, account.picks, account.ignored)
            )
        return ledgers_of(policy, day, ready.compiled.layout, rows, picks, ignored)

    def fresh(self, policy: Policy, bucket: Bucket, day: date, since: Mapping[str, datetime]) -> Mapping[str, Fresh]:
        """See `scoring.engine.Engine.fresh`."""
        if self._fresh is None or self._fresh.policy is not policy or self._fresh.day != day:
            compiled = compiler.compile_fresh(policy, day)
            self._fresh = _Ready(policy=policy, day=day, compiled=compiled, query=spark_sql(compiled.query))
        with self._session().asked() as spark:
            _load(spark, self._fresh, self._fresh.compiled, bucket, frozenset(since))
            spark.show_table("since", since_table(policy, since))
            found = spark.answer(self._fresh.query)
        return {
            row["person_id"]: Fresh(points=row["points"], raised=row["hand_raise"] is not None)
            for row in found.to_pylist()
        }

    def _session(self) -> _Spark:
        if self._spark is None:
            self._spark = _Spark(self._master, self._memory)
        return self._spark

    def _prepare(self, policy: Policy, day: date) -> _Ready[Compiled]:
        """Kept for the next bucket."""
        if self._ready is None or self._ready.policy is not policy or self._ready.day != day:
            compiled = compiler.compile_policy(policy, day)
            self._ready = _Ready(policy=policy, day=day, compiled=compiled, query=spark_sql(compiled.query))
        return self._ready


@dataclass(frozen=True, slots=True, kw_only=True)
class _Ready(Generic[_Queries]):
    """A policy compiled for a day. ``query``: as Spark's SQL."""

    policy: Policy
    day: date
    compiled: _Queries
    query: str


def _load(
    spark: _Spark,
    ready: _Ready[Compiled] | _Ready[CompiledFresh],
    queries: Compiled | Account | CompiledFresh,
    bucket: Bucket,
    only: frozenset[str] | None,
) -> None:
    """Makes the tables people, events and fades what ``queries`` read of ``bucket``, or of some of its people."""
    policy = ready.policy
    fades = {name: pa.array([worths], pa.list_(pa.int64())) for name, worths in queries.fades.items()}
    spark.show_table("fades", pa.table(fades or {"none": [0]}))
    for one in queries.lists.values():
        spark.show_table(one.table, pa.table({"value": pa.array(one.values, pa.string())}))
    if only is not None:
        spark.show_table("only_people", pa.table({"person_id": pa.array(sorted(only), pa.string())}))
    known = [pa.field(name, pa.date32()) for name in (KNOWN_FROM, KNOWN_UNTIL) if bucket.versioned]
    for name, files, there, key, columns in (
        ("people", bucket.people, people_schema(policy.custom), "person_id", queries.people),
        ("events", bucket.events, events_schema(), "event_id", queries.events),
    ):
        raw = f"{name}_files"
        read = pa.schema([*(there.field(column) for column in sorted({*columns, key, "seq"})), *known])
        if files:
            for file in files:
                refuse_lacking(file, set(read.names) - set(pq.read_schema(file).names))
            spark.show_files(raw, files, read)
        else:
            spark.show_table(raw, read.empty_table())
        dedup = len(files) > 1 and not bucket.compacted
        known_on = ready.day if bucket.versioned else None
        rows = compiler.newest(raw, key, columns, dedup=dedup, only=only, known_on=known_on)
        spark.show(name, compiler.with_lists(rows, columns, queries.lists))


# -- the dialect -------------------------------------------------------------------------------------------------


def spark_sql(tree: exp.Expr) -> str:
    """The tree as Spark's SQL.

    Raises sqlglot's UnsupportedError for a node that would lose its meaning there.
    """
    printed = tree.transform(_in_spark)
    _name_apart(printed)
    return printed.sql("spark", copy=False, unsupported_level=ErrorLevel.RAISE)


def _name_apart(tree: exp.Expr) -> None:
    """sqlglot lifts every WITH to the top for Spark: names that are the same in two places are made different."""
    places = [(each, each.parent) for each in tree.find_all(exp.With)]
    nested = [(names, query) for names, query in places if query is not None and query is not tree]
    for number, (names, query) in reversed(list(enumerate(nested))):  # the innermost first: it hides the others
        for cte in names.expressions:
            name, own = cte.alias, exp.to_identifier(f"{cte.alias}#{number}", quoted=True)
            for table in [table for table in query.find_all(exp.Table) if table.name == name]:
                table.set("alias", table.args.get("alias") or exp.TableAlias(this=exp.to_identifier(name)))
                table.set("this", own.copy())
            cte.set("alias", exp.TableAlias(this=own))


def _in_spark(node: exp.Expr) -> exp.Expr:
    """The few nodes that sqlglot prints, without a word, as something else than DuckDB means."""
    match node:
        case exp.Bracket(this=values, expressions=[place]) if node.args.get("offset") == 1:
            # beyond the end of a list DuckDB finds NULL, where Spark's [] is an error; get() counts from 0
            before = exp.Paren(this=exp.Sub(this=place, expression=exp.Literal.number(1)))
            return exp.Anonymous(this="GET", expressions=[values, exp.cast(before, "INT")])
        case exp.RegexpLike() | exp.RegexpFullMatch() | exp.Pow() | exp.Div():
            # flags are dropped; there is no full match; fractions become decimals of few digits
            raise UnsupportedError(f"{node.key} is not the same on Spark: {node.sql('duckdb')}")
        case _:
            return node


# -- the process -------------------------------------------------------------------------------------------------


class _Spark:
    """A Java process of our own with one session in it. Raises EngineFailed if it does not start."""

    def __init__(self, master: str, memory: str) -> None:
        try:
            from py4j.protocol import Py4JError
            from pyspark.errors import PySparkException
        except ImportError:
            raise EngineFailed(f"engine: spark: pyspark is not installed; nothing was scored; {INSTALL}") from None
        self._breaks = (Py4JError, PySparkException, ConnectionError)
        with ExitStack() as undo:
            folder = Path(undo.enter_context(tempfile.TemporaryDirectory(prefix="mqlsync-spark-")))
            self._log = folder / LOG
            try:
                self._session = undo.enter_context(_session(folder, spark_settings(folder, master, memory)))
            except (*self._breaks, ValueError) as error:
                raise EngineFailed(
                    f"engine: spark: Spark did not start on {master} ({_cause(error, self._log)}); nothing was scored"
                ) from error
            self._undo = undo.pop_all()
        java = self._session.sparkContext._jvm.java.lang.System.getProperty("java.version")
        self.name = f"Spark {self._session.version} on {master}, Java {java}"

    def close(self) -> None:
        self._undo.close()

    @contextmanager
    def asked(self) -> Iterator[_Spark]:
        """While something is asked of it. Raises EngineFailed for whatever Spark breaks with."""
        try:
            yield self
        except self._breaks as error:
            raise EngineFailed(
                f"engine: spark: Spark broke while it scored ({_cause(error, self._log)}); of this part nothing was "
                "stored. Run again, with more engine.spark.memory if it ran out of it, or with engine: duckdb"
            ) from error

    def answer(self, query: str) -> pa.Table:
        return self._session.sql(query).toArrow()

    def show(self, name: str, rows: exp.Query) -> None:
        """A view on what a query finds."""
        self._session.sql(spark_sql(rows)).createOrReplaceTempView(name)

    def show_table(self, name: str, rows: pa.Table) -> None:
        """A view on rows that are handed over."""
        self._session.createDataFrame(rows).createOrReplaceTempView(name)

    def show_files(self, name: str, files: Collection[Path], columns: pa.Schema) -> None:
        """A view on Parquet files, all of which have these columns."""
        paths = [f"file://{_PATTERN.sub(_LITERAL, str(file.absolute()))}" for file in files]
        self._session.read.schema(_struct(columns)).parquet(*paths).createOrReplaceTempView(name)


LOG = "spark.log"
"""What Java says, in the temporary directory."""

_PATTERN, _LITERAL = re.compile(r"[\\*?\[\]{}]"), r"\\\g<0>"
"""Spark takes a path for a pattern."""


def spark_settings(folder: Path, master: str, memory: str) -> dict[str, str]:
    """Everything a session is started with. ``folder``: for its temporary files."""
    place = LOCAL if master.startswith("local") else {}
    return {
        "spark.app.name": "mqlsync",
        "spark.master": master,
        "spark.driver.memory": memory,
        "spark.driver.extraJavaOptions": f"-Xss{STACK} -Djava.io.tmpdir={folder}",
        "spark.local.dir": str(folder),
        "spark.sql.warehouse.dir": str(folder / "warehouse"),
        **DIALECT,
        **QUIET,
        **place,
    }


@contextmanager
def _session(folder: Path, conf: Mapping[str, str]) -> Iterator[SparkSession]:
    """A Java process and its session; at the end both are gone."""
    from pyspark import SparkConf, SparkContext
    from pyspark.errors import PySparkRuntimeError
    from pyspark.java_gateway import launch_gateway
    from pyspark.logger import PySparkLogger
    from pyspark.sql import SparkSession

    # it would print every error of a query, past our own log, which knows what must not be in it
    PySparkLogger.getLogger("SQLQueryContextLogger").disabled = True
    settings = SparkConf(loadDefaults=False).setAll(list(conf.items()))
    with ExitStack() as undo:
        log = undo.enter_context((folder / LOG).open("wb"))
        # a session of its own: a signal to our group would break the query before the run could end in good order
        try:
            gateway = launch_gateway(settings, {"stdout": log, "stderr": log, "start_new_session": True})
        except PySparkRuntimeError as error:
            raise EngineFailed(
                f"engine: spark: Java did not start ({_said(folder / LOG)}); nothing was scored; {INSTALL}"
            ) from error
        undo.callback(_end, gateway)
        with _own_interrupts():
            context = SparkContext(conf=settings, gateway=gateway)
        undo.callback(_stop, context)
        yield SparkSession(context)


@contextmanager
def _own_interrupts() -> Iterator[None]:
    """pyspark puts a handler of its own on Ctrl-C; ours stops a run between two batches."""
    ours = signal.getsignal(signal.SIGINT)
    try:
        yield
    finally:
        if threading.current_thread() is threading.main_thread():
            signal.signal(signal.SIGINT, ours)


def _stop(context: SparkContext) -> None:
    try:
        context.stop()
    except ConnectionError:  # Java is gone; asked again, pyspark forgets it
        context.stop()


def _end(gateway: Any) -> None:
    """Ends the Java process, so that the next engine has one with its own memory."""
    from pyspark import SparkContext

    gateway.shutdown()
    gateway.proc.stdin.close()  # Java ends when nobody can talk to it any more
    try:
        gateway.proc.wait(_ENDING)
    except subprocess.TimeoutExpired:
        gateway.proc.kill()
        gateway.proc.wait()
    if SparkContext._gateway is gateway:  # pyspark would go on talking to it
        SparkContext._gateway = SparkContext._jvm = None


def _said(log: Path) -> str:
    """The last thing Java said, above its stack frames."""
    lines = [line.strip() for line in log.read_text(encoding="utf-8", errors="replace").splitlines()]
    return next((line for line in reversed(lines) if line and not line.startswith(("at ", "..."))), "without a word")


def _cause(error: Exception, log: Path) -> str:
    """What went wrong, in a line; what Spark says below it are Java's frames."""
    try:
        first, *more = [line.strip() for line in str(error).splitlines() if line.strip()] or [type(error).__name__]
    except Exception as gone:  # noqa: BLE001  # the text is asked of Java, and whatever asking the dead raises is news
        return f"{type(gone).__name__}: {_said(log)}"
    return more[0].lstrip(": ") if more and first.startswith("An error occurred while calling") else first


def _struct(columns: pa.Schema) -> StructType:
    from pyspark.sql import types

    spark = {
        pa.string(): types.StringType(),
        pa.int64(): types.LongType(),
        pa.int32(): types.IntegerType(),
        pa.bool_(): types.BooleanType(),
        pa.date32(): types.DateType(),
        pa.timestamp("us", tz="UTC"): types.TimestampType(),
    }
    return types.StructType([types.StructField(column.name, spark[column.type]) for column in columns])
