"""The Spark session of a night: started with what hygiene.yaml says, with DuckDB's text distances added.

The distances are in functions/*.java, because no function of Spark or of Splink's jar gives what DuckDB's
gives: theirs compare characters and not bytes, and count transpositions by another rule. Spark compiles
them with the compiler it carries for its own generated code; workers get them from the driver.
"""

from __future__ import annotations

import logging
import os
import tempfile
import zipfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import duckdb

from crm_hygiene.config import SparkConfig
from crm_hygiene.errors import ConfigurationError
from crm_hygiene.linkage.spark.conditions import DAMERAU_LEVENSHTEIN, JARO_WINKLER, LEVENSHTEIN
from crm_hygiene.linkage.spark.java import java_home

SOURCES = Path(__file__).parent / "functions"
_PACKAGE = "crmhygiene"


def _mebibytes(memory: str) -> int:
    return int(memory[:-1]) * {"m": 1, "g": 1024}[memory[-1]]


def session_settings(config: SparkConfig) -> dict[str, str]:
    """Spark's settings for a night; what hygiene.yaml says under spark.settings comes last and wins."""
    heap = _mebibytes(config.memory)
    settings = {
        "spark.app.name": "crm-hygiene",
        "spark.master": config.master,
        "spark.driver.memory": config.memory,
        "spark.executor.memory": config.memory,
        "spark.ui.enabled": "false",
        "spark.ui.showConsoleProgress": "false",
        "spark.log.level": "ERROR",
        # Moved below the comparisons, the threshold on the weight becomes every condition of every level once
        # more: planning takes minutes and the code that Spark generates outgrows Java's limit for a method.
        "spark.sql.optimizer.excludedRules": ",".join(
            f"org.apache.spark.sql.catalyst.optimizer.{rule}"
            for rule in ("PushPredicateThroughNonJoin", "PushDownPredicates", "CollapseProject")
        ),
        "spark.sql.constraintPropagation.enabled": "false",
        # Records are joined to pairs twice, and pairs outnumber them. Rows of pairs with all columns of two
        # records, shuffled, sorted and spilled, took most of the time: records go to every worker while
        # their file is a small part of the heap (they grow some sevenfold), beyond that into hash tables.
        "spark.sql.autoBroadcastJoinThreshold": f"{max(4, heap // 64)}m",
        "spark.sql.join.preferSortMergeJoin": "false",
        "spark.sql.adaptive.maxShuffledHashJoinLocalMapThreshold": f"{max(4, heap // 32)}m",
        # A block of records becomes many pairs: what is small before the join keeps all cores busy after it.
        "spark.sql.adaptive.advisoryPartitionSizeInBytes": "2m",
        "spark.sql.adaptive.coalescePartitions.minPartitionSize": "1m",
        # With the conditions of a whole recipe the one method of a stage is too long for Java to compile, and
        # is interpreted; operator by operator it is cut into short ones.
        "spark.sql.codegen.wholeStage": "false",
    }
    if config.is_local:
        settings |= {
            "spark.driver.host": "127.0.0.1",
            "spark.driver.bindAddress": "127.0.0.1",
            "spark.sql.shuffle.partitions": "8",
        }
    return settings | config.settings


def _is_fused() -> bool:
    """Whether this DuckDB's Jaro and Winkler multiplies and adds with one rounding, as its build decides."""
    row = duckdb.connect().execute("SELECT jaro_winkler_similarity('aaaab', 'abab')").fetchall()[0]
    return bool(row[0] == 0.805)


def _compiled(jvm: Any, jar: Path) -> None:
    """Compile functions/*.java into `jar`, the same bytes each time."""
    with zipfile.ZipFile(jar, "w") as archive:
        for source in sorted(SOURCES.glob("*.java")):
            compiler = jvm.org.codehaus.janino.SimpleCompiler()
            compiler.cook(source.read_text(encoding="utf-8"))
            classes = compiler.getBytecodes()
            for name in sorted(classes.keySet()):
                archive.writestr(zipfile.ZipInfo(f"{name.replace('.', '/')}.class"), bytes(classes.get(name)))


def _register(spark: Any, name: str, class_name: str, returns: str, *arguments: bool) -> None:
    """Register functions/<class_name>.java as `name`.

    Its class has no generic signature, which `registerJavaFunction` asks for; an object of it does.
    """
    jvm, gateway = spark.sparkContext._jvm, spark.sparkContext._gateway
    loader = jvm.java.lang.Thread.currentThread().getContextClassLoader()
    constructor = loader.loadClass(f"{_PACKAGE}.{class_name}").getConstructors()[0]
    values = gateway.new_array(jvm.java.lang.Object, len(arguments))
    for place, argument in enumerate(arguments):
        values[place] = argument
    function = constructor.newInstance(values)
    kind = getattr(jvm.org.apache.spark.sql.types.DataTypes, returns)
    spark._jsparkSession.udf().register(name, function, kind)


@contextmanager
def _java_home() -> Iterator[None]:
    """JAVA_HOME as Spark's start script wants it; what it was before is put back."""
    before = os.environ.get("JAVA_HOME")
    os.environ["JAVA_HOME"] = str(java_home())
    try:
        yield
    finally:
        if before is None:
            del os.environ["JAVA_HOME"]
        else:
            os.environ["JAVA_HOME"] = before


def _ended(context: Any) -> None:
    """End the Java process: it holds its memory, and its settings hold for every later session in it."""
    gateway = context._gateway
    gateway.shutdown()
    gateway.proc.stdin.close()
    gateway.proc.wait()
    context._gateway = context._jvm = None


@contextmanager
def session(config: SparkConfig) -> Iterator[Any]:
    """A session with DuckDB's distances registered; it ends with its Java process.

    Raises
    ------
    ConfigurationError
        if pyspark or a Java for it is missing, or the master does not answer.
    """
    try:
        from py4j.protocol import Py4JError  # type: ignore[import-untyped]
        from pyspark import SparkConf, SparkContext
        from pyspark.errors import PySparkException
        from pyspark.sql import SparkSession
    except ImportError as error:
        raise ConfigurationError(
            f"engine: spark needs pyspark, which is not installed ({error}): pip install 'crm-hygiene[spark]'"
        ) from None
    logging.getLogger("py4j").setLevel(logging.ERROR)
    if SparkContext._gateway is not None:
        raise ConfigurationError("engine: spark: this process has a Spark session already")
    conf = SparkConf(loadDefaults=False).setAll(list(session_settings(config).items()))
    with tempfile.TemporaryDirectory(prefix="crm-hygiene-spark-") as folder:
        with _java_home():
            try:
                SparkContext._ensure_initialized(conf=conf)
            except PySparkException as error:
                raise ConfigurationError(
                    f"engine: spark: its Java process does not start: {error}"
                ) from error
        try:
            try:
                spark = SparkSession.builder.config(conf=conf).getOrCreate()
            except (PySparkException, Py4JError) as error:
                raise ConfigurationError(f"spark.master {config.master}: no session: {error}") from error
            jar = Path(folder) / "crm-hygiene-functions.jar"
            _compiled(spark.sparkContext._jvm, jar)
            spark.sql(f"ADD JAR '{jar.as_posix()}'")
            _register(spark, JARO_WINKLER, "JaroWinkler", "DoubleType", _is_fused())
            _register(spark, LEVENSHTEIN, "Levenshtein", "LongType")
            _register(spark, DAMERAU_LEVENSHTEIN, "DamerauLevenshtein", "LongType")
            yield spark
        finally:
            if SparkContext._active_spark_context is not None:
                SparkContext._active_spark_context.stop()
            _ended(SparkContext)
