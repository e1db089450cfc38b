"""Linkage on Apache Spark: the pairs of records that one machine cannot hold.

What belongs here: the session, counting and proposing pairs, and scoring them through Splink's Spark
backend. Rules, model, thresholds and what follows from the scores are those of `crm_hygiene.linkage`, so
that entities are equal on either engine. pyspark is imported when the session starts and not before.
"""

from crm_hygiene.linkage.spark.engine import SparkEngine, spark_engine

__all__ = ["SparkEngine", "spark_engine"]
