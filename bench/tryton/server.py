"""A Tryton server of our own: a prepared database file, copied per use, served on a free loopback port.

`python -m bench.tryton.server` prepares the database (`make tryton` does); about a minute, once. What does
not belong here: what is in the parties (`dirty`), and anything a real installation should copy: the passwords
here are known to everybody, and the server listens on loopback only.
"""

from __future__ import annotations

import hashlib
import os
import shutil
import socket
import subprocess
import time
from pathlib import Path

from crm_hygiene.writeback.targets.tryton_rpc import TrytonSession

HERE = Path(__file__).parent
HOME = HERE.parents[1] / ".venv-tryton"
DATABASE = "crm"
ADMIN_PASSWORD = "for-tests-only-1"
USER, PASSWORD = "hygiene", "for-tests-only-2"
MODULES = ("party", "sale_opportunity", "account_invoice", "account_statement")

NOT_BUILT = "no .venv-tryton here: `make tryton` builds it"
_PATIENCE_SECONDS = 60.0


def is_built() -> bool:
    """Whether `make tryton` was run."""
    return (HOME / "bin" / "trytond").exists()


def prepared() -> Path:
    """The database file with modules, books and users; made where it is not there yet for this Tryton."""
    made_of = (HERE / "books.py", HERE / "requirements.lock")
    digest = hashlib.sha256(b"\x00".join(path.read_bytes() for path in made_of)).hexdigest()[:16]
    kept = HOME / "prepared" / f"{digest}.sqlite"
    if not kept.exists():
        work = kept.parent / f"work-{os.getpid()}"
        shutil.rmtree(work, ignore_errors=True)
        (work / "db").mkdir(parents=True)
        os.replace(_prepare(work), kept)  # noqa: PTH105 - atomic, whoever else prepares
        shutil.rmtree(work)
    return kept


def _prepare(work: Path) -> Path:
    database = work / "db" / f"{DATABASE}.sqlite"
    database.touch()
    password = work / "password"
    password.write_text(ADMIN_PASSWORD + "\n")
    config = _config(work, 0)
    environment = {**os.environ, "TRYTONPASSFILE": str(password)}
    admin = [str(HOME / "bin" / "trytond-admin"), "-c", str(config), "-d", DATABASE]
    books = [str(HOME / "bin" / "python"), str(HERE / "books.py"), str(config), DATABASE, PASSWORD]
    for command in (
        [*admin, "--all", "--email", "admin@tryton.example"],
        [*admin, "--update", *MODULES, "--activate-dependencies"],
        books,
    ):
        done = subprocess.run(command, env=environment, cwd=work, capture_output=True, text=True, check=False)
        if done.returncode != 0:
            raise RuntimeError(f"{Path(command[0]).name} failed:\n{done.stderr[-2000:]}")
    return database


def _config(work: Path, port: int) -> Path:
    path = work / "trytond.conf"
    lines = [
        "[database]",
        "uri = sqlite://",
        f"path = {work / 'db'}",
        "[web]",
        f"listen = 127.0.0.1:{port}",
        "",
    ]
    path.write_text("\n".join(lines))
    return path


class TrytonServer:
    """One server in `folder` with its own copy of the prepared database; a context manager.

    `database` is another file to copy, e.g. one that was seeded and stopped.
    """

    def __init__(self, folder: Path, database: Path | None = None) -> None:
        self.folder = folder
        (folder / "db").mkdir(parents=True, exist_ok=True)
        self.file = folder / "db" / f"{DATABASE}.sqlite"
        shutil.copyfile(database or prepared(), self.file)
        with socket.socket() as free:
            free.bind(("127.0.0.1", 0))
            self.port = int(free.getsockname()[1])
        self._process: subprocess.Popen[bytes] | None = None

    @property
    def url(self) -> str:
        """Where it answers."""
        return f"http://127.0.0.1:{self.port}"

    def __enter__(self) -> TrytonServer:
        self.start()
        return self

    def __exit__(self, *_: object) -> None:
        self.stop()

    def start(self) -> None:
        """Start it and wait until it answers.

        Raises
        ------
        RuntimeError
            if it ends, or does not answer within a minute; with the end of its log.
        """
        config = _config(self.folder, self.port)
        log = self.folder / "trytond.log"
        with log.open("ab") as output:
            command = [str(HOME / "bin" / "trytond"), "-c", str(config), "-d", DATABASE]
            self._process = subprocess.Popen(command, cwd=self.folder, stdout=output, stderr=output)
        until = time.monotonic() + _PATIENCE_SECONDS
        while time.monotonic() < until and self._process.poll() is None:
            try:
                socket.create_connection(("127.0.0.1", self.port), timeout=1).close()
                return
            except OSError:
                time.sleep(0.05)
        self.stop()
        raise RuntimeError(f"trytond does not answer:\n{log.read_text(errors='replace')[-2000:]}")

    def stop(self) -> None:
        """End it and wait until it is gone; nothing if it does not run."""
        if self._process is not None:
            self._process.terminate()
            try:
                self._process.wait(timeout=20)
            except subprocess.TimeoutExpired:
                self._process.kill()
                self._process.wait()
            self._process = None

    def session(self, user: str = "admin", password: str = ADMIN_PASSWORD) -> TrytonSession:
        """A signed-in session."""
        session = TrytonSession(self.url, DATABASE, user, password)
        session.sign_in()
        return session


if __name__ == "__main__":
    print(prepared().name)
