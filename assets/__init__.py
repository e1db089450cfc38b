"""The night as Dagster assets, one module per layer, in the order of the flow:

landing -> conformed -> linked -> golden -> reconciled -> signals -> writeback, then quality, audit
and the catalog. A module wires: it says what a step reads, which domain function it calls and
what it publishes. Rules live in `crm_hygiene`.
"""
