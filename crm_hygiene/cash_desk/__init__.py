"""The cash desk: what people decide about payments that reconciliation could not post, and how.

`worklist` is what waits, the costliest first, `case` one exception with all that helps to decide it,
`balances` what payment and invoice still have, `proposals` what a person wants done, `deciding` the
checks before anything is written, `revocation` taking a decision back, `worksheet` and `bulk` the way out
to a spreadsheet and back, `decision_log` the only writer of stewardship.cash_decisions. What a decision
posts is told in `crm_hygiene.cash.decided`.
"""
