"""A small HubSpot on loopback that keeps state: the published v3 objects and properties, v4 associations.

Only what write-back uses. Faults are queued: each is used up by the next requests whose path holds its text.
"""

from __future__ import annotations

import json
import re
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any
from urllib.parse import parse_qs, unquote, urlsplit

TOKEN = "pat-first"
PRIMARY = {"contact": 1, "deal": 5, "ticket": 26}
SINGULAR = {"companies": "company"}

Json = dict[str, Any]


@dataclass
class Fault:
    """What happens to the next `times` requests whose path holds `path`, after `skip` of them."""

    kind: str  # status | drop_before | drop_after | hang | refuse_records
    path: str = ""
    times: int = 1
    skip: int = 0
    status: int = 503
    body: Json = field(default_factory=dict)
    headers: dict[str, str] = field(default_factory=dict)
    record_ids: tuple[str, ...] = ()


def prop(
    name: str, label: str, kind: str = "string", field_type: str = "text", *, read_only: bool = False,
    unique: bool = False, options: dict[str, str] | None = None,
) -> Json:  # fmt: skip
    return {
        "name": name, "label": label, "type": kind, "fieldType": field_type, "description": "",
        "groupName": "g", "hasUniqueValue": unique, "calculated": False,
        "options": [{"label": k, "value": v, "hidden": False} for k, v in (options or {}).items()],
        "modificationMetadata": {"readOnlyValue": read_only, "archivable": True, "readOnlyDefinition": True},
    }  # fmt: skip


CONTACT = [
    prop("firstname", "First Name"),
    prop("lastname", "Last Name"),
    prop("email", "Email", unique=True),
    prop("phone", "Phone Number"),
    prop("jobtitle", "Job Title"),
    prop("company", "Company Name"),
    prop("notes_a", "Notes"),
    prop("notes_b", "Notes"),
    prop("birthday", "Birthday", "date", "date"),
    prop("seen_at", "Seen at", "datetime", "date"),
    prop("score", "Score", "number", "number"),
    prop("vip", "VIP", "bool", "booleancheckbox", options={"Yes": "true", "No": "false"}),
    prop("topics", "Topics", "enumeration", "checkbox", options={"Tea": "tea", "Milk": "milk"}),
    prop("hygiene_id", "Hygiene id", unique=True),
    prop("hs_email_optout", "Unsubscribed from all email", "bool", "booleancheckbox", read_only=True),
    prop("hs_object_id", "Record ID", "number", "number", read_only=True),
    prop("createdate", "Create Date", "datetime", "date", read_only=True),
    prop("hubspot_owner_id", "Contact owner", "enumeration", "select"),
]
COMPANY = [
    prop("name", "Company name"),
    prop("domain", "Company Domain Name"),
    prop("hygiene_id", "Hygiene id", unique=True),
    prop("industry", "Industry", "enumeration", "select", options={"Software": "COMPUTER_SOFTWARE"}),
]
DEAL = [prop("dealname", "Deal Name"), prop("amount", "Amount", "number", "number")]


class HubSpotServer:
    """State and faults; `url` while it runs."""

    def __init__(self) -> None:
        self.properties = {"contact": CONTACT, "company": COMPANY, "deal": DEAL, "ticket": []}
        self.records: dict[str, dict[str, Json]] = {k: {} for k in self.properties}
        self.alias: dict[str, dict[str, str]] = {k: {} for k in self.properties}
        self.links: dict[tuple[str, str], dict[str, set[int]]] = {}
        self.tokens = {TOKEN}
        self.refresh_token = "refresh-1"
        self.faults: list[Fault] = []
        self.requests: list[tuple[str, str]] = []
        self.opted_out: set[str] = set()
        self.url = ""
        self._next = 1000
        self._clock = 0
        self.lock = threading.Lock()
        self.stopping = threading.Event()

    # --- for tests ---

    def add(self, kind: str, properties: dict[str, str | None], record_id: str | None = None) -> str:
        if record_id is None:
            self._next += 1
            record_id = str(self._next)
        self.records[kind][record_id] = {
            "properties": {k: v for k, v in properties.items() if v},
            "createdAt": self.now(),
            "updatedAt": self.now(),
            "archived": False,
        }
        return record_id

    def set(self, kind: str, record_id: str, **properties: str) -> None:
        record = self.records[kind][record_id]
        record["properties"].update(properties)
        record["updatedAt"] = self.now()

    def live(self, kind: str) -> dict[str, Json]:
        return {i: r["properties"] for i, r in self.records[kind].items() if not r["archived"]}

    def count(self, text: str) -> int:
        return sum(text in path for _, path in self.requests)

    def now(self) -> str:
        self._clock += 1
        return f"2024-05-01T10:{self._clock // 60 % 60:02d}:{self._clock % 60:02d}.000Z"

    # --- requests: (status, body) ---

    def answer(
        self, method: str, path: str, query: dict[str, list[str]], body: Json
    ) -> tuple[int, Json | None]:
        parts = [unquote(p) for p in path.strip("/").split("/")]
        if path == "/oauth/v1/token":
            return self.token(body)
        if parts[:3] == ["crm", "v3", "properties"]:
            kind = self.kind(parts[3])
            return (200, {"results": self.properties[kind]}) if kind else self.missing()
        if parts[:3] == ["crm", "v3", "objects"]:
            kind = self.kind(parts[3])
            if kind is None:
                return self.missing()
            if parts[4:] == ["merge"]:
                return self.merge(kind, body)
            how = {
                "read": self.read, "update": self.update, "upsert": self.upsert, "archive": self.archive,
                "create": self.create,
            }  # fmt: skip
            return how[parts[5]](kind, body, query)
        if parts[:3] == ["crm", "v4", "associations"]:
            how4 = {"read": self.read_links, "create": self.link, "archive": self.unlink}
            return how4[parts[-1]](self.kind(parts[3]) or "", body)
        if parts[:2] == ["communication-preferences", "v4"] and parts[-1] == "unsubscribe-all":
            self.opted_out.add(parts[3])
            for record in self.records["contact"].values():
                if record["properties"].get("email") == parts[3]:
                    record["properties"]["hs_email_optout"] = "true"
            return 200, {"status": "COMPLETE", "results": []}
        return self.missing()

    @staticmethod
    def kind(name: str) -> str | None:
        single = SINGULAR.get(name, name.removesuffix("s"))
        return single if single in ("contact", "company", "deal", "ticket") else None

    @staticmethod
    def missing() -> tuple[int, Json]:
        return 404, {"status": "error", "category": "OBJECT_NOT_FOUND", "message": "resource not found"}

    def token(self, body: Json) -> tuple[int, Json]:
        if body.get("refresh_token") != self.refresh_token:
            return 400, {"status": "BAD_REFRESH_TOKEN", "message": "missing or invalid refresh token"}
        token = f"oauth-{len(self.tokens)}"
        self.tokens = {token}
        return 200, {
            "access_token": token,
            "refresh_token": self.refresh_token,
            "expires_in": 1800,
            "token_type": "bearer",
        }

    def actual(self, kind: str, record_id: str) -> str:
        seen = record_id
        while seen in self.alias[kind]:
            seen = self.alias[kind][seen]
        return seen

    def shown(self, kind: str, record_id: str, names: list[str] | None = None) -> Json:
        record = self.records[kind][record_id]
        shown = dict(record["properties"], hs_object_id=record_id)
        merged = [old for old in self.alias[kind] if self.actual(kind, old) == record_id]
        if merged:
            shown["hs_merged_object_ids"] = ";".join(merged)
        if names is not None:
            shown = {n: shown.get(n) for n in (*names, "hs_object_id")}
        return {**record, "id": record_id, "properties": shown}

    def read(self, kind: str, body: Json, query: dict[str, list[str]]) -> tuple[int, Json]:
        wanted_archived = query.get("archived") == ["true"]
        found, lost = [], []
        for item in body["inputs"]:
            if body.get("idProperty"):
                here = next(
                    (
                        i
                        for i, r in self.records[kind].items()
                        if r["properties"].get(body["idProperty"]) == item["id"] and not r["archived"]
                    ),
                    None,
                )
            else:
                here = self.actual(kind, item["id"])
            record = self.records[kind].get(here or "")
            if record is None or record["archived"] != wanted_archived:
                lost.append(item["id"])
            else:
                found.append(self.shown(kind, here or "", body.get("properties")))
        return self.batch(found, [self.not_found(lost)] if lost else [])

    @staticmethod
    def not_found(ids: list[str]) -> Json:
        return {
            "status": "error", "category": "OBJECT_NOT_FOUND", "context": {"ids": ids},
            "message": "Could not get some CONTACT objects, they may be deleted or not exist.",
        }  # fmt: skip

    def batch(self, found: list[Json], errors: list[Json], status: int = 200) -> tuple[int, Json]:
        body: Json = {
            "status": "COMPLETE", "results": found, "startedAt": self.now(), "completedAt": self.now(),
        }  # fmt: skip
        if errors:
            return 207, {**body, "numErrors": len(errors), "errors": errors}
        return status, body

    def invalid(self, kind: str, properties: Json, record_id: str | None) -> tuple[int, Json] | None:
        known = {p["name"]: p for p in self.properties[kind]}
        for name, value in properties.items():
            told = known.get(name)
            if told is None or told["modificationMetadata"]["readOnlyValue"]:
                message = f'Property "{name}" does not exist or is read-only'
                return 400, {"status": "error", "category": "VALIDATION_ERROR", "message": message}
            bad_mail = name == "email" and value and "@" not in value
            bad_number = told["type"] == "number" and value and not re.fullmatch(r"-?\d+(\.\d+)?", value)
            if bad_mail or bad_number:
                message = f"Property values were not valid: {value} is no valid {name}"
                detail = {"message": message, "code": "INVALID_VALUE", "context": {"propertyName": [name]}}
                return 400, {
                    "status": "error", "category": "VALIDATION_ERROR", "message": message, "errors": [detail]
                }  # fmt: skip
            if told["hasUniqueValue"] and value:
                for other, record in self.records[kind].items():
                    same = record["properties"].get(name) == value
                    if same and other != record_id and not record["archived"]:
                        return 409, {
                            "status": "error", "category": "CONFLICT",
                            "message": f"Contact already exists. Existing ID: {other}",
                        }  # fmt: skip
        return None

    def put(self, kind: str, record_id: str, properties: Json) -> None:
        record = self.records[kind][record_id]
        changed = {k: str(v).strip() for k, v in properties.items()}
        if "email" in changed:
            changed["email"] = changed["email"].lower()
        record["properties"] = {k: v for k, v in {**record["properties"], **changed}.items() if v}
        record["updatedAt"] = self.now()

    def refused_here(self, items: list[Json]) -> set[str]:
        """Ids that a `refuse_records` fault picks from a batch."""
        for fault in self.faults:
            if fault.kind == "refuse_records" and fault.times > 0:
                hit = {i["id"] for i in items} & set(fault.record_ids)
                if hit:
                    fault.times -= 1
                    return hit
        return set()

    def update(self, kind: str, body: Json, query: dict[str, list[str]]) -> tuple[int, Json]:
        items = body["inputs"]
        if len({self.actual(kind, i["id"]) for i in items}) < len(items):
            return 400, {"status": "error", "category": "VALIDATION_ERROR", "message": "Duplicate IDs found"}
        for item in items:
            wrong = self.invalid(kind, item["properties"], self.actual(kind, item["id"]))
            if wrong:
                return wrong
        refused = self.refused_here(items)
        found, errors = [], []
        for item in items:
            here = self.actual(kind, item["id"])
            record = self.records[kind].get(here)
            if item["id"] in refused:
                errors.append(
                    {
                        "status": "error",
                        "category": "VALIDATION_ERROR",
                        "message": "a workflow refuses it",
                        "context": {"objectWriteTraceId": [item["objectWriteTraceId"]]},
                    }
                )
            elif record is None or record["archived"]:
                errors.append(self.not_found([item["id"]]))
            else:
                self.put(kind, here, item["properties"])
                found.append(self.shown(kind, here, list(item["properties"])))
        return self.batch(found, errors)

    def upsert(self, kind: str, body: Json, query: dict[str, list[str]]) -> tuple[int, Json]:
        for item in body["inputs"]:
            held = self.by_key(kind, item)
            wrong = self.invalid(kind, item["properties"], held)
            if wrong:
                return wrong
        found = []
        for item in body["inputs"]:
            held = self.by_key(kind, item)
            record_id = held or self.add(kind, {item["idProperty"]: item["id"]})
            self.put(kind, record_id, item["properties"])
            found.append({**self.shown(kind, record_id, list(item["properties"])), "new": held is None})
        return self.batch(found, [])

    def create(self, kind: str, body: Json, query: dict[str, list[str]]) -> tuple[int, Json]:
        for item in body["inputs"]:
            wrong = self.invalid(kind, item["properties"], None)
            if wrong:
                return wrong
            for other in item["associations"]:
                if self.actual("company", other["to"]["id"]) not in self.live("company"):
                    return 400, {
                        "status": "error",
                        "category": "INVALID_ASSOCIATION",
                        "message": "no company",
                    }
        found = []
        for item in body["inputs"]:
            record_id = self.add(kind, {})
            self.put(kind, record_id, item["properties"])
            for other in item["associations"]:
                types = {279, *(t["associationTypeId"] for t in other["types"])}
                self.links.setdefault((kind, record_id), {})[other["to"]["id"]] = types
            found.append(self.shown(kind, record_id, list(item["properties"])))
        return self.batch(found, [], 201)

    def by_key(self, kind: str, item: Json) -> str | None:
        return next(
            (
                i
                for i, r in self.records[kind].items()
                if r["properties"].get(item["idProperty"]) == item["id"] and not r["archived"]
            ),
            None,
        )

    def archive(self, kind: str, body: Json, query: dict[str, list[str]]) -> tuple[int, None]:
        for item in body["inputs"]:
            if item["id"] in self.records[kind]:
                self.records[kind][item["id"]]["archived"] = True
        return 204, None

    def merge(self, kind: str, body: Json) -> tuple[int, Json]:
        first = self.actual(kind, body["primaryObjectId"])
        second = self.actual(kind, body["objectIdToMerge"])
        if first not in self.records[kind] or second not in self.records[kind]:
            return self.missing()
        if first == second:
            return 400, {
                "status": "error",
                "category": "VALIDATION_ERROR",
                "message": "cannot merge with itself",
            }
        kept = self.records[kind].pop(first)["properties"]
        lost = self.records[kind].pop(second)["properties"]
        new = self.add(kind, {**lost, **kept})
        self.alias[kind] |= {first: new, second: new}
        for (child_kind, child), others in list(self.links.items()):
            if kind == "company":
                moved: dict[str, set[int]] = {}
                for other, types in others.items():
                    moved.setdefault(self.actual(kind, other), set()).update(types)
                self.links[child_kind, child] = moved
        return 200, self.shown(kind, new)

    # --- associations ---

    def read_links(self, kind: str, body: Json) -> tuple[int, Json]:
        found, errors = [], []
        for item in body["inputs"]:
            others = self.links.get((kind, item["id"]), {})
            to = [
                {
                    "toObjectId": other,
                    "associationTypes": [
                        {"category": "HUBSPOT_DEFINED", "typeId": t, "label": None} for t in sorted(types)
                    ],
                }
                for other, types in others.items()
            ]
            if to:
                found.append({"from": {"id": item["id"]}, "to": to})
            else:
                errors.append(
                    {
                        "status": "error",
                        "category": "OBJECT_NOT_FOUND",
                        "message": "No company associated",
                        "subCategory": "crm.associations.NO_ASSOCIATIONS_FOUND",
                        "context": {"fromObjectId": [item["id"]]},
                    }
                )
        return self.batch(found, errors)

    def link(self, kind: str, body: Json) -> tuple[int, Json]:
        found, errors = [], []
        for item in body["inputs"]:
            origin, other = item["from"]["id"], self.actual("company", item["to"]["id"])
            if other not in self.live("company"):
                errors.append(self.not_found([item["to"]["id"]]))
                continue
            mine = self.links.setdefault((kind, origin), {})
            for types in mine.values():
                types.discard(PRIMARY[kind])
            mine.setdefault(other, {279}).update(t["associationTypeId"] for t in item["types"])
            found.append({"fromObjectId": origin, "toObjectId": other, "labels": []})
        return self.batch(found, errors, 201)

    def unlink(self, kind: str, body: Json) -> tuple[int, None]:
        for item in body["inputs"]:
            for other in item["to"]:
                self.links.get((kind, item["from"]["id"]), {}).pop(other["id"], None)
        return 204, None


class _Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    state: HubSpotServer

    def log_message(self, format: str, *args: object) -> None:
        pass

    def do_GET(self) -> None:
        self._serve("GET")

    def do_POST(self) -> None:
        self._serve("POST")

    def _serve(self, method: str) -> None:
        raw = self.rfile.read(int(self.headers.get("Content-Length") or 0))
        url = urlsplit(self.path)
        state = self.state
        with state.lock:
            state.requests.append((method, url.path))
            fault = self._fault(url.path)
            if fault and fault.kind == "drop_before":
                return self._drop()
            if fault and fault.kind == "hang":
                state.stopping.wait(60)
                return self._drop()
            if fault and fault.kind == "status":
                return self._send(fault.status, fault.body, fault.headers)
            if url.path != "/oauth/v1/token":
                given = (self.headers.get("Authorization") or "").removeprefix("Bearer ")
                if given not in state.tokens:
                    expired = given.startswith(("oauth-", "pat-"))
                    word = "EXPIRED_AUTHENTICATION" if expired else "INVALID_AUTHENTICATION"
                    return self._send(401, {"status": "error", "category": word, "message": "no"}, {})
            form = "form-urlencoded" in (self.headers.get("Content-Type") or "")
            body = {k: v[0] for k, v in parse_qs(raw.decode()).items()} if form else json.loads(raw or b"{}")
            status, told = state.answer(method, url.path, parse_qs(url.query), body)
            if fault and fault.kind == "drop_after":
                return self._drop()
        return self._send(status, told, {})

    def _fault(self, path: str) -> Fault | None:
        for fault in self.state.faults:
            if fault.kind != "refuse_records" and fault.path in path and fault.times > 0:
                if fault.skip > 0:
                    fault.skip -= 1
                    continue
                fault.times -= 1
                return fault
        return None

    def _drop(self) -> None:
        self.close_connection = True
        self.connection.close()

    def _send(self, status: int, body: Json | None, headers: dict[str, str]) -> None:
        raw = b"" if body is None else json.dumps(body).encode()
        self.send_response(status)
        for name, value in headers.items():
            self.send_header(name, value)
        self.send_header("Content-Type", "application/json;charset=utf-8")
        self.send_header("Content-Length", str(len(raw)))
        self.end_headers()
        self.wfile.write(raw)


@contextmanager
def running() -> Iterator[HubSpotServer]:
    """The server on a free port of loopback."""
    state = HubSpotServer()
    handler = type("Handler", (_Handler,), {"state": state})
    server = ThreadingHTTPServer(("127.0.0.1", 0), handler)
    server.daemon_threads = True
    state.url = f"http://127.0.0.1:{server.server_address[1]}"
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01}, daemon=True)
    thread.start()
    try:
        yield state
    finally:
        state.stopping.set()
        server.shutdown()
        server.server_close()
        thread.join()
