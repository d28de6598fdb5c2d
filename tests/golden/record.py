"""Records a golden journal: python -m tests.golden.record FILE HOME (a machine's home, halted).

A golden journal is made once for a released version and never changed: every later version must
fold and replay it.
"""

import json
import sys
from pathlib import Path

import apsw


def record(home: Path) -> list[dict]:
    """All rows of a store, readable: bodies and labels are JSON, hashes hex."""
    db = apsw.Connection(str(home / "journal.db"))
    rows = db.execute("SELECT pid,seq,time,kind,body,label,prev,hash FROM event ORDER BY pid,seq")
    names = ("pid", "seq", "time", "kind", "body", "label", "prev", "hash")
    found = [dict(zip(names, row, strict=True)) for row in rows]
    for row in found:
        row |= {"body": row["body"].decode(), "label": row["label"].decode()}
        row |= {"prev": row["prev"].hex(), "hash": row["hash"].hex()}
    return found


if __name__ == "__main__":
    lines = [json.dumps(row, ensure_ascii=False) for row in record(Path(sys.argv[2]))]
    Path(sys.argv[1]).write_text("\n".join(lines) + "\n")
