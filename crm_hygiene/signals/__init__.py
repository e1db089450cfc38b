"""Signals: what golden records suggest, beside them and never over them.

Scores here are sums anyone can check; no golden cell is changed.
"""

from crm_hygiene.signals.lead_score import score_leads
from crm_hygiene.signals.relationship_strength import measure_strength
from crm_hygiene.signals.rules import SignalRules, load_signal_rules

__all__ = ["SignalRules", "load_signal_rules", "measure_strength", "score_leads"]
