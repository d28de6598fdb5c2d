"""The format of the store: one migration a version; a file of any older version is brought up."""

APPLICATION = 0x6F726F73
"""`oros` in ASCII, so that a file of another program is refused."""

MIGRATIONS = (
    """
    CREATE TABLE event(
        pid INTEGER NOT NULL, seq INTEGER NOT NULL, time REAL NOT NULL, kind TEXT NOT NULL,
        body BLOB NOT NULL, label BLOB NOT NULL, prev BLOB NOT NULL, hash BLOB NOT NULL,
        PRIMARY KEY(pid, seq)) WITHOUT ROWID;
    CREATE TABLE process(
        pid INTEGER PRIMARY KEY, seq INTEGER NOT NULL, live INTEGER NOT NULL, state BLOB NOT NULL);
    CREATE TABLE blob(hash TEXT PRIMARY KEY, data BLOB NOT NULL) WITHOUT ROWID;
    """,
    "CREATE TABLE setting(name TEXT PRIMARY KEY, value TEXT NOT NULL) WITHOUT ROWID;",
)
"""Step n brings a file from version n to n + 1. A step is never changed, only added."""

VERSION = len(MIGRATIONS)
