"""A process beside this one that calls functions for it, one after another.

What holds the lock of Python (imports, Great Expectations, callables) gains nothing from a thread.
The process is a fresh interpreter, so it works wherever threads run already, and it ends with the one that
began it, however that ends. What does not belong here: what is called.
"""

from __future__ import annotations

import os
import pickle
import signal
import socket
import subprocess
import sys
from collections.abc import Callable
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import suppress
from multiprocessing.connection import Connection
from typing import Any, TypeVar

from crm_hygiene.garbage import few_collections

T = TypeVar("T")

# Seconds a process has to end once nobody asks anything of it.
_PATIENCE = 2.0

# It yields to the process that waits for it only when both cores are busy.
_NICENESS = 5


class NotDoneBesideError(Exception):
    """The process has ended, or what was called raised an error; the caller may do the work itself."""


class Beside:
    """A process that calls functions in the order in which they are asked for.

    Functions are found by their module and name; arguments and results are pickled (a Polars frame as Arrow
    IPC), so they are for tables of thousands of rows, not of millions.

    Raises
    ------
    OSError
        if the system gives no process.
    """

    def __init__(self) -> None:
        ours, theirs = socket.socketpair()
        with theirs:
            self._process = subprocess.Popen(
                [sys.executable, "-m", __name__, str(theirs.fileno())],
                pass_fds=[theirs.fileno()],
                stdin=subprocess.DEVNULL,
                stdout=subprocess.DEVNULL,
                env={**os.environ, "PYTHONPATH": os.pathsep.join(filter(None, sys.path))},
            )
        self._connection = Connection(ours.detach())
        self._asking = ThreadPoolExecutor(1, thread_name_prefix="beside")

    def call(self, function: Callable[..., T], *arguments: Any) -> Future[T]:
        """What `function(*arguments)` returns there; it can be cancelled while others are before it.

        The future raises NotDoneBesideError where nothing was returned.
        """
        return self._asking.submit(self._ask, function, arguments)

    def call_then(
        self, after: Callable[[T], Any], function: Callable[..., T], *arguments: Any
    ) -> Future[Any]:
        """As `call`, and what `after` makes of it in a thread of this process."""
        return self._asking.submit(lambda: after(self._ask(function, arguments)))

    def _ask(self, function: Callable[..., Any], arguments: tuple[Any, ...]) -> Any:
        try:
            asked = pickle.dumps((function, arguments), pickle.HIGHEST_PROTOCOL)
        except (pickle.PicklingError, AttributeError, TypeError) as error:
            raise NotDoneBesideError(f"{function} cannot be handed over: {error}") from error
        try:
            self._connection.send_bytes(asked)
            is_done, found = pickle.loads(self._connection.recv_bytes())
        except (OSError, EOFError) as error:
            raise NotDoneBesideError("the process has ended") from error
        if not is_done:
            raise NotDoneBesideError(found)
        return found

    def close(self) -> None:
        """End the process; what it has not begun is not done."""
        self._asking.shutdown(wait=False, cancel_futures=True)
        # Not only closed: a thread may still read from it.
        with socket.socket(fileno=os.dup(self._connection.fileno())) as both_ways, suppress(OSError):
            both_ways.shutdown(socket.SHUT_RDWR)
        self._process.terminate()
        try:
            self._process.wait(_PATIENCE)
        except subprocess.TimeoutExpired:
            self._process.kill()
            self._process.wait()
        self._asking.shutdown()
        self._connection.close()


def _answer(asked: bytes) -> bytes:
    try:
        function, arguments = pickle.loads(asked)
        return pickle.dumps((True, function(*arguments)), pickle.HIGHEST_PROTOCOL)
    except Exception as error:  # whatever it is, the caller is told
        return pickle.dumps((False, f"{type(error).__name__}: {error}"))


def main() -> None:
    """Answer what comes through the socket whose number is given, until its other end is closed."""
    # Ctrl-C reaches every process of the terminal; the one that began this one decides.
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    os.nice(_NICENESS)
    connection = Connection(int(sys.argv[1]))
    with few_collections():
        while True:
            try:
                connection.send_bytes(_answer(connection.recv_bytes()))
            except (OSError, EOFError):
                return


if __name__ == "__main__":
    main()
