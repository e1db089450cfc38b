"""References: which records point at those that are to be deleted.

Tryton refuses to delete a record that a required field names; a field that is not required it empties without
a word. Undoing a create must not do that. What does not belong here: deleting (`tryton`).
"""

from __future__ import annotations

from collections.abc import Sequence

from crm_hygiene.writeback.targets.tryton_rpc import CallRefused, TrytonSession


class References:
    """The fields that may point at one model, as far as the user may search them."""

    def __init__(self, session: TrytonSession, model: str) -> None:
        self._session = session
        domain = [["relation", "=", model], ["ttype", "=", "many2one"]]
        rows = session.call("model.ir.model.field.search_read", domain, 0, None, None, ["model", "name"])
        # A party's own parts go with it.
        own = "party." if model == "party.party" else f"{model}."
        self._fields = sorted((r["model"], r["name"]) for r in rows if not r["model"].startswith(own))

    def to(self, numbers: Sequence[int]) -> dict[int, str]:
        """Id -> the model of a record that points at it; ids that nothing points at are left out."""
        found: dict[int, str] = {}
        for model, name in list(self._fields):
            try:
                rows = self._session.call(
                    f"model.{model}.search_read",
                    [[name, "in", list(numbers)]],
                    0,
                    None,
                    None,
                    [name],
                    context={"active_test": False},
                )
            except CallRefused:
                # Not stored, not offered, or not this user's to see: asked once per session.
                self._fields.remove((model, name))
                continue
            for row in rows:
                found.setdefault(int(row[name]), model)
        return found
