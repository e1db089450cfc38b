"""A process beside this one that calls functions for it, one after another.

What holds the lock of Python (imports, Great Expectations, callables) gains nothing from a thread, and what
took memory gives it back for sure only with its process. The process is forked from one that does nothing
but import what all of them need (`import_once`) and fork, so it works wherever threads run already. It ends
with the one that began it, however that ends and whatever it is at.

What does not belong here: what is called.
"""

from __future__ import annotations

import multiprocessing
import os
import pickle
import signal
import socket
import sys
import threading
from collections.abc import Callable, Generator, Iterator
from concurrent.futures import Future, InvalidStateError, ThreadPoolExecutor
from contextlib import suppress
from multiprocessing import forkserver, resource_tracker
from multiprocessing.connection import Connection
from pathlib import Path
from queue import SimpleQueue
from typing import Any, TypeVar

from crm_hygiene.garbage import few_collections

T = TypeVar("T")

# Seconds a process has to end once nobody asks anything of it.
_PATIENCE = 2.0

# Seconds at most between two looks at what else there is to see to, while a function tells nothing.
MEANWHILE_SECONDS = 1.0

_TOLD, _RETURNED, _RAISED = "told", "returned", "raised"

# Elsewhere system libraries do not outlive a fork.
_PROCESSES = (
    multiprocessing.get_context("forkserver")
    if sys.platform == "linux"
    else multiprocessing.get_context("spawn")
)


class NotDoneBesideError(Exception):
    """The process has ended, or what was called raised an error; the caller may do the work itself."""


def _nothing() -> None:
    pass


def import_once(*modules: str) -> None:
    """Have modules imported once for all processes; to be asked before the first one begins.

    They must not begin threads that a fork would have to take along.
    """
    _PROCESSES.set_forkserver_preload(list(modules))


def import_now(*modules: str) -> None:
    """As `import_once`, and they are imported from now on, beside what this process does."""
    import_once(*modules)
    if _PROCESSES.get_start_method() != "forkserver":
        return
    resource_tracker.ensure_running()  # begun by the fork server, it would let Ctrl-C through again
    # Ctrl-C reaches every process of the terminal; the one that imports would tell of it with a traceback.
    before = signal.pthread_sigmask(signal.SIG_BLOCK, {signal.SIGINT})
    try:
        with suppress(OSError):  # no memory for another process: what needs one will tell
            forkserver.ensure_running()
    finally:
        signal.pthread_sigmask(signal.SIG_SETMASK, before)


class Beside:
    """A process that calls functions in the order in which they are asked for.

    Functions are found by their module and name; arguments and results are pickled (a Polars frame as Arrow
    IPC), so they are for tables of thousands of rows, not of millions.

    Parameters
    ----------
    niceness
        how far it yields to other processes where cores are busy, 0 to 19
    environment
        variables beside those of this process

    Raises
    ------
    OSError
        if the system gives no connection to a process.
    """

    def __init__(self, niceness: int = 0, **environment: str) -> None:
        self._connection, theirs = _PROCESSES.Pipe()
        # It ends with this one in any case; a process that is no daemon would be waited for.
        self._process = _PROCESSES.Process(
            target=_serve, args=(theirs, niceness, {**os.environ, **environment}), daemon=True
        )
        self._begun: Future[None] = Future()
        self._asking = ThreadPoolExecutor(1, thread_name_prefix="beside")
        self._closing = threading.Lock()
        self._looking = threading.Lock()
        # The first one begins when all is imported that is imported once.
        threading.Thread(target=self._begin, args=(theirs,), name="begin beside", daemon=True).start()

    def _begin(self, theirs: Connection) -> None:
        error = None
        try:
            with theirs:
                self._process.start()
        except (OSError, EOFError) as problem:
            error = NotDoneBesideError(f"the system gives no process: {problem}")
        with suppress(InvalidStateError):  # closed meanwhile
            if error is None:
                self._begun.set_result(None)
            else:
                self._begun.set_exception(error)

    def is_there(self) -> bool:
        """Whether the system gave a process; known once it has begun, for which this waits."""
        return self._begun.exception() is None

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

    def told_by(
        self, function: Callable[..., Any], *arguments: Any, meanwhile: Callable[[], None] = _nothing
    ) -> Iterator[Any]:
        """What `function(*arguments)` tells through `tell_master` until it returns, in this thread.

        It waits for what was asked before; nothing else may be asked meanwhile. `meanwhile` is called every
        now and then; an error of it leaves the function running.

        Raises
        ------
        NotDoneBesideError
            if the process has ended or the function raised an error.
        """
        self._asking.submit(_nothing).result()
        yield from self._conversation(function, arguments, meanwhile)

    def _ask(self, function: Callable[..., Any], arguments: tuple[Any, ...]) -> Any:
        conversation = self._conversation(function, arguments, _nothing)
        while True:
            try:
                next(conversation)
            except StopIteration as end:
                return end.value

    def _conversation(
        self, function: Callable[..., Any], arguments: tuple[Any, ...], meanwhile: Callable[[], None]
    ) -> Generator[Any, None, Any]:
        self._begun.result()
        try:
            asked = pickle.dumps((function, arguments), pickle.HIGHEST_PROTOCOL)
        except (pickle.PicklingError, AttributeError, TypeError) as error:
            raise NotDoneBesideError(f"{function} cannot be handed over: {error}") from error
        try:
            self._connection.send_bytes(asked)
        except OSError as error:
            raise NotDoneBesideError(self._end()) from error
        while True:
            try:
                while not self._connection.poll(MEANWHILE_SECONDS):
                    meanwhile()
                kind, content = pickle.loads(self._connection.recv_bytes())
            except (OSError, EOFError) as error:
                raise NotDoneBesideError(self._end()) from error
            if kind == _RETURNED:
                return content
            if kind == _RAISED:
                raise NotDoneBesideError(content)
            yield content

    def _end(self) -> str:
        """That the process has ended, and how."""
        code = self._exit_code(_PATIENCE)
        how = "" if code is None else f" with {code}" if code >= 0 else f", killed by {_signal_name(-code)}"
        return f"the process has ended{how}"

    def _exit_code(self, patience: float) -> int | None:
        """How the process ended; None where it has not after so many seconds."""
        with self._looking:
            self._process.join(patience)
            code: int | None = self._process.exitcode
            return code

    def resident_bytes(self) -> int | None:
        """Memory that the process holds at the moment; None where the system does not tell."""
        try:
            pages = Path(f"/proc/{self._process.pid}/statm").read_text().split()[1]
        except (OSError, IndexError):
            return None
        return int(pages) * os.sysconf("SC_PAGE_SIZE")

    def close(self) -> None:
        """End the process; what it has not begun is not done, what it is at stays as far as it is.

        From any thread, and more than once.
        """
        with self._closing:
            if not self._connection.closed:
                self._close()

    def _close(self) -> None:
        self._asking.shutdown(wait=False, cancel_futures=True)
        # Not only closed: a thread may still read from it.
        with socket.socket(fileno=os.dup(self._connection.fileno())) as both_ways, suppress(OSError):
            both_ways.shutdown(socket.SHUT_RDWR)
        with suppress(InvalidStateError):
            # If it begins yet, it finds the connection closed and ends.
            self._begun.set_exception(NotDoneBesideError("closed before it began"))
        if self._begun.exception() is None:
            self._process.terminate()
            if self._exit_code(_PATIENCE) is None:
                self._process.kill()
                self._exit_code(_PATIENCE)
        self._asking.shutdown()
        self._connection.close()


def _signal_name(number: int) -> str:
    try:
        return signal.Signals(number).name
    except ValueError:
        return f"signal {number}"


class _Master:
    """The other end, as the process beside it sees it."""

    def __init__(self, connection: Connection) -> None:
        self._connection = connection
        self._one_by_one = threading.Lock()
        self.asked: SimpleQueue[bytes] = SimpleQueue()

    def send(self, kind: str, content: Any) -> None:
        """Send something, whole; from any thread."""
        self.send_pickled(_pickled(kind, content))

    def send_pickled(self, message: bytes) -> None:
        """Send what `_pickled` gave."""
        with self._one_by_one:
            self._connection.send_bytes(message)

    def listen(self) -> None:
        """Take what is asked; the process ends with its master, even in the middle of a call."""
        while True:
            try:
                self.asked.put(self._connection.recv_bytes())
            except (OSError, EOFError):
                os._exit(0)


_master: list[_Master] = []


def tell_master(message: Any) -> None:
    """Hand something on while a function is being called by `Beside.told_by`; elsewhere nobody hears it."""
    for master in _master:
        master.send(_TOLD, message)


def _pickled(kind: str, content: Any) -> bytes:
    return pickle.dumps((kind, content), pickle.HIGHEST_PROTOCOL)


def _answer(asked: bytes) -> bytes:
    try:
        function, arguments = pickle.loads(asked)
        return _pickled(_RETURNED, function(*arguments))
    except Exception as error:  # whatever it is, the caller is told
        return _pickled(_RAISED, f"{type(error).__name__}: {error}")


def _serve(connection: Connection, niceness: int, environment: dict[str, str]) -> None:
    """Answer what comes through the connection until its other end is closed."""
    # Ctrl-C reaches every process of the terminal; the one that began this one decides.
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    # Locks that libraries make for processes of theirs (tqdm) are its own; nobody need tidy up after it.
    multiprocessing.set_start_method("fork", force=True)
    os.environ.clear()
    os.environ.update(environment)
    os.nice(niceness)
    with open(os.devnull, "r+b") as nothing:  # noqa: PTH123
        for standard in (0, 1):
            os.dup2(nothing.fileno(), standard)
    master = _Master(connection)
    _master.append(master)
    threading.Thread(target=master.listen, name="master", daemon=True).start()
    with few_collections():
        while True:
            try:
                master.send_pickled(_answer(master.asked.get()))
            except OSError:
                return
