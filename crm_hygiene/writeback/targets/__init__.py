"""Targets: one file per system that can be written to, each a `crm_hygiene.writeback.target.Target`."""
