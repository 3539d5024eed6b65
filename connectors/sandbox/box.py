"""The sandbox: both CRMs, one clock, one journal, one port."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterable
from datetime import datetime, timedelta
from fnmatch import fnmatchcase
from types import TracebackType
from typing import Any

from connectors.sandbox.clock import Clock
from connectors.sandbox.faults import Fault, Faults
from connectors.sandbox.hubspot import HubSpotPortal, Limits
from connectors.sandbox.journal import Journal
from connectors.sandbox.salesforce import SalesforceOrg
from connectors.sandbox.server import App, Backend, Calls, Request, Response, Server


class Sandbox:
    """Both CRMs on one loopback port. Use it as a context manager; `start` returns it running and empty."""

    def __init__(self, port: int = 0, at: datetime | None = None) -> None:
        self.clock = Clock(at)
        self.journal = Journal(self.clock)
        self.faults = Faults()
        self.calls = Calls()
        self.hubspot = HubSpotPortal(self.clock, self.journal)
        self.salesforce = SalesforceOrg(self.clock, self.journal)
        backends: dict[str, Backend] = {"hubspot": self.hubspot, "salesforce": self.salesforce}
        self._app = App(backends, self._control, self.clock, self.faults, self.calls)
        self._server = Server(self._app, port)
        self.url = f"http://127.0.0.1:{self._server.port}"

    @classmethod
    def start(cls, port: int = 0, at: datetime | None = None) -> Sandbox:
        """Listens on 127.0.0.1 (port 0: any free one), the clock at `at` or at real time, running on."""
        box = cls(port, at)
        box._server.start()
        return box

    def stop(self) -> None:
        """Ends the server and its connections. The state stays readable."""
        self._server.stop()

    def __enter__(self) -> Sandbox:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.stop()
        if self._app.crashes and error is None:
            raise RuntimeError("the sandbox itself failed while answering:\n" + "\n".join(self._app.crashes))

    @property
    def crashes(self) -> list[str]:
        """Calls whose answer failed by a defect of the sandbox, with their tracebacks."""
        return list(self._app.crashes)

    def reset_calls(self) -> None:
        """Counts from zero again."""
        self.calls.reset()

    def release_late(self) -> int:
        """Commits now what COMMIT_LATE faults still hold back; how many requests that were."""
        return self._app.release_late(all_of_them=True)

    def state(self, without: Iterable[str] = ()) -> dict[str, Any]:
        """Both CRMs as plain values, for comparing two runs.

        Left out: modification stamps, and the ids of tasks, which depend on the order of creation. `without` names
        further properties or fields to leave out (fnmatch patterns), wherever they stand.
        """
        whole = {"hubspot": self.hubspot.state(), "salesforce": self.salesforce.state()}
        patterns = tuple(without)
        return _pruned(whole, patterns) if patterns else whole

    def digest(self, without: Iterable[str] = ()) -> str:
        """sha256 of `state`, in hex."""
        text = json.dumps(self.state(without), sort_keys=True, separators=(",", ":"), default=str)
        return hashlib.sha256(text.encode()).hexdigest()

    def _control(self, request: Request) -> Response:
        """The same for other processes: see `python -m connectors.sandbox --help`."""
        match (request.method, request.path.removeprefix("/_sandbox/")):
            case ("GET", "journal"):
                since = int(request.one("since") or 0)
                via = request.one("via")
                entries = [e.as_json() for e in self.journal.since(since) if via in (None, e.via)]
                return Response(body={"last_seq": self.journal.last_seq, "entries": entries})
            case ("GET", "calls"):
                return Response(body=self.calls.as_json())
            case ("GET", "digest"):
                return Response(body={"digest": self.digest(request.query.get("without", ()))})
            case ("GET", "state"):
                return Response(body=self.state(request.query.get("without", ())))
            case ("GET", "clock"):
                return Response(body={"now": self.clock.now().isoformat()})
            case ("POST", "clock"):
                return self._set_clock(request.json())
            case ("POST", "faults"):
                return self._add_faults(request.json())
            case ("POST", "quotas"):
                self.hubspot.limits = Limits(**request.json())
                return Response(204)
            case ("GET", "quotas"):
                return Response(body={"refused": self.hubspot.refused})
            case ("DELETE", "faults"):
                self.faults.clear()
                return Response(204)
            case ("POST", "release-late"):
                return Response(body={"committed": self.release_late()})
            case ("POST", "reset-calls"):
                self.reset_calls()
                return Response(204)
            case ("POST", "edit"):
                wish = request.json()
                crm = self.hubspot if wish["crm"] == "hubspot" else self.salesforce
                crm.edit(wish["object"], wish["id"], wish["properties"], by="person")
                return Response(204)
            case _:
                return Response(404, {"message": f"the sandbox has no {request.method} {request.path}"})

    def _set_clock(self, wish: dict[str, Any]) -> Response:
        """{"set": ISO}, {"freeze": ISO or null}, {"move": seconds}, {"thaw": true}; several apply in this order."""
        if "set" in wish:
            self.clock.set(datetime.fromisoformat(wish["set"]))
        if "freeze" in wish:
            self.clock.freeze(datetime.fromisoformat(wish["freeze"]) if wish["freeze"] else None)
        if "move" in wish:
            self.clock.move(timedelta(seconds=wish["move"]))
        if wish.get("thaw"):
            self.clock.thaw()
        return Response(body={"now": self.clock.now().isoformat()})

    def _add_faults(self, wish: dict[str, Any] | list[dict[str, Any]]) -> Response:
        wishes = wish if isinstance(wish, list) else [wish]
        try:
            faults = [Fault.from_json(fields) for fields in wishes]
        except (TypeError, ValueError) as error:
            return Response(400, {"message": f"no such fault: {error}"})
        for fault in faults:
            self.faults.add(fault)
        return Response(201, {"armed": len(faults)})


def _pruned(node: Any, patterns: tuple[str, ...]) -> Any:
    match node:
        case dict():
            return {
                key: _pruned(value, patterns)
                for key, value in node.items()
                if not any(fnmatchcase(str(key), pattern) for pattern in patterns)
            }
        case list():
            return [_pruned(value, patterns) for value in node]
        case _:
            return node
