"""Trying a step again, as what stopped it may have passed: a full disk, a lost connection.

Dagster's own retry policy tries an interrupted step again as well: a night that is told to end would go on.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

import dagster as dg

from crm_hygiene.errors import HygieneError, LakeError

MOST_RETRIES = 2
# Twice as long before the second.
FIRST_WAIT_SECONDS = 5


@contextmanager
def tried_again(context: dg.AssetExecutionContext | dg.AssetCheckExecutionContext) -> Iterator[None]:
    """Errors of the block, a step, as Dagster is to take them: what a person has to mend is not tried again.

    Raises
    ------
    dagster.Failure
        for a `HygieneError` other than of the lake.
    dagster.RetryRequested
        for any other error that has no say of its own.
    """
    try:
        yield
    except dg.Failure as failure:
        if not failure.allow_retries:
            raise
        raise _again(context) from failure
    except (dg.RetryRequested, dg.DagsterError):
        raise
    except Exception as error:
        if isinstance(error, HygieneError) and not isinstance(error, LakeError):
            raise dg.Failure(str(error), allow_retries=False) from error
        raise _again(context) from error


def _again(context: dg.AssetExecutionContext | dg.AssetCheckExecutionContext) -> dg.RetryRequested:
    return dg.RetryRequested(MOST_RETRIES, FIRST_WAIT_SECONDS * 2**context.retry_number)
