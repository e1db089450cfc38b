"""Stewardship: what people decide about identity, and how it gets into the lake and out of it.

`questions` is the queue as a person reads it, `targets` what a person may point at, `act` one act of
deciding and `revocation` taking it back, `contradictions` what judgements say against each other,
`worksheet` and `bulk` the way out to a spreadsheet and back, `log` the only writer of
stewardship.decisions. Which judgement binds is told in `crm_hygiene.linkage.decisions`.
"""
