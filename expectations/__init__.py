"""Contracts and their gates: one YAML file per table, and what runs its checks.

`suite` turns a contract into a Great Expectations suite, `engine` runs one on a Polars frame,
`gate` decides what is clean, what is quarantined and what stops, `reasons` words it, `reference`
renders the reference page. What does not belong here: what a table means (`crm_hygiene.contract`
reads that from the YAML) and when a gate runs (`assets`).
"""
