"""X12 interchanges: segments, and the envelope whose counts and control numbers must agree.

Source: ASC X12.5 and X12.6. Separators are taken from the ISA segment, whose elements need not be padded to
their full width (pyx12 4.0 wants them padded). What the transaction sets mean is said in the modules of each.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from crm_hygiene.errors import FileRefused

Segment = tuple[str, ...]

_ISA_ELEMENTS = 16
_RUN_INTO = re.compile(r"[\r\n]\s*[A-Z][A-Z0-9]{1,2}[^A-Za-z0-9\s]")


@dataclass(frozen=True)
class TransactionSet:
    """One ST to SE: its type (`810`), control number, sender, place in the file, segments and faults."""

    kind: str
    control: str
    sender: str
    ordinal: int
    segments: tuple[Segment, ...]
    faults: tuple[str, ...]

    def as_text(self) -> str:
        """The segments as text, for whoever looks at a refused set."""
        return "~".join("*".join(s) for s in self.segments)


def element(segment: Segment, number: int) -> str:
    """Element by its X12 number: `element(bpr, 2)` is BPR02; empty if the segment is shorter."""
    return segment[number].strip() if number < len(segment) else ""


def _separators(path: Path, said: str) -> tuple[str, str]:
    """Element separator and segment terminator, from the ISA segment."""
    if not said.startswith("ISA") or len(said) < 20:
        raise FileRefused(f"{path}: does not begin with ISA, so it is no X12 interchange{_other(said)}")
    separator = said[3]
    at = 3
    for _ in range(_ISA_ELEMENTS - 1):
        at = said.find(separator, at + 1)
        if at < 0:
            raise FileRefused(f"{path}: its ISA segment has fewer than {_ISA_ELEMENTS} elements")
    component, terminator = said[at + 1 : at + 2], said[at + 2 : at + 3]
    if terminator in ("\r", "\n", ""):
        # Either lines end the segments, or ISA16 was left out and what looks like it ends them.
        following = said[at + 2 :].lstrip().splitlines()
        if following and following[0].rstrip().endswith(component):
            return separator, component
        return separator, "\n"
    return separator, terminator


def _other(said: str) -> str:
    for start, what in (("UNA", "EDIFACT"), ("UNB", "EDIFACT"), ("UNH", "EDIFACT"), ("STX", "TRADACOMS")):
        if said.startswith(start):
            return f" but {what}, which is not read; ask for X12, or for UBL or CII"
    return ""


def _segments(said: str, separator: str, terminator: str) -> list[tuple[Segment, bool]]:
    """Segments with whether the terminator between two of them is missing."""
    found = []
    for part in said.split(terminator):
        body = part.strip()
        if body:
            is_joined = terminator != "\n" and bool(_RUN_INTO.search(body)) and not body.startswith("ISA")
            body = re.sub(r"[\r\n]+", "", body)
            found.append((tuple(body.split(separator)), is_joined))
    return found


def read_interchanges(path: Path, content: bytes) -> Iterator[TransactionSet]:
    """Every transaction set of a file, in its order.

    Raises
    ------
    FileRefused
        if an envelope (ISA to IEA, GS to GE) is not closed, or its counts or control numbers do not agree:
        then sets are missing or were joined from elsewhere, and none of them can be trusted.
    """
    try:
        said = content.decode("utf-8-sig")
    except UnicodeDecodeError:
        said = content.decode("latin-1")
    said = said.strip()
    separator, terminator = _separators(path, said)
    isa: Segment | None = None
    group: Segment | None = None
    groups = sets = ordinal = 0
    begun: Segment | None = None
    inside: list[Segment] = []
    faults: list[str] = []
    interchanges = 0
    for segment, is_joined in _segments(said, separator, terminator):
        name = segment[0]
        if is_joined:
            faults.append(f"segment {name} runs into the next one: its terminator is missing")
        if name == "ISA":
            if isa is not None:
                raise FileRefused(f"{path}: interchange {element(isa, 13)} is not closed by IEA")
            isa, groups = segment, 0
            interchanges += 1
        elif isa is None:
            raise FileRefused(f"{path}: segment {name} stands outside an interchange (ISA to IEA)")
        elif name == "GS":
            group, sets = segment, 0
            groups += 1
        elif name == "ST":
            if group is None:
                raise FileRefused(
                    f"{path}: transaction set {element(segment, 2)} stands in no group (GS to GE)"
                )
            if begun is not None:
                raise FileRefused(f"{path}: transaction set {element(begun, 2)} is not closed by SE")
            begun, inside, faults = segment, [], []
            sets += 1
        elif name == "SE":
            if begun is None:
                raise FileRefused(f"{path}: SE closes no transaction set")
            count = len(inside) + 2
            if element(segment, 1) != str(count) and _whole(element(segment, 1)) != count:
                faults.append(f"SE01 says {element(segment, 1)} segments, there are {count}")
            if element(segment, 2) != element(begun, 2):
                faults.append(f"ST02 is {element(begun, 2)} and SE02 {element(segment, 2)}")
            ordinal += 1
            yield TransactionSet(
                kind=element(begun, 1),
                control=element(begun, 2),
                sender=element(isa, 6),
                ordinal=ordinal,
                segments=tuple(inside),
                faults=tuple(faults),
            )
            begun = None
        elif name == "GE":
            if group is None or begun is not None:
                raise FileRefused(f"{path}: GE closes no group, or a transaction set is still open")
            _agree(path, "GE01", element(segment, 1), sets, "transaction sets")
            _same(path, "GS06", element(group, 6), "GE02", element(segment, 2))
            group = None
        elif name == "IEA":
            if group is not None:
                raise FileRefused(f"{path}: group {element(group, 6)} is not closed by GE")
            _agree(path, "IEA01", element(segment, 1), groups, "groups")
            _same(path, "ISA13", element(isa, 13), "IEA02", element(segment, 2))
            isa = None
        elif begun is not None:
            inside.append(segment)
    if isa is not None or begun is not None:
        raise FileRefused(f"{path}: breaks off inside an interchange: no IEA; fetch it again")


def _whole(said: str) -> int | None:
    return int(said) if said.isdecimal() and len(said) < 12 else None


def _agree(path: Path, name: str, stated: str, found: int, what: str) -> None:
    if _whole(stated) != found:
        raise FileRefused(
            f"{path}: {name} says {stated or 'nothing'} {what}, there are {found}; fetch it again"
        )


def _same(path: Path, left: str, one: str, right: str, other: str) -> None:
    if one != other and (_whole(one) is None or _whole(one) != _whole(other)):
        raise FileRefused(
            f"{path}: {left} is {one} and {right} is {other}: the file was cut off or joined of two; "
            "fetch it again"
        )
