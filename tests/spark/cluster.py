"""A standalone cluster on loopback: a master and two workers from pyspark's own classes."""

from __future__ import annotations

import os
import signal
import socket
import subprocess
import time
from collections.abc import Iterator
from contextlib import ExitStack, closing, contextmanager
from pathlib import Path

from crm_hygiene.linkage.spark.java import java_home

WAIT_SECONDS = 90


def _free_port() -> int:
    with closing(socket.socket()) as listening:
        listening.bind(("127.0.0.1", 0))
        return int(listening.getsockname()[1])


@contextmanager
def _started(folder: Path, name: str, words: list[str]) -> Iterator[Path]:
    """A daemon in a process group of its own, with which its executors end too; its log."""
    import pyspark

    home = Path(pyspark.__file__).parent
    log = folder / f"{name}.log"
    environment = {
        **os.environ,
        "JAVA_HOME": str(java_home()),
        "SPARK_HOME": str(home),
        "SPARK_LOCAL_IP": "127.0.0.1",
        "SPARK_DAEMON_MEMORY": "256m",
        "SPARK_DAEMON_JAVA_OPTS": "-XX:TieredStopAtLevel=1 -XX:+UseSerialGC -Dspark.ui.enabled=false",
    }
    with log.open("w") as out:
        process = subprocess.Popen(
            [str(home / "bin" / "spark-class"), *words],
            cwd=folder,
            env=environment,
            stdout=out,
            stderr=out,
            start_new_session=True,
        )
    try:
        yield log
    finally:
        os.killpg(process.pid, signal.SIGTERM)
        try:
            process.wait(20)
        except subprocess.TimeoutExpired:
            os.killpg(process.pid, signal.SIGKILL)
            process.wait()


def _wait_for(log: Path, words: str, times: int = 1) -> None:
    until = time.monotonic() + WAIT_SECONDS
    while time.monotonic() < until:
        if log.read_text().count(words) >= times:
            return
        time.sleep(0.005)
    raise AssertionError(f"{log.name} does not say {words!r}: {log.read_text()[-2000:]}")


@contextmanager
def standalone_cluster(folder: Path) -> Iterator[tuple[str, Path]]:
    """Address of a master with two workers of one core each, and the master's log; ended in any case."""
    port = _free_port()
    address = f"spark://127.0.0.1:{port}"
    loopback = ["--host", "127.0.0.1", "--webui-port", "0"]
    package = "org.apache.spark.deploy"
    with ExitStack() as running:
        master = [f"{package}.master.Master", *loopback, "--port", str(port)]
        log = running.enter_context(_started(folder, "master", master))
        _wait_for(log, "I have been elected leader")
        for name in ("worker_1", "worker_2"):
            worker = [f"{package}.worker.Worker", *loopback, "--cores", "1", "--memory", "600m"]
            running.enter_context(
                _started(folder, name, [*worker, "--work-dir", str(folder / name), address])
            )
        _wait_for(log, "Registering worker", times=2)
        yield address, log
