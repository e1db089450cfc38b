"""A small Salesforce on loopback that keeps state: REST, collections, Bulk API 2.0, SOAP login and merge.

It follows the published answers for what the target uses, refuses what the real one refuses (a text for a
number, a stale precondition), and has faults that a test switches on. Nothing here is product code.
"""

from __future__ import annotations

import csv
import io
import json
import re
import ssl
import threading
from collections.abc import Callable
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from email.utils import parsedate_to_datetime
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any
from urllib.parse import parse_qs, urlsplit

from lxml import etree

PASSWORD, SECURITY_TOKEN, CLIENT_SECRET = "hunter2-pass", "tok3n-sec", "client-s3cret"

_TEXT, _BOOL, _EMAIL, _REFERENCE = (
    {"type": "string"},
    {"type": "boolean"},
    {"type": "email"},
    {"type": "reference"},
)
_COMMON = {
    "Phone": {"type": "phone"},
    "Hygiene_Id__c": {"type": "string", "externalId": True},
    "OwnerId": _REFERENCE,
    "MasterRecordId": _REFERENCE,
}
FIELDS: dict[str, dict[str, dict[str, Any]]] = {
    "Contact": {
        **_COMMON,
        "FirstName": _TEXT,
        "LastName": _TEXT,
        "Title": _TEXT,
        "Email": _EMAIL,
        "DoNotCall": _BOOL,
        "Score__c": {"type": "double", "scale": 2},
        "Birthdate": {"type": "date"},
        "AccountId": _REFERENCE,
    },
    "Account": {**_COMMON, "Name": _TEXT, "NumberOfEmployees": {"type": "int"}},
    "Opportunity": {"Name": _TEXT, "ContactId": _REFERENCE},
}
_PREFIX = {"Contact": "003", "Account": "001", "Opportunity": "006"}
_SYSTEM = {"Id", "LastModifiedDate", "IsDeleted"}
_ID_DIGITS = "ABCDEFGHIJKLMNOPQRSTUVWXYZ012345"


def salesforce_id(object_name: str, number: int) -> str:
    """An id of 18 characters."""
    short = f"{_PREFIX[object_name]}Kx{number:010d}"
    parts = (short[i : i + 5] for i in (0, 5, 10))
    return short + "".join(_ID_DIGITS[sum(c.isupper() << i for i, c in enumerate(p))] for p in parts)


@dataclass
class Fault:
    """What goes wrong with the next `times` requests that `match` (a pattern of "METHOD /path").

    `how`: answer (`status`, `body`, `headers` instead of doing it), drop_before (close the connection,
    nothing done), drop_after (do it, then close), hang (do it, then never answer).
    """

    match: str
    how: str = "answer"
    status: int = 503
    body: Any = None
    headers: dict[str, str] = field(default_factory=dict)
    times: int = 1
    skip: int = 0


@dataclass
class _Refused(Exception):  # noqa: N818 - named as what happens
    status: int
    errors: list[dict[str, Any]]


class SalesforceServer:
    """State, faults and address; `with SalesforceServer() as server`."""

    def __init__(self, tls: ssl.SSLContext | None = None) -> None:
        self.records: dict[str, dict[str, Any]] = {}
        self.tokens = {"first-token-0001"}
        self.now = datetime(2026, 11, 20, 12, 0, 0, tzinfo=UTC)
        self.faults: list[Fault] = []
        self.requests: list[tuple[str, dict[str, str], bytes]] = []
        self.locked: set[str] = set()
        self.duplicate_emails: set[str] = set()
        self.page_size = 2000
        self.jobs: dict[str, dict[str, Any]] = {}
        self.bulk_reach: int | None = None
        self.bulk_polls = 0
        self.before_bulk: Callable[[], None] | None = None
        self._pages: dict[str, list[dict[str, Any]]] = {}
        self._lock = threading.Lock()
        self._released = threading.Event()
        self._server = ThreadingHTTPServer(("127.0.0.1", 0), self._handler())
        self._server.daemon_threads = True
        if tls is not None:
            self._server.socket = tls.wrap_socket(self._server.socket, server_side=True)
        self.url = f"{'https' if tls else 'http'}://127.0.0.1:{self._server.server_port}"

    def __enter__(self) -> SalesforceServer:
        threading.Thread(target=self._server.serve_forever, args=(0.01,), daemon=True).start()
        return self

    def __exit__(self, *_: object) -> None:
        self._released.set()
        self._server.shutdown()
        self._server.server_close()

    # -- what tests set and look at ------------------------------------------------------------------------

    def add(self, object_name: str, number: int, **values: Any) -> str:
        record_id = salesforce_id(object_name, number)
        empty = dict.fromkeys(FIELDS[object_name])
        empty |= {f: False for f, told in FIELDS[object_name].items() if told["type"] == "boolean"}
        self.records[record_id] = {
            **empty,
            **values,
            "Id": record_id,
            "IsDeleted": False,
            "type": object_name,
        }
        self._touch(record_id)
        return record_id

    def touch(self, record_id: str, **values: Any) -> None:
        """A user of the CRM changes a record, a minute later."""
        self.now += timedelta(minutes=1)
        self.records[record_id] |= values
        self._touch(record_id)

    def live(self, object_name: str) -> list[dict[str, Any]]:
        return [r for r in self.records.values() if r["type"] == object_name and not r["IsDeleted"]]

    def calls(self, pattern: str) -> list[tuple[str, dict[str, str], bytes]]:
        return [call for call in self.requests if re.search(pattern, call[0])]

    def _touch(self, record_id: str) -> None:
        self.records[record_id]["LastModifiedDate"] = self.now.strftime("%Y-%m-%dT%H:%M:%S.000+0000")

    # -- saving one record ---------------------------------------------------------------------------------

    def _checked(self, object_name: str, values: dict[str, Any], record_id: str | None) -> dict[str, Any]:
        known = FIELDS[object_name]
        if record_id in self.locked:
            raise _Refused(
                400, [_error("UNABLE_TO_LOCK_ROW", "unable to obtain exclusive access to this record")]
            )
        for name, value in values.items():
            if name not in known:
                raise _Refused(
                    400, [_error("INVALID_FIELD", f"No such column '{name}' on sobject of type X")]
                )
            kind = known[name]["type"]
            right = {"boolean": bool, "double": (int, float), "int": int}.get(kind, str)
            if value is not None and (not isinstance(value, right) or (kind != "boolean" and value is True)):
                raise _Refused(400, [_error("JSON_PARSER_ERROR", f"Cannot deserialize instance of {kind}")])
            if kind == "email" and value and "@" not in value:
                told = f"Email: invalid email address: {value}"
                raise _Refused(400, [_error("INVALID_EMAIL_ADDRESS", told, ["Email"])])
            if kind == "email" and value in self.duplicate_emails:
                raise _Refused(400, [_error("DUPLICATES_DETECTED", "Use one of these records?")])
        return {n: v.strip().lower() if known[n]["type"] == "email" and v else v for n, v in values.items()}

    def _update(self, record_id: str, values: dict[str, Any], object_name: str) -> None:
        record = self.records.get(record_id)
        if record is None or record["type"] != object_name:
            raise _Refused(404, [_error("NOT_FOUND", "The requested resource does not exist")])
        if record["IsDeleted"]:
            raise _Refused(404, [_error("ENTITY_IS_DELETED", "entity is deleted")])
        record |= self._checked(object_name, values, record_id)
        self._touch(record_id)

    def _upsert(self, object_name: str, key: str, values: dict[str, Any]) -> tuple[str, bool]:
        if not FIELDS[object_name].get(key, {}).get("externalId"):
            raise _Refused(
                404, [_error("NOT_FOUND", "Provided external ID field does not exist or is not accessible")]
            )
        found = [r for r in self.live(object_name) if r[key] == values[key]]
        if found:
            self._update(found[0]["Id"], values, object_name)
            return found[0]["Id"], False
        checked = self._checked(object_name, values, None)
        if object_name == "Contact" and not checked.get("LastName"):
            told = "Required fields are missing: [LastName]"
            raise _Refused(400, [_error("REQUIRED_FIELD_MISSING", told, ["LastName"])])
        return self.add(object_name, 500_000 + len(self.records), **checked), True

    # -- resources -----------------------------------------------------------------------------------------

    def handle(
        self, method: str, url: str, headers: dict[str, str], body: bytes
    ) -> tuple[int, Any, dict[str, str]]:
        """Status, body (JSON, bytes or None) and headers."""
        parts = urlsplit(url)
        query = {k: v[0] for k, v in parse_qs(parts.query).items()}
        if parts.path == "/services/oauth2/token":
            return self._oauth(parse_qs(body.decode()))
        if parts.path.startswith("/services/Soap/u/"):
            return self._soap(body)
        if headers.get("Authorization", "").removeprefix("Bearer ") not in self.tokens:
            return 401, [_error("INVALID_SESSION_ID", "Session expired or invalid")], {}
        path = re.sub(r"^/services/data/v[\d.]+/", "", parts.path)
        try:
            return self._rest(method, path.split("/"), query, headers, body)
        except _Refused as refused:
            return refused.status, refused.errors, {}

    def _rest(
        self, method: str, path: list[str], query: dict[str, str], headers: dict[str, str], body: bytes
    ) -> tuple[int, Any, dict[str, str]]:
        sent = json.loads(body) if body and "json" in headers.get("Content-Type", "") else {}
        match method, path:
            case "GET", ["sobjects", name, "describe"] if name in FIELDS:
                fields = [{"name": n, "scale": 0, **told} for n, told in FIELDS[name].items()]
                return 200, {"name": name, "fields": fields}, {}
            case "PATCH", ["sobjects", name, record_id]:
                since = headers.get("If-Unmodified-Since")
                if since and record_id in self.records:
                    changed = datetime.fromisoformat(self.records[record_id]["LastModifiedDate"])
                    if changed > parsedate_to_datetime(since):
                        return 412, None, {}
                self._update(record_id, sent, name)
                return 204, None, {}
            case "POST", ["composite", "sobjects", name]:
                self._check_columns(name, sent["fields"])
                return 200, [self._row(name, i, sent["fields"]) for i in sent["ids"]], {}
            case "PATCH", ["composite", "sobjects", name, key]:
                assert len(sent["records"]) <= 200
                return 200, [self._collected(name, key, dict(record)) for record in sent["records"]], {}
            case "DELETE", ["composite", "sobjects"]:
                return 200, [self._deleted(i) for i in query["ids"].split(",")], {}
            case "GET", ["query" | "queryAll" as resource, *page]:
                return 200, self._query(query.get("q", ""), resource, page), {}
            case _, ["jobs", "ingest", *rest]:
                return self._bulk(method, rest, sent, body)
        return 404, [_error("NOT_FOUND", "The requested resource does not exist")], {}

    def _check_columns(self, name: str, columns: list[str]) -> None:
        for column in columns:
            if column not in FIELDS[name] and column not in _SYSTEM:
                raise _Refused(
                    400, [_error("INVALID_FIELD", f"No such column '{column}' on entity '{name}'.")]
                )

    def _row(self, name: str, record_id: str, columns: list[str]) -> dict[str, Any] | None:
        full = next((i for i in self.records if i[:15] == record_id[:15]), record_id)
        record = self.records.get(full)
        if record is None or record["IsDeleted"] or record["type"] != name:
            return None
        return {"attributes": {"type": name}, **{c: record[c] for c in columns}}

    def _collected(self, name: str, key: str, record: dict[str, Any]) -> dict[str, Any]:
        assert record.pop("attributes") == {"type": name}
        try:
            record_id, is_new = self._upsert(name, key, record)
        except _Refused as refused:
            errors = [{**e, "statusCode": e.pop("errorCode")} for e in refused.errors]
            return {"success": False, "errors": errors}
        return {"id": record_id, "success": True, "errors": [], "created": is_new}

    def _deleted(self, record_id: str) -> dict[str, Any]:
        if record_id in self.locked:
            error = {
                "statusCode": "UNABLE_TO_LOCK_ROW",
                "message": "unable to obtain exclusive access",
                "fields": [],
            }
            return {"id": record_id, "success": False, "errors": [error]}
        self.records[record_id]["IsDeleted"] = True
        self._touch(record_id)
        return {"id": record_id, "success": True, "errors": []}

    def _query(self, soql: str, resource: str, page: list[str]) -> dict[str, Any]:
        if page:
            rows = self._pages.pop(page[0])
        else:
            found = re.fullmatch(r"SELECT ([\w,]+) FROM (\w+) WHERE (\w+) IN \((.*)\)", soql, re.DOTALL)
            assert found, soql
            columns, name, key, listed = found[1].split(","), found[2], found[3], found[4]
            self._check_columns(name, columns)
            texts = re.findall(r"'((?:[^'\\]|\\.)*)'", listed)
            asked = {re.sub(r"\\(.)", r"\1", text) for text in texts}
            held = [r for r in self.records.values() if r["type"] == name and r[key] in asked]
            held = held if resource == "queryAll" else [r for r in held if not r["IsDeleted"]]
            rows = [{"attributes": {}, **{c: r[c] for c in columns}} for r in held]
        answer: dict[str, Any] = {"records": rows[: self.page_size], "done": len(rows) <= self.page_size}
        if not answer["done"]:
            locator = f"01g{len(rows)}-{self.page_size}"
            self._pages[locator] = rows[self.page_size :]
            answer["nextRecordsUrl"] = f"/services/data/v62.0/{resource}/{locator}"
        return answer

    # -- sign-in -------------------------------------------------------------------------------------------

    def _oauth(self, form: dict[str, list[str]]) -> tuple[int, Any, dict[str, str]]:
        grant = form["grant_type"][0]
        is_right = grant == "client_credentials" and form.get("client_secret") == [CLIENT_SECRET]
        if grant.endswith("jwt-bearer"):
            is_right = form["assertion"][0].count(".") == 2
        if not is_right:
            return 400, {"error": "invalid_client", "error_description": "invalid client credentials"}, {}
        return 200, {"access_token": self._new_token(), "instance_url": self.url}, {}

    def _new_token(self) -> str:
        token = f"00D-session-{len(self.tokens):04d}-{len(self.requests):04d}"
        self.tokens.add(token)
        return token

    def _soap(self, body: bytes) -> tuple[int, Any, dict[str, str]]:
        root = etree.fromstring(body)
        words = {etree.QName(e).localname: e for e in root.iter(etree.Element)}
        if "login" in words:
            if words["password"].text != PASSWORD + SECURITY_TOKEN:
                told = "Invalid username, password, security token; or user locked out."
                return 500, _fault("INVALID_LOGIN", told), {}
            inner = f"<serverUrl>{self.url}/services/Soap/u/62.0</serverUrl>"
            inner += f"<sessionId>{self._new_token()}</sessionId>"
            return 200, _envelope(f"<loginResponse><result>{inner}</result></loginResponse>"), {}
        if words["sessionId"].text not in self.tokens:
            return 500, _fault("INVALID_SESSION_ID", "Invalid Session ID found in SessionHeader"), {}
        assert words["allowSave"].text == "false"
        requests = list(root.iter("{urn:partner.soap.sforce.com}request"))
        return 200, _envelope(f"<mergeResponse>{''.join(map(self._merge, requests))}</mergeResponse>"), {}

    def _merge(self, request: Any) -> str:
        master: dict[str, Any] = {}
        losers = []
        for part in request:
            if etree.QName(part).localname == "recordToMergeIds":
                losers.append(part.text)
            for value in part:
                name = etree.QName(value).localname
                master |= {value.text: None} if name == "fieldsToNull" else {name: value.text}
        survivor, name = master.pop("Id"), master.pop("type")
        assert 1 <= len(losers) <= 2
        if self.locked & {survivor, *losers}:
            error = "<message>unable to obtain access</message><statusCode>UNABLE_TO_LOCK_ROW</statusCode>"
            return f"<result><errors>{error}</errors><success>false</success></result>"
        kinds = {n: FIELDS[name][n]["type"] for n in master}
        typed = {n: v == "true" if kinds[n] == "boolean" else v for n, v in master.items()}
        self._update(survivor, typed, name)
        moved = []
        for record in self.records.values():
            for field_name, told in FIELDS[record["type"]].items():
                if told["type"] == "reference" and record.get(field_name) in losers:
                    record[field_name] = survivor
                    moved.append(record["Id"])
        for loser in losers:
            self.records[loser] |= {"IsDeleted": True, "MasterRecordId": survivor}
        merged = "".join(f"<mergedRecordIds>{i}</mergedRecordIds>" for i in losers)
        related = "".join(f"<updatedRelatedIds>{i}</updatedRelatedIds>" for i in moved)
        return f"<result><id>{survivor}</id>{merged}<success>true</success>{related}</result>"

    # -- Bulk API 2.0 --------------------------------------------------------------------------------------

    def _bulk(
        self, method: str, rest: list[str], sent: dict[str, Any], body: bytes
    ) -> tuple[int, Any, dict[str, str]]:
        match method, rest:
            case "POST", []:
                job_id = f"7505e00000{len(self.jobs):05d}AAA"
                self.jobs[job_id] = {
                    **sent,
                    "id": job_id,
                    "state": "Open",
                    "data": "",
                    "polls": self.bulk_polls,
                }
                return 200, {"id": job_id, "state": "Open", **sent}, {}
            case "PUT", [job_id, "batches"]:
                self.jobs[job_id]["data"] = body.decode()
                return 201, None, {}
            case "PATCH", [job_id]:
                self.jobs[job_id]["state"] = sent["state"]
                if sent["state"] == "UploadComplete":
                    self._process(self.jobs[job_id])
                return 200, {"id": job_id, "state": self.jobs[job_id]["state"]}, {}
            case "GET", [job_id]:
                job = self.jobs[job_id]
                job["polls"] -= 1
                state = "InProgress" if job["polls"] >= 0 else job["state"]
                return 200, {"id": job_id, "state": state, "errorMessage": job.get("errorMessage")}, {}
            case "GET", [job_id, which]:
                return (
                    200,
                    self.jobs[job_id].get(which, "").encode(),
                    {"Content-Type": "text/csv; charset=UTF-8"},
                )
        return 404, [_error("NOT_FOUND", "The requested resource does not exist")], {}

    def _process(self, job: dict[str, Any]) -> None:
        if self.before_bulk is not None:
            self.before_bulk()
        lines = list(csv.reader(io.StringIO(job["data"], newline="")))
        header, rows = lines[0], lines[1:]
        reach = len(rows) if self.bulk_reach is None else self.bulk_reach
        done, failed = [], []
        for cells in rows[:reach]:
            given = {n: None if c == "#N/A" else c for n, c in zip(header, cells, strict=True) if c}
            try:
                record_id, is_new = self._bulk_row(job, given)
                done.append([record_id, str(is_new).lower(), *cells])
            except _Refused as refused:
                error = refused.errors[0]
                told = f"{error['errorCode']}:{error['message']}:{','.join(error['fields'])} --"
                failed.append([given.get("Id") or "", told, *cells])
        job["successfulResults"] = _csv(["sf__Id", "sf__Created", *header], done)
        job["failedResults"] = _csv(["sf__Id", "sf__Error", *header], failed)
        job["unprocessedRecords"] = job["unprocessedrecords"] = _csv(header, rows[reach:])
        job["state"] = "JobComplete" if reach >= len(rows) else "Failed"
        job["errorMessage"] = "" if reach >= len(rows) else "InternalServerError: try again"

    def _bulk_row(self, job: dict[str, Any], given: dict[str, Any]) -> tuple[str, bool]:
        name = job["object"]
        for key, value in given.items():
            kind = FIELDS[name].get(key, {}).get("type")
            if value is not None and kind in ("double", "int"):
                given[key] = float(value) if kind == "double" else int(value)
            if kind == "boolean":
                given[key] = value == "true"
        if job["operation"] == "upsert":
            return self._upsert(name, job["externalIdFieldName"], given)
        record_id = given.pop("Id")
        self._update(record_id, given, name)
        return record_id, False

    # -- HTTP ----------------------------------------------------------------------------------------------

    def _due(self, request: str) -> Fault | None:
        for fault in self.faults:
            if fault.times > 0 and re.search(fault.match, request):
                if fault.skip > 0:
                    fault.skip -= 1
                    return None
                fault.times -= 1
                return fault
        return None

    def _handler(self) -> type[BaseHTTPRequestHandler]:
        server = self

        class Handler(BaseHTTPRequestHandler):
            protocol_version = "HTTP/1.1"
            # Head and body in one packet: two would wait for each other's acknowledgement.
            wbufsize = -1
            disable_nagle_algorithm = True

            def do(self) -> None:
                body = self.rfile.read(int(self.headers.get("Content-Length") or 0))
                headers = {k.title() if k.islower() else k: v for k, v in self.headers.items()}
                request = f"{self.command} {urlsplit(self.path).path}"
                with server._lock:
                    server.requests.append((f"{self.command} {self.path}", headers, body))
                    fault = server._due(request)
                    if fault is not None and fault.how == "drop_before":
                        self.close_connection = True
                        return
                    if fault is not None and fault.how == "answer":
                        status, told, extra = fault.status, fault.body, fault.headers
                    else:
                        status, told, extra = server.handle(self.command, self.path, headers, body)
                if fault is not None and fault.how in ("drop_after", "hang"):
                    if fault.how == "hang":
                        server._released.wait(60)
                    self.close_connection = True
                    return
                self._answer(status, told, extra)

            def _answer(self, status: int, told: Any, extra: dict[str, str]) -> None:
                content = (
                    b"" if told is None else told if isinstance(told, bytes) else json.dumps(told).encode()
                )
                self.send_response(status)
                kind = "text/xml" if content.startswith(b"<") else "application/json;charset=UTF-8"
                for name, value in {
                    "Content-Type": kind,
                    **extra,
                    "Content-Length": str(len(content)),
                }.items():
                    self.send_header(name, value)
                self.end_headers()
                self.wfile.write(content)

            def log_message(self, *_: Any) -> None:
                pass

            do_GET = do_POST = do_PATCH = do_PUT = do_DELETE = do  # noqa: N815 - http.server's names

        return Handler


def _error(code: str, message: str, fields: list[str] | None = None) -> dict[str, Any]:
    return {"message": message, "errorCode": code, "fields": fields or []}


def _csv(header: list[str], rows: list[list[str]]) -> str:
    """As Salesforce writes results: every cell in quotes."""
    text = io.StringIO()
    csv.writer(text, lineterminator="\n", quoting=csv.QUOTE_ALL).writerows([header, *rows])
    return text.getvalue()


def _envelope(inner: str) -> bytes:
    return (
        '<?xml version="1.0" encoding="UTF-8"?><soapenv:Envelope '
        'xmlns:soapenv="http://schemas.xmlsoap.org/soap/envelope/" xmlns="urn:partner.soap.sforce.com">'
        f"<soapenv:Body>{inner}</soapenv:Body></soapenv:Envelope>"
    ).encode()


def _fault(code: str, message: str) -> bytes:
    detail = (
        f"<sf:exceptionCode>{code}</sf:exceptionCode><sf:exceptionMessage>{message}</sf:exceptionMessage>"
    )
    return (
        '<?xml version="1.0" encoding="UTF-8"?><soapenv:Envelope '
        'xmlns:soapenv="http://schemas.xmlsoap.org/soap/envelope/" '
        'xmlns:sf="urn:fault.partner.soap.sforce.com">'
        f"<soapenv:Body><soapenv:Fault><faultcode>sf:{code}</faultcode><faultstring>{code}: {message}"
        f"</faultstring><detail>{detail}</detail></soapenv:Fault></soapenv:Body></soapenv:Envelope>"
    ).encode()
