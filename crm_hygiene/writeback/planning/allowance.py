"""Rows of a published plan that the policies in force no longer allow: the policy changed after the night."""

from __future__ import annotations

from collections.abc import Mapping

import polars as pl

from crm_hygiene.writeback.policy import ObjectPolicy, TargetPolicy


def is_allowed(policy: TargetPolicy, object_name: str, kind: str, field: str) -> bool:
    """Whether a policy lets a change of one kind to one field of one object go.

    `fill_empty` counts as allowed: which fields were empty was looked at when the plan was made.
    """
    if kind == "posting":
        return policy.postings is not None and policy.postings.object == object_name
    if kind == "reparent":
        return any(
            o.merges and (child.object.casefold(), child.field) == (object_name.casefold(), field)
            for o in policy.objects.values()
            for child in o.children
        )
    known = policy.objects.get(object_name, ObjectPolicy(suppressions=False))
    allowed = {
        "update": known.winner(field) != "never",
        "create": known.creates,
        "merge": known.merges,
        "link": known.links == field and known.fields.get(field) != "never",
        "owner": known.owner == field and known.fields.get(field) != "never",
        "suppress": known.suppressions,
    }
    return allowed.get(kind, False)


def not_allowed(plan: pl.DataFrame, policies: Mapping[str, TargetPolicy]) -> pl.DataFrame:
    """What of a plan's rows or counts no policy in force allows; that of a target without a policy too."""
    what = ["target", "object", "change_kind", "column_name"]
    wrong = [
        row
        for row in plan.select(what).unique().iter_rows()
        if row[0] not in policies or not is_allowed(policies[row[0]], *row[1:])
    ]
    refused = pl.DataFrame(wrong, schema=dict.fromkeys(what, pl.String), orient="row")
    return plan.join(refused, on=what, how="semi", maintain_order="left")
