"""What every process beside a night imports, except for what must not be forked; imported for its effect.

A process that has imported it is forked for each process of a night (`crm_hygiene.beside`). Polars and
delta-rs are left out: they have threads of their own from their import on, which a fork does not take along,
and Polars warns of it. What is here begins none that it does not look after across a fork (OpenBLAS and
jemalloc do).
"""

import atexit
import gc

from crm_hygiene.garbage import few_collections

with few_collections():
    import dagster  # noqa: F401
    import duckdb  # noqa: F401
    import pandas as pd  # noqa: F401
    import pyarrow.parquet  # noqa: F401
    import splink  # noqa: F401

    from expectations.great_expectations_import import import_great_expectations

    import_great_expectations()

# Looked at for garbage, memory that is shared would be copied.
gc.freeze()
# Bindings to C++ complain of what stays when the interpreter ends.
atexit.register(gc.unfreeze)
