"""Small hand-written X12: an invoice of 336.50, an order of 35.50 and an advice over 190.00."""

from __future__ import annotations

INVOICE = [
    "BIG*20260102*INV-1*20251220*PO-7***DI",
    "CUR*SE*USD",
    "N1*BT*Buyer Inc*92*C-9",
    "N1*SE*Seller",
    "ITD*01*3*2**10**30",
    "IT1*1*3*EA*10.50**VP*B-1",
    "PID*F****Bolt",
    "SAC*C*D240***500",
    "IT1*2*200*EA*150*HP*VP*N-1*PO*PO-8",
    "TDS*33650",
    "CTT*2",
]
ORDER = [
    "BEG*00*SA*PO-7**20251220",
    "CUR*BY*USD",
    "N1*BY*Buyer Inc*92*C-9",
    "PO1*10*3*EA*10.50**VP*B-1",
    "PO1*20*2*EA*2**VP*N-1",
    "CTT*2*5",
    "AMT*TT*35.50",
]
ADVICE = [
    "BPR*C*190.00*C*ACH************20260110",
    "TRN*1*T-55",
    "CUR*PR*USD",
    "N1*PR*Buyer Inc",
    "ENT*1",
    "RMR*IV*INV-1**98.00*100.00*2.00",
    "DTM*003*20260102",
    "RMR*IV*INV-2**92.00*92.00",
]


def transaction(kind: str, body: list[str], control: str = "0001", count: int | None = None) -> list[str]:
    return [f"ST*{kind}*{control}", *body, f"SE*{count or len(body) + 2}*{control}"]


def interchange(
    *sets: list[str], end: str = "~", sets_said: int | None = None, closing: str = "000000055"
) -> str:
    parts = [
        "ISA*00*          *00*          *ZZ*SENDER         *ZZ*US             "
        "*260102*0936*U*00401*000000055*0*T*>",
        "GS*IN*SENDER*US*20260102*1041*2*X*004010",
        *(segment for one in sets for segment in one),
        f"GE*{sets_said or len(sets)}*2",
        f"IEA*1*{closing}",
    ]
    return "".join(p + end for p in parts)
