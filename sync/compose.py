"""The composition root: the only place that names both CRMs, the database, the engine and the clock together."""

from __future__ import annotations

import hashlib
import os
import secrets
import time
import uuid
from collections.abc import Callable, Iterator, Mapping, MutableMapping
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, replace
from datetime import UTC, date, datetime, timedelta
from functools import partial
from pathlib import Path
from threading import Event
from typing import TYPE_CHECKING, TypeVar
from zoneinfo import ZoneInfo

from sqlalchemy import Connection

from connectors.errors import RunCannotContinue
from connectors.port import Connector
from connectors.records import Crm, FieldSchema
from connectors.retry import Patience
from scoring.document import Node, PolicyInvalid, Problem, Source
from scoring.engine import DuckDbEngine
from scoring.engine_spark import SparkEngine
from scoring.examples import Checked, check_examples, failures
from scoring.policy import Policy
from sync import forecast, log, mapping, versions
from sync.guard import Approval
from sync.rules import Rules, read_folder
from sync.run import Parts, Progress, Runner, RunReport
from sync.schedule import Schedule
from sync.settings import FileConnection, HubSpotConnection, SalesforceConnection, Settings, StageName, load_settings
from sync.shadow import Beside, beside
from sync.store import runs, stops
from sync.store.bulk_jobs import BegunJobs
from sync.store.db import Store, StoreError
from sync.store.files import StoredRows
from sync.store.runs import RunRow, RunState
from sync.store.schemas import forget_schemas, load_schemas, save_schemas
from sync.store.stops import NotWaiting
from sync.worker import Worker

T = TypeVar("T")

if TYPE_CHECKING:
    from connectors.file import FileConnector, FileSettings
    from connectors.hubspot.settings import HubSpotSettings
    from connectors.salesforce.settings import SalesforceSettings

__all__ = [
    "Loaded",
    "Opened",
    "Rules",
    "config_folder",
    "load",
    "load_rules",
    "look_at_store",
    "open_parts",
    "open_store",
    "refuse_failing",
    "schedules",
    "try_examples",
]

SCHEMA_KEPT = timedelta(hours=24)
"""How long the CRMs' descriptions of their properties are trusted without asking again."""

CREDENTIALS = 4
"""The exit code of a run that a credential, a permission or a missing field stopped."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Loaded:
    """The four files as types. Nobody has been contacted and nothing has been opened.

    ``files``: those that make the version, by their path inside the directory.
    """

    folder: Path
    settings: Settings
    policy: Policy
    fields: mapping.Mapping
    warnings: tuple[Problem, ...]
    files: Mapping[str, bytes]

    @property
    def home(self) -> Path:
        """What relative paths in mqlsync.yaml count from: the directory above the configuration."""
        return self.folder.absolute().parent


def load(
    folder: Path | None = None,
    *,
    environment: Mapping[str, str] | None = None,
    online: bool = True,
    examples: bool = True,
) -> Loaded:
    """Read and check the four files. The directory: as given, else ``$MQLSYNC_CONFIG``, else ``./config``.

    ``online`` False forgives secrets that are not there: nobody will be contacted. ``examples`` False does not try
    the policy's examples: for whoever decides nothing.

    Raises
    ------
    PolicyInvalid: all errors of all files
    StoreError: there is no such directory
    """
    environment = os.environ if environment is None else environment
    folder = config_folder(folder, environment=environment)
    problems: list[Problem] = []
    warnings: list[Problem] = []
    settings = _collect(problems, warnings, lambda: _settings(folder, environment, online=online))
    rules = _collect(problems, warnings, lambda: _with_warnings(load_rules(folder, examples=examples)))
    if settings is not None:
        problems += _unusable_connections(settings)
    if settings is not None and settings.file is not None and rules is not None:
        problems += _unmapped(settings.file, rules.fields)
    if problems or settings is None or rules is None:
        raise PolicyInvalid(problems)
    return Loaded(
        folder=folder,
        settings=settings,
        policy=rules.policy,
        fields=rules.fields,
        warnings=tuple(warnings),
        files=rules.files,
    )


def load_rules(folder: Path, *, examples: bool = False, today: date | None = None) -> Rules:
    """The files that may be edited while a worker runs. ``examples`` as in `load`.

    ``today``: warn of absences long over as well.

    Raises
    ------
    PolicyInvalid: all errors of all of them; an example that fails is one
    StoreError: one is missing
    """
    rules = read_folder(folder, today=today)
    if examples:
        refuse_failing(rules.policy)
    return rules


def refuse_failing(policy: Policy) -> None:
    """Raises PolicyInvalid for a policy of which an example fails."""
    failing = failures(try_examples(policy))
    if failing:
        raise PolicyInvalid(failing)


def try_examples(policy: Policy) -> tuple[Checked, ...]:
    """What becomes of the policy's examples, in their order."""
    if not policy.examples:
        return ()
    with DuckDbEngine() as engine:
        return check_examples(policy, engine)


def _with_warnings(rules: Rules) -> tuple[Rules, list[Problem]]:
    return rules, list(rules.warnings)


def config_folder(folder: Path | None = None, *, environment: Mapping[str, str] | None = None) -> Path:
    """The configuration's directory: as given, else ``$MQLSYNC_CONFIG``, else ``./config``. StoreError: no such one."""
    environment = os.environ if environment is None else environment
    folder = folder or Path(environment.get("MQLSYNC_CONFIG") or "config")
    if not folder.is_dir():
        raise StoreError(
            f"there is no directory {folder}; make one with `mqlsync init {folder}`, or name it: --config DIR"
        )
    return folder


def _settings(folder: Path, environment: Mapping[str, str], *, online: bool) -> tuple[Settings, list[Problem]]:
    return load_settings(
        _needed(folder, "mqlsync.yaml"),
        environment=environment,
        read_secret=lambda name: Path(name).read_text(),
        online=online,
    )


def _source(folder: Path, name: str) -> Source | None:
    """The file, or the same in JSON (``policy.json``); None when there is neither."""
    for path in (folder / name, (folder / name).with_suffix(".json")):
        if path.exists():
            return Source(str(path), path.read_bytes())
    return None


def _needed(folder: Path, name: str) -> Source:
    source = _source(folder, name)
    if source is None:
        raise StoreError(f"{folder / name} is missing; `mqlsync init new` writes one into the folder new")
    return source


def _collect(problems: list[Problem], warnings: list[Problem], read: Callable[[], tuple[T, list[Problem]]]) -> T | None:
    """What ``read`` makes of a file; its errors are collected with those of the other files."""
    try:
        value, found = read()
    except PolicyInvalid as invalid:
        problems += invalid.problems
        return None
    warnings += found
    return value


def _unusable_connections(settings: Settings) -> list[Problem]:
    """What a connector says about settings that are well-formed but cannot work, at the connection's place."""
    found: list[Problem] = []
    makers: tuple[tuple[HubSpotConnection | SalesforceConnection | FileConnection | None, Callable[[], object]], ...]
    makers = (
        (settings.hubspot, lambda: _hubspot_settings(settings.hubspot)),
        (settings.salesforce, lambda: _salesforce_settings(settings.salesforce)),
        (settings.file, lambda: _file_settings(settings.file, Path())),
    )
    for connection, make in makers:
        if connection is None:
            continue
        try:
            make()
        except ValueError as error:
            found.append(_about(connection.place, str(error)))
    return found


def _unmapped(connection: FileConnection, fields: mapping.Mapping) -> list[Problem]:
    """What fields.yaml does not say of files that are to be read."""
    of = fields.map.crms.get(Crm.FILE)
    columns = of.file if of is not None else None
    if columns is None or (connection.people is not None and not columns.id):
        return [_about(connection.place, "fields.yaml does not say what its columns are: write `file: {person: ...}`")]
    if connection.engagement is not None and columns.engagement is None:
        said = "fields.yaml does not say what an activity is: write `file: {engagement: ...}`"
        return [_about(connection.place, said)]
    return []


def _about(place: Node | None, message: str) -> Problem:
    assert place is not None
    return Problem(file=place.file, line=place.line, col=place.col, path=place.path, message=message)


# -- connectors --------------------------------------------------------------------------------------------------


def _hubspot_settings(connection: HubSpotConnection | None, kept_in: Path | None = None) -> HubSpotSettings:
    """``kept_in``: where a refresh token is kept."""
    from connectors.hubspot.settings import HubSpotSettings, OAuth, Token

    assert connection is not None
    token: Token
    if connection.token is not None:
        token = connection.token
        if connection.token_file is not None:
            token = partial(_token_in, connection.token_file)
    else:
        assert connection.client_id is not None
        assert connection.client_secret is not None
        assert connection.refresh_token is not None
        token = OAuth(
            client_id=connection.client_id,
            client_secret=connection.client_secret,
            refresh_token=connection.refresh_token,
            kept_in=kept_in,
        )
    return HubSpotSettings(
        base_url=connection.base_url,
        api_version=connection.api_version,  # type: ignore[arg-type]  # one of the two by the settings reader
        token=token,
        per_10_seconds=connection.per_10_seconds,
        search_per_second=connection.search_per_second,
        per_day=connection.per_day,
        kept_for_writing=connection.kept_for_writing,
        at_once=connection.at_once,
        proxy=connection.proxy,
    )


def _token_in(file: Path) -> str:
    """The token as its file has it now: it is looked up again when the one before is refused."""
    try:
        return file.read_text().strip()
    except (OSError, UnicodeDecodeError) as error:
        raise RunCannotContinue(
            Crm.HUBSPOT,
            f"the file of the token, {file}, cannot be read ({type(error).__name__}).",
            advice="Put it back; the next run reads it again.",
            credentials=True,
        ) from None


def _kept_token(named: Path | None, home: Path, crm: Crm, store: Store) -> Path:
    """Where a refresh token is kept: the file that is named, else one beside the store."""
    if named is not None:
        return home / named
    return store.folder.with_name(f"{store.folder.stem}.{crm}-token")


def _salesforce_settings(connection: SalesforceConnection | None, kept_in: Path | None = None) -> SalesforceSettings:
    """``kept_in``: where a refresh token is kept."""
    from connectors.salesforce.settings import (
        Auth,
        Bulk,
        ClientCredentials,
        Jwt,
        PasswordToken,
        RefreshToken,
        SalesforceSettings,
        Session,
    )

    assert connection is not None
    auth: Auth
    match connection:
        case SalesforceConnection(session_id=str(session_id)):
            auth = Session(session_id=session_id)
        case SalesforceConnection(username=str(username), password=str(password), security_token=str(security_token)):
            auth = PasswordToken(username=username, password=password, security_token=security_token)
        case SalesforceConnection(username=str(username), consumer_key=str(key), private_key_file=Path() as file):
            auth = Jwt(username=username, consumer_key=key, private_key_file=file)
        case SalesforceConnection(consumer_key=str(key), refresh_token=str(token)):
            auth = RefreshToken(
                consumer_key=key,
                consumer_secret=connection.consumer_secret,
                refresh_token=token,
                kept_in=kept_in,
            )
        case SalesforceConnection(consumer_key=str(key), consumer_secret=str(secret)):
            auth = ClientCredentials(consumer_key=key, consumer_secret=secret)
        case _:
            raise ValueError("no complete way to sign in is given")
    return SalesforceSettings(
        base_url=connection.base_url,
        api_version=connection.api_version,
        auth=auth,
        share_of_day=connection.share_of_day,
        kept_for_writing=connection.kept_for_writing,
        bulk=Bulk(reads_above=connection.bulk_reads_above, writes_above=connection.bulk_writes_above),
        proxy=connection.proxy,
    )


def _file_settings(connection: FileConnection | None, home: Path) -> FileSettings:
    from connectors.file.settings import FileSettings

    assert connection is not None
    return FileSettings(
        name=connection.name,
        people=home / connection.people if connection.people is not None else None,
        engagement=home / connection.engagement if connection.engagement is not None else None,
        encoding=connection.encoding,
        delimiter=connection.delimiter,
        zone=ZoneInfo(connection.timezone),
    )


def _file_connector(loaded: Loaded, store: Store) -> FileConnector:
    from connectors.file import FileConnector

    return FileConnector(
        _file_settings(loaded.settings.file, loaded.home),
        loaded.fields.map.crms[Crm.FILE],
        known=StoredRows(store),
        now=_now,
    )


def _connectors(
    loaded: Loaded,
    schemas: Mapping[Crm, MutableMapping[str, Mapping[str, FieldSchema]]],
    *,
    store: Store,
    patience: Patience,
    sleep: Callable[[float], None],
) -> dict[Crm, Connector]:
    """One connector a connection. The client packages are loaded here, and nowhere earlier."""
    written = _written(loaded.policy, loaded.fields)
    connectors: dict[Crm, Connector] = {}
    if loaded.settings.hubspot is not None:
        from connectors.hubspot import HubSpotConnector

        connectors[Crm.HUBSPOT] = HubSpotConnector(
            _hubspot_settings(
                loaded.settings.hubspot,
                _kept_token(loaded.settings.hubspot.refresh_token_file, loaded.home, Crm.HUBSPOT, store),
            ),
            loaded.fields.map.crms[Crm.HUBSPOT].writing(written[Crm.HUBSPOT]),
            patience=patience,
            sleep=sleep,
            schemas=schemas[Crm.HUBSPOT],
        )
    if loaded.settings.salesforce is not None:
        from connectors.salesforce import SalesforceConnector

        connectors[Crm.SALESFORCE] = SalesforceConnector(
            _salesforce_settings(
                loaded.settings.salesforce,
                _kept_token(loaded.settings.salesforce.refresh_token_file, loaded.home, Crm.SALESFORCE, store),
            ),
            loaded.fields.map.crms[Crm.SALESFORCE].writing(written[Crm.SALESFORCE]),
            patience=patience,
            sleep=sleep,
            schemas=schemas[Crm.SALESFORCE],
            begun=BegunJobs(store, Crm.SALESFORCE),
        )
    if loaded.settings.file is not None:
        connectors[Crm.FILE] = _file_connector(loaded, store)
    return connectors


def _written(policy: Policy, fields: mapping.Mapping) -> dict[Crm, dict[str, tuple[str, ...]]]:
    """The properties that the policy writes, and those by which a review is answered, by CRM and object."""
    written: dict[Crm, dict[str, tuple[str, ...]]] = {crm: {} for crm in Crm}
    for (crm, object), properties in policy.write.properties.items():
        written[Crm(crm)][object] = tuple(properties.values())
    for (crm, object), rule in policy.write.lead_status.items():
        written[Crm(crm)][object] = (*written[Crm(crm)].get(object, ()), rule.property)
    for (crm, object), prop in fields.answers().items():
        written[crm][object] = (*written[crm].get(object, ()), prop)
    return written


def _release(
    policy: Policy, fields: mapping.Mapping, schemas: Mapping[Crm, Mapping[str, Mapping[str, FieldSchema]]]
) -> str:
    """Hash of what can make a refused record acceptable: the policy, and the properties it writes."""
    described = sorted(
        (str(crm), object, name, repr(schemas[crm].get(object, {}).get(name)))
        for crm, objects in _written(policy, fields).items()
        for object, names in objects.items()
        for name in names
    )
    return hashlib.sha256(repr((policy.version, described)).encode()).hexdigest()[:32]


# -- the whole ---------------------------------------------------------------------------------------------------


class Properties:
    """What the CRMs said of their properties: kept for a day, so that a quiet run does not ask.

    ``schemas`` is what the connectors read and fill; the rest decides how long it is believed.
    """

    def __init__(self) -> None:
        self.schemas: dict[Crm, dict[str, Mapping[str, FieldSchema]]] = {crm: {} for crm in Crm}
        self._of_earlier: set[tuple[Crm, str]] = set()

    def begin(self, store: Store, *, fresh: bool = False) -> None:
        """Before a run: believe what is kept and not too old, nothing else. ``fresh``: believe nothing."""
        with store.write() as tx:
            forget_schemas(tx, before=None if fresh else _now() - SCHEMA_KEPT)
            for crm in Crm:
                self.schemas[crm].clear()
                self.schemas[crm].update(load_schemas(tx, crm))
        self._of_earlier = {(crm, object) for crm, described in self.schemas.items() for object in described}

    def renew(self, crm: Crm, object: str) -> None:
        """Ask once more in this run, where only an earlier one did."""
        if (crm, object) in self._of_earlier:
            self._of_earlier.discard((crm, object))
            self.schemas[crm].pop(object, None)

    def end(self, store: Store, *, keep: bool) -> None:
        """After a run: keep what was learnt, or nothing."""
        with store.write() as tx:
            if not keep:
                forget_schemas(tx)
                return
            for crm, described in self.schemas.items():
                save_schemas(tx, crm, described, at=_now())


@dataclass(frozen=True, slots=True, kw_only=True)
class Opened:
    """Everything is open: a run can begin. ``connect`` makes the connectors for other rules and closes the old."""

    loaded: Loaded
    parts: Parts
    properties: Properties
    connect: Callable[[Loaded], Mapping[Crm, Connector]]

    def enqueue(self, job: str, *, as_of: datetime | None = None, trigger: str = "queue") -> str:
        """Leave a run to whoever works the queue. Returns its id."""
        with self.parts.store.write() as tx:
            return self._insert(tx, job, as_of=as_of, trigger=trigger)

    def _insert(self, tx: Connection, job: str, *, as_of: datetime | None, trigger: str, known: bool = True) -> str:
        if known:
            self._known(job)
        run_id, now = self.parts.new_id(), self.parts.now()
        runs.enqueue(tx, run_id=run_id, job=job, slot=f"manual:{run_id}", trigger=trigger, now=now, as_of=as_of)
        return run_id

    def run(
        self,
        job: str,
        *,
        as_of: datetime | None = None,
        dry_run: bool = False,
        only: frozenset[str] | None = None,
        progress: Progress = lambda stage, done, of: None,
        stop: Callable[[], bool] = lambda: False,
        trigger: str = "manual",
    ) -> RunReport:
        """One run now, with its row in `runs`."""
        row = self._claim(job, as_of=as_of, trigger=trigger)
        return self._execute(row, stop=stop, dry_run=dry_run, only=only, progress=progress)

    def sweep(
        self,
        *,
        accept_gone: bool = False,
        progress: Progress = lambda stage, done, of: None,
        stop: Callable[[], bool] = lambda: False,
    ) -> RunReport:
        """Compare with the CRMs now (`sync.sweep`), whatever jobs there are. Its row in `runs` is called ``sweep``."""
        row = self._claim("sweep", as_of=None, trigger="manual", known=False)
        stages = frozenset({StageName.SWEEP})
        return self._execute(row, stop=stop, progress=progress, stages=stages, accept_gone=accept_gone)

    def let_through(
        self,
        run_id: str,
        *,
        progress: Progress = lambda stage, done, of: None,
        stop: Callable[[], bool] = lambda: False,
    ) -> RunReport:
        """Run the job of a run that waits for approval again, and let pass what stopped it.

        Raises
        ------
        NotWaiting: it does not wait, or other rules are in force than those it was stopped under
        """
        with self.parts.store.read() as tx:
            stopped = stops.find(tx, run_id)
        if stopped.policy_version != (version := self.parts.policy.version):
            raise NotWaiting(
                f"run {run_id} was stopped under policy {stopped.policy_version}, the files here are {version}; "
                f"nothing was written. `mqlsync run {stopped.job}` decides anew"
            )
        row = self._claim(stopped.job, as_of=stopped.as_of, trigger="apply")
        return self._execute(row, stop=stop, progress=progress, approval=stopped.approval)

    def _claim(self, job: str, *, as_of: datetime | None, trigger: str, known: bool = True) -> RunRow:
        """A row in `runs` that is ours."""
        # In one transaction: a worker must not take up what was meant to be a plan.
        with self.parts.store.write() as tx:
            run_id = self._insert(tx, job, as_of=as_of, trigger=trigger, known=known)
            row = runs.claim(tx, self.parts.holder, now=self.parts.now(), run_id=run_id)
        assert row is not None
        return row

    def _known(self, job: str) -> None:
        jobs = self.loaded.settings.jobs
        if job not in jobs:
            raise StoreError(f"there is no job {job!r} in mqlsync.yaml; there are {', '.join(sorted(jobs))}")

    def _execute(
        self,
        row: RunRow,
        *,
        stop: Callable[[], bool],
        dry_run: bool = False,
        only: frozenset[str] | None = None,
        progress: Progress = lambda stage, done, of: None,
        requeue: bool = False,
        stages: frozenset[StageName] | None = None,
        accept_gone: bool = False,
        approval: Approval | None = None,
    ) -> RunReport:
        if stages is None:
            self._known(row.job)
            stages = self.loaded.settings.jobs[row.job].stages
        as_of = row.as_of or self.parts.now()
        self.properties.begin(self.parts.store)
        with self.parts.store.write() as tx:
            runs.note(tx, row.run_id, as_of=as_of, policy_version=self.parts.policy.version)
        if not dry_run:
            versions.note_run(
                self.parts.store,
                self.loaded.files,
                self.parts.policy,
                run_id=row.run_id,
                at=self.parts.now(),
                new_id=self.parts.new_id,
            )
        shadow = None if dry_run or only is not None else self._shadow()
        runner = Runner(
            parts=self.parts,
            run_id=row.run_id,
            job=row.job,
            stages=stages,
            as_of=as_of,
            accept_gone=accept_gone,
            release=lambda: _release(self.parts.policy, self.parts.fields, self.properties.schemas),
            dry_run=dry_run,
            only=only,
            asked_as_of=row.as_of,
            approval=approval,
            stop=stop,
            progress=progress,
            beside=shadow,
        )
        try:
            report = runner.run()
        except BaseException as error:
            self._broken(row.run_id, error)
            raise
        finally:
            if shadow is not None:
                shadow.close()
        warning = shadow.report(self.parts.store, run_id=row.run_id, as_of=as_of) if shadow is not None else None
        report.warnings += [warning] if warning is not None else []
        # After an exit 4 somebody is about to grant a permission or make a field: the next run has to see it.
        self.properties.end(self.parts.store, keep=report.exit_code != CREDENTIALS)
        with self.parts.store.write() as tx:
            # Nobody would take up a run that was started by hand and interrupted by hand.
            interrupted = report.state is RunState.QUEUED
            runs.move(
                tx,
                row.run_id,
                RunState.FAILED if interrupted and not requeue else report.state,
                finished_at=None if interrupted and requeue else self.parts.now(),
                counts={
                    **report.counts(),
                    forecast.DAYS: forecast.stored(report.days, report.zones),
                    runs.SIGNED_OUT: report.signed_out,
                },
                calls=report.calls,
                error=report.error,
            )
        return report

    def _shadow(self) -> Beside | None:
        return beside(self.parts.store, self.parts.policy, self.parts.fields.hash, engine=DuckDbEngine)

    def _broken(self, run_id: str, error: BaseException) -> None:
        """No report to tell of: the run's row says what broke it, without the values in the message."""
        text = str(error) if isinstance(error, StoreError) else type(error).__name__
        with self.parts.store.write() as tx:
            runs.move(tx, run_id, RunState.FAILED, finished_at=self.parts.now(), error=text)

    def renewed(self) -> Opened:
        """With the policy, the team and the fields as their files say them now; mqlsync.yaml is read once.

        Files that are wrong change nothing: the log says what is wrong, and by which version work goes on.
        """
        in_force = self.loaded.policy.version
        try:
            rules = load_rules(self.loaded.folder)
            if rules.policy.version == in_force:
                return self
            refuse_failing(rules.policy)
        except PolicyInvalid as invalid:
            log.get_logger().error("policy.refused", problems=list(map(str, invalid.problems)), in_force=in_force)
            return self
        except (StoreError, OSError) as wrong:
            log.get_logger().error("policy.refused", problems=[str(wrong)], in_force=in_force)
            return self
        log.get_logger().info("policy.changed", in_force=rules.policy.version, before=in_force)
        loaded = replace(
            self.loaded, policy=rules.policy, fields=rules.fields, warnings=rules.warnings, files=rules.files
        )
        parts = replace(self.parts, policy=rules.policy, fields=rules.fields, connectors=self.connect(loaded))
        return replace(self, loaded=loaded, parts=parts)

    def work(self, stop: Event) -> None:
        """Be the worker: run what is due and what is queued, until ``stop``, each run by the rules as they are then."""
        now_in_force = self

        def execute(row: RunRow, stopping: Callable[[], bool]) -> RunReport:
            nonlocal now_in_force
            now_in_force = now_in_force.renewed()
            return now_in_force._execute(row, stop=stopping, requeue=True)

        jobs = _scheduled(self.loaded.settings)
        worker = Worker(
            store=self.parts.store,
            jobs=jobs,
            execute=execute,
            holder=self.parts.holder,
            now=self.parts.now,
            new_id=self.parts.new_id,
            since=self.parts.now(),
        )
        worker.run(stop)


@contextmanager
def open_parts(
    loaded: Loaded,
    *,
    online: bool = True,
    reached: Callable[[str], None] = lambda place: None,
    patience: Patience | None = None,
    sleep: Callable[[float], None] = time.sleep,
    level: str = "warning",
    fresh: bool = False,
) -> Iterator[Opened]:
    """Open the store and the connections of a loaded configuration; everything is closed at the end.

    ``online`` False makes no connectors: for commands that only look at the store. ``fresh`` asks the CRMs for their
    properties again, whatever is known of them.
    """
    with ExitStack() as open_things:
        store = Store.open(_store_url(loaded.settings, loaded.home), home=loaded.home)
        open_things.callback(store.close)
        versions.settle(store, loaded.folder)
        log.configure(level=level, key=_log_key(store.folder), secrets=loaded.settings.secrets)
        properties = Properties()
        properties.begin(store, fresh=fresh)
        connectors: dict[Crm, Connector] = {}

        def connect(by: Loaded) -> Mapping[Crm, Connector]:
            _close(connectors)
            if online:
                made = _connectors(by, properties.schemas, store=store, patience=patience or Patience(), sleep=sleep)
                connectors.update(made)
            return connectors

        connect(loaded)
        open_things.callback(_close, connectors)
        engine = _engine(loaded.settings)
        open_things.callback(engine.close)
        parts = Parts(
            settings=loaded.settings,
            policy=loaded.policy,
            fields=loaded.fields,
            store=store,
            connectors=connectors,
            engine=engine,
            now=_now,
            sleep=sleep,
            new_id=_new_id,
            holder=runs.this_process(_new_id()),
            reached=reached,
            renew=properties.renew,
        )
        yield Opened(loaded=loaded, parts=parts, properties=properties, connect=connect)


@contextmanager
def open_store(folder: Path, *, environment: Mapping[str, str] | None = None, make: bool = False) -> Iterator[Store]:
    """The store that mqlsync.yaml of a directory names, whatever the other files say.

    Raises
    ------
    PolicyInvalid: all errors of mqlsync.yaml
    StoreError: it cannot be opened, or there is none yet and ``make`` is False
    """
    settings, _ = _settings(folder, os.environ if environment is None else environment, online=False)
    home = folder.absolute().parent
    url = _store_url(settings, home)
    file = Path(url.removeprefix("sqlite:///"))
    if not make and url.startswith("sqlite:///") and not file.exists():
        raise StoreError(f"there is no store yet: the first `mqlsync run` makes {file}")
    store = Store.open(url, home=home)
    try:
        versions.settle(store, folder)
        yield store
    finally:
        store.close()


def schedules(folder: Path | None = None, *, environment: Mapping[str, str] | None = None) -> dict[str, Schedule]:
    """The schedules of the jobs that have one, by job. Raises as `look_at_store`."""
    environment = os.environ if environment is None else environment
    settings, _ = _settings(config_folder(folder, environment=environment), environment, online=False)
    return _scheduled(settings)


def _scheduled(settings: Settings) -> dict[str, Schedule]:
    return {name: job.schedule for name, job in settings.jobs.items() if job.schedule is not None}


@contextmanager
def look_at_store(
    folder: Path | None = None, *, environment: Mapping[str, str] | None = None
) -> Iterator[tuple[Store, tuple[Problem, ...]]]:
    """The store alone, and what is wrong with the files that rule over it: they need not be right to look at it.

    Raises
    ------
    PolicyInvalid: all errors of mqlsync.yaml, which says where the store is
    StoreError: there is no such directory, or no store to open
    """
    environment = os.environ if environment is None else environment
    folder = config_folder(folder, environment=environment)
    settings, _ = _settings(folder, environment, online=False)
    problems: tuple[Problem, ...] = ()
    try:
        load_rules(folder)
    except PolicyInvalid as invalid:
        problems = invalid.problems
    home = folder.absolute().parent
    store = Store.open(_store_url(settings, home), home=home)
    try:
        yield store, problems
    finally:
        store.close()


def _close(connectors: dict[Crm, Connector]) -> None:
    while connectors:
        connectors.popitem()[1].close()


def _engine(settings: Settings) -> DuckDbEngine | SparkEngine:
    """What scores. Spark is started by the first question only: most commands ask none."""
    if settings.spark is None:
        return DuckDbEngine()
    return SparkEngine(master=settings.spark.master, memory=settings.spark.memory)


def _now() -> datetime:
    return datetime.now(UTC)


def _new_id() -> str:
    return f"r_{uuid.uuid4().hex[:8]}"


def _store_url(settings: Settings, home: Path) -> str:
    """The store's address, with a relative SQLite path counted from the home of the configuration."""
    url = settings.store
    prefix = "sqlite:///"
    if url.startswith(prefix) and not url.startswith(f"{prefix}/") and not url.startswith(f"{prefix}:"):
        return f"{prefix}{home / url.removeprefix(prefix)}"
    return url


def _log_key(folder: Path) -> bytes:
    """The key of this installation's log hashes: random, readable by its owner only, made when there is none."""
    path = folder / "log.key"
    folder.mkdir(parents=True, exist_ok=True)
    if not path.exists():
        beside = path.with_suffix(f".{os.getpid()}")
        beside.touch(mode=0o600)
        beside.write_bytes(secrets.token_bytes(32))
        beside.replace(path)
    return path.read_bytes()
