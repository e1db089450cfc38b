"""Random exports, night by night: new, changed, repeated, late, unreadable and vanished records."""

from __future__ import annotations

from pathlib import Path
from random import Random

_PEOPLE = (
    "leadid,fullname,emailaddress1,telephone1,address1_country,donotemail,statuscode,createdon,modifiedon"
)
_PARTIES = "id,name,email,email_opt_out,active"
_ENTRIES = "entry_id,account_iban,booked_on,amount,currency,counterparty_name,bank_reference"
_EVENTS = "event_id,type,email,occurred_at"
_RESERVED = "reservation_id,order_number,item_id,quantity"


def deliver(landing: Path, night: int, chance: Random) -> dict[str, list[Path]]:
    """Write the files of one night; by source, those it claims. Some nights a source delivers nothing."""
    made = {
        "dynamics_leads": ("dynamics", "leads", _leads),
        "tryton_people": ("tryton", "people", _parties),
        "bank_ledger": ("bank", "ledger", _entries),
        "erp_reservations": ("erp", "reservations", _reservations),
        "x12_documents": ("edi", "orders", _orders),
        "marketing_events": ("marketing", "events", _events),
    }
    found: dict[str, list[Path]] = {}
    for source, (folder, stem, write) in made.items():
        if night and chance.random() < 0.3:
            continue
        # An export overwrites the one before, or lies beside it.
        name = stem if chance.random() < 0.5 else f"{stem}_{night}"
        path = landing / folder / f"{name}.{'edi' if source == 'x12_documents' else 'csv'}"
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(write(night, chance), encoding="utf-8")
        found[source] = [path]
    return found


def _table(header: str, rows: list[list[object]]) -> str:
    return "\n".join([header, *(",".join(str(cell) for cell in row) for row in rows)]) + "\n"


def _leads(night: int, chance: Random) -> str:
    rows = []
    for _ in range(chance.randint(0, 6)):
        # No id, an id with blanks, a change time nobody believes, one that is no time at all.
        lead = chance.choice(["", " a ", "a", "b", "c", "d", "e"])
        changed = chance.choice([f"2024-0{chance.randint(1, 9)}-01T00:00:00Z", "9999-01-01", "soon", ""])
        rows.append(
            [
                lead,
                chance.choice(["Ann Lee", "ANN LEE", "B. Bo", "n/a"]),
                chance.choice(["a@b.example", "x@y.example", "none@none.com", "no address"]),
                chance.choice(["+49 30 1234567", "12", ""]),
                chance.choice(["DE", "Unied Saes", ""]),
                chance.choice(["true", "false"]),
                chance.choice(["New", "Qualified"]),
                "2020-01-01T00:00:00Z",
                changed,
            ]
        )
    return _table(_PEOPLE, rows)


def _parties(night: int, chance: Random) -> str:
    ids = chance.sample(range(6), chance.randint(0, 5))
    return _table(
        _PARTIES,
        [
            [i, chance.choice(["Jo Day", "Jo Night"]), f"{i}@c.example", chance.choice(["true", ""]), "true"]
            for i in ids
        ],
    )


def _entries(night: int, chance: Random) -> str:
    return _table(
        _ENTRIES,
        [
            [
                # A refused row makes the whole source anew: the first nights have none.
                chance.choice(["", "L1", "L2", "L3"] if night > 2 else ["L1", "L2", "L3", "L4"]),
                "DE89370400440532013000",
                "2026-01-01",
                chance.choice(["1.00", "2.50", "much" if night > 2 else "3"]),
                "EUR",
                chance.choice(["Acme GmbH", ""]),
                chance.choice(["R1", "R2", ""]),
            ]
            for _ in range(chance.randint(0, 4))
        ],
    )


def _events(night: int, chance: Random) -> str:
    return _table(
        _EVENTS,
        [
            [
                chance.choice(["", " m1 ", "m1", "m2", "m3", "m4", "m5", "m6"]),
                chance.choice(["open", "bounce", "unsubscribe", "viewed"]),
                chance.choice(["a@b.example", "x@y.example", "no address"]),
                chance.choice(["2024-01-01", "2024-02-01T00:00:00Z", "9999-01-01", "1066-01-01", "soon"]),
            ]
            for _ in range(chance.randint(0, 6))
        ],
    )


def _reservations(night: int, chance: Random) -> str:
    ids = chance.sample(["r1", "r2", "r3", ""], chance.randint(0, 3))
    return _table(_RESERVED, [[i, "PO-1", "B-1", chance.choice([1, 2, "some"])] for i in ids])


def _orders(night: int, chance: Random) -> str:
    """An interchange of orders; one that comes again may have fewer lines, or none."""
    segments = [
        "ISA*00*          *00*          *ZZ*SENDER         *ZZ*US             "
        "*260102*0936*U*00401*000000055*0*T*>",
        "GS*PO*SENDER*US*20260102*1041*2*X*004010",
    ]
    numbers = chance.sample(["PO-7", "PO-8", "PO-9"], chance.randint(1, 3))
    for number in numbers:
        lines = chance.randint(0, 3)
        body = [
            f"BEG*00*SA*{number}**20251220",
            "CUR*BY*USD",
            "N1*BY*Buyer Inc*92*C-9",
            *(f"PO1*{10 * (n + 1)}*{chance.randint(1, 5)}*EA*10.50**VP*B-1" for n in range(lines)),
            f"CTT*{lines}",
        ]
        segments += ["ST*850*0001", *body, f"SE*{len(body) + 2}*0001"]
    return "".join(s + "~" for s in [*segments, f"GE*{len(numbers)}*2", "IEA*1*000000055"])
