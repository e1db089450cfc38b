"""Merging through SOAP: REST has no merge. Envelopes out, results in; sending is `salesforce_session`'s.

Source: SOAP API Developer Guide, "merge()": at most two losers per request, 200 requests per call, each a
transaction of its own; related records move to the survivor by themselves.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from lxml import etree

_ENVELOPE = "http://schemas.xmlsoap.org/soap/envelope/"
_PARTNER = "urn:partner.soap.sforce.com"
_RECORD = "urn:sobject.partner.soap.sforce.com"

#: Losers of one merge request, and merge requests of one call.
LOSERS_PER_REQUEST = 2
REQUESTS_PER_CALL = 200

#: What Salesforce can merge.
OBJECTS = frozenset({"Account", "Contact", "Lead", "Case", "Individual"})


@dataclass(frozen=True)
class MergeResult:
    """One request's end: `code` and `message` are empty where `is_merged`; `moved` related records."""

    is_merged: bool
    losers: tuple[str, ...] = ()
    moved: int = 0
    code: str = ""
    message: str = ""


class SoapFault(Exception):  # noqa: N818 - SOAP's own word
    """The call as a whole was refused; `code` is Salesforce's exception code."""

    def __init__(self, code: str, message: str) -> None:
        super().__init__(code)
        self.code = code
        self.message = message


def merge_envelope(
    token: str,
    object_name: str,
    survivor: str,
    losers: Sequence[str],
    values: Mapping[str, str | None],
) -> bytes:
    """The call that merges all losers, two per request; `values` are set with the first."""
    root = etree.Element(
        f"{{{_ENVELOPE}}}Envelope", nsmap={"soapenv": _ENVELOPE, "urn": _PARTNER, "rec": _RECORD}
    )
    header = etree.SubElement(root, f"{{{_ENVELOPE}}}Header")
    _text(etree.SubElement(header, f"{{{_PARTNER}}}SessionHeader"), _PARTNER, "sessionId", token)
    rule = etree.SubElement(header, f"{{{_PARTNER}}}DuplicateRuleHeader")
    _text(rule, _PARTNER, "allowSave", "false")
    _text(rule, _PARTNER, "includeRecordDetails", "false")
    _text(rule, _PARTNER, "runAsCurrentUser", "true")
    body = etree.SubElement(root, f"{{{_ENVELOPE}}}Body")
    merge = etree.SubElement(body, f"{{{_PARTNER}}}merge")
    for start in range(0, len(losers), LOSERS_PER_REQUEST):
        request = etree.SubElement(merge, f"{{{_PARTNER}}}request")
        master = etree.SubElement(request, f"{{{_PARTNER}}}masterRecord")
        _text(master, _RECORD, "type", object_name)
        given = sorted(values.items()) if start == 0 else []
        for name, value in given:
            if not value:
                _text(master, _RECORD, "fieldsToNull", name)
        _text(master, _RECORD, "Id", survivor)
        for name, value in given:
            if value:
                _text(master, _RECORD, name, value)
        for loser in losers[start : start + LOSERS_PER_REQUEST]:
            _text(request, _PARTNER, "recordToMergeIds", loser)
    document: bytes = etree.tostring(root, xml_declaration=True, encoding="UTF-8")
    return document


def _text(parent: etree._Element, namespace: str, name: str, text: str) -> None:
    etree.SubElement(parent, f"{{{namespace}}}{name}").text = text


def merge_results(answer: bytes) -> list[MergeResult]:
    """The results, one per request and in their order.

    Raises
    ------
    SoapFault
        if the call was refused.
    ValueError
        if the answer is not one.
    """
    parser = etree.XMLParser(resolve_entities=False, no_network=True, load_dtd=False)
    try:
        root = etree.fromstring(answer, parser)
    except etree.XMLSyntaxError:
        raise ValueError("the answer is not XML") from None
    fault = root.find(f".//{{{_ENVELOPE}}}Fault")
    if fault is not None:
        code = (fault.findtext("faultcode") or "").rpartition(":")[2]
        raise SoapFault(code, (fault.findtext("faultstring") or "").removeprefix(f"{code}: "))
    results = root.findall(f".//{{{_PARTNER}}}result")
    if not results:
        raise ValueError("the answer holds no result")
    return [_result(element) for element in results]


def _result(element: etree._Element) -> MergeResult:
    def texts(name: str) -> list[str]:
        return [e.text or "" for e in element.findall(f"{{{_PARTNER}}}{name}")]

    if texts("success") == ["true"]:
        return MergeResult(True, tuple(texts("mergedRecordIds")), len(texts("updatedRelatedIds")))
    errors = element.findall(f"{{{_PARTNER}}}errors")
    code = (errors[0].findtext(f"{{{_PARTNER}}}statusCode") or "UNKNOWN") if errors else "UNKNOWN"
    message = "; ".join(e.findtext(f"{{{_PARTNER}}}message") or "" for e in errors)
    return MergeResult(False, code=code, message=message)
