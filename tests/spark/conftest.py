from __future__ import annotations

import pytest

from crm_hygiene.errors import ConfigurationError
from crm_hygiene.linkage.spark.java import java_home

# A small base is planned longer than it is computed: what helps a large one is switched off.
SMALL = {
    "spark.sql.shuffle.partitions": "2",
    "spark.sql.adaptive.enabled": "false",
    "spark.sql.codegen.wholeStage": "false",
    "spark.driver.extraJavaOptions": "-XX:TieredStopAtLevel=1 -XX:+UseSerialGC",
    "spark.executor.extraJavaOptions": "-XX:TieredStopAtLevel=1 -XX:+UseSerialGC",
}


@pytest.fixture(scope="session")
def spark_is_there() -> None:
    """Skip, and say why, where Spark cannot run."""
    pytest.importorskip("pyspark", reason="pyspark is not installed (extra `spark`)")
    try:
        java_home()
    except ConfigurationError as error:
        pytest.skip(str(error))
