"""Quality: what is measured of each night, how it drifts, and the limits on it.

What does not belong here: gates on rows (`expectations.gate`) and the score of one golden record
(`crm_hygiene.golden.quality_score`).
"""

from crm_hygiene.quality.evaluation import evaluate_limits
from crm_hygiene.quality.limits import Limit, Limits, load_limits
from crm_hygiene.quality.measuring import ENTITIES, SOURCES, STAGES, Stage, measure_stage
from crm_hygiene.quality.stability import stability_index

__all__ = [
    "ENTITIES",
    "SOURCES",
    "STAGES",
    "Limit",
    "Limits",
    "Stage",
    "evaluate_limits",
    "load_limits",
    "measure_stage",
    "stability_index",
]
