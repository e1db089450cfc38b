"""Lineage: which source column ends up where, where one cell came from, and what changed since a night.

`columns` knows the columns, `origins` the SQL behind `why(entity, field)`, `past_night` an earlier night,
`cell_story` and `changes` tell in words, `openlineage` and `transport` tell other programs.
"""
