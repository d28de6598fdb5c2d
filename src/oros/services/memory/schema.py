"""The file of memory: its tables, its steps from version to version, how it is opened and mended.

The main tables hold everything; the index of words and the index of vectors are made of them. A
damaged index is made anew, in a new file that then takes the place of the old one.
"""

import importlib.util
from contextlib import suppress
from pathlib import Path

import apsw

from oros.abi.errors import AccessDenied, Corrupt, Newer
from oros.drivers.store.sqlite import explained, whole

APPLICATION = 0x6F726D65
"""`orme` in ASCII, so that a file of another program is refused."""

MIGRATIONS = (
    """
    CREATE TABLE setting(name TEXT PRIMARY KEY, value TEXT NOT NULL) WITHOUT ROWID;
    CREATE TABLE scope(id INTEGER PRIMARY KEY, name TEXT NOT NULL UNIQUE, last INTEGER NOT NULL);
    CREATE TABLE source(
        scope INTEGER NOT NULL, name TEXT NOT NULL, mark TEXT NOT NULL,
        PRIMARY KEY(scope, name)) WITHOUT ROWID;
    CREATE TABLE row(
        id INTEGER PRIMARY KEY, scope INTEGER NOT NULL, source TEXT NOT NULL, ord INTEGER NOT NULL,
        live INTEGER NOT NULL, place TEXT NOT NULL, text TEXT NOT NULL, kind TEXT NOT NULL,
        label TEXT NOT NULL, pid INTEGER NOT NULL, seq INTEGER NOT NULL, at REAL NOT NULL,
        expires REAL, supersedes INTEGER);
    CREATE INDEX row_source ON row(scope, source, live, ord);
    CREATE INDEX row_expires ON row(expires) WHERE expires IS NOT NULL;
    CREATE INDEX row_supersedes ON row(supersedes) WHERE supersedes IS NOT NULL;
    CREATE TABLE vector(id INTEGER PRIMARY KEY, data BLOB NOT NULL);
    CREATE TABLE pending(id INTEGER PRIMARY KEY);
    """,
)
"""Step n brings a file from version n to n + 1. A step is never changed, only added."""

VERSION = len(MIGRATIONS)
MAIN = ("setting", "scope", "source", "row", "vector", "pending")
"""What can't be made again. All else is an index."""

WORDS = """
    CREATE VIEW IF NOT EXISTS seen AS
        SELECT id, coalesce((
            SELECT p.text FROM row p WHERE p.scope=row.scope AND p.source=row.source AND p.live=1
            AND p.ord<row.ord ORDER BY p.ord DESC LIMIT 1), '') AS before, text
        FROM row WHERE live=1;
    CREATE VIRTUAL TABLE IF NOT EXISTS words USING fts5(
        before, text, content='seen', content_rowid='id',
        tokenize='porter unicode61 remove_diacritics 2');
    INSERT INTO words(words, rank) VALUES('secure-delete', 1);
"""
"""One index, two views: a row's own words, and those along with the row before. A row that is taken
out must still be seen as it was put in; what was deleted leaves no words behind."""

CHECKED = 32 << 20
"""Files up to this size are read through at the start; a larger one's damage shows when met."""


def connect(
    path: Path, flags: int = apsw.SQLITE_OPEN_READWRITE | apsw.SQLITE_OPEN_CREATE
) -> apsw.Connection:
    """A connection that knows the index of vectors, where its library is. Raises: AccessDenied."""
    try:
        db = apsw.Connection(str(path), flags=flags)
    except apsw.CantOpenError as e:
        raise AccessDenied(f"{path} can't be opened: {e}", "look at its owner and rights") from e
    db.set_busy_timeout(5000)
    library = importlib.util.find_spec("sqlite_vec")
    if library is None or library.origin is None:
        return db
    db.enable_load_extension(True)  # noqa: FBT003 - its own face
    with suppress(apsw.ExtensionLoadingError):  # another machine's build: words alone, then
        # Not by the package's own function: to import it brings numpy, a tenth of a second.
        db.load_extension(str(Path(library.origin).parent / "vec0"))
    db.enable_load_extension(False)  # noqa: FBT003 - its own face
    return db


def knows_vectors(db: apsw.Connection) -> bool:
    """Whether a connection has the index of vectors."""
    return bool(list(db.execute("SELECT 1 FROM pragma_module_list WHERE name='vec0'")))


def open_file(path: Path) -> apsw.Connection:
    """Open or make the file, whole and of this version; a damaged index is made anew.

    Raises: AccessDenied, Corrupt, Newer, NoSpace.
    """
    fresh = not path.exists()
    db = connect(path)
    try:
        with explained(db, path):
            migrate(db, path)
        if not fresh and path.stat().st_size <= CHECKED and not sound(db):
            db.close()
            salvage(path)
            db = connect(path)
        with explained(db, path):
            prepare(db)
    except BaseException:
        db.close()
        raise
    return db


def prepare(db: apsw.Connection) -> None:
    """How a connection that writes works, and the index of words."""
    db.execute("PRAGMA journal_mode=WAL; PRAGMA synchronous=NORMAL; PRAGMA secure_delete=ON")
    if not list(db.execute("SELECT 1 FROM sqlite_master WHERE name='words'")):
        with whole(db):
            db.execute(WORDS)
            db.execute("INSERT INTO words(words) VALUES('rebuild')")


def migrate(db: apsw.Connection, path: Path) -> None:
    """Bring the file to this version, after a copy. Raises: Newer, Corrupt."""
    ((version, owner, tables),) = db.execute(
        "SELECT user_version, application_id, (SELECT count(*) FROM sqlite_master)"
        " FROM pragma_user_version, pragma_application_id"
    )
    if tables and owner != APPLICATION:
        raise Corrupt(f"{path} belongs to another program", "move it aside")
    if version > VERSION:
        raise Newer(f"{path} has format {version}, this oros knows {VERSION}", "use that version")
    if version == VERSION:
        return
    if tables:
        copy = path.with_suffix(f".v{version}.db")
        copy.unlink(missing_ok=True)
        db.execute("VACUUM INTO ?", (str(copy),))
    db.execute("PRAGMA auto_vacuum=NONE")
    with whole(db):
        for step in MIGRATIONS[version:]:
            db.execute(step)
        db.execute(f"PRAGMA application_id={APPLICATION}; PRAGMA user_version={VERSION}")


def sound(db: apsw.Connection) -> bool:
    """Whether the file and its indexes are right."""
    try:
        answers = [answer for (answer,) in db.execute("PRAGMA quick_check(1)")]
        db.execute("INSERT INTO words(words, rank) VALUES('integrity-check', 1)")
    except (apsw.Error, ValueError):
        return False
    return answers == ["ok"]


def salvage(path: Path) -> None:
    """Copy the main tables to a new file that takes the old one's place. Raises: Corrupt, NoSpace.

    Until the last step the old file stands untouched. The LIMIT keeps SQLite from copying its
    indexes along, which may be what is damaged.
    """
    part = path.with_suffix(".part")
    part.unlink(missing_ok=True)
    db = connect(part)
    try:
        with explained(db, path):
            migrate(db, part)
            db.execute("ATTACH ? AS old", (str(path),))
            with whole(db):
                for table in MAIN:  # names of our own
                    db.execute(
                        f"INSERT INTO main.{table} SELECT * FROM old.{table} NOT INDEXED LIMIT -1"  # noqa: S608 - ours
                    )
            db.execute("DETACH old")
            prepare(db)
            db.execute("PRAGMA wal_checkpoint(TRUNCATE); PRAGMA journal_mode=DELETE")
    finally:
        db.close()
    for leftover in ("-wal", "-shm"):
        path.with_name(path.name + leftover).unlink(missing_ok=True)
    part.replace(path)
