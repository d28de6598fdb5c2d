"""python -m bench.tasks: small real jobs by the model in the box, through the whole machine.

Each job gets a fresh folder with its files; a process of the real daemon works on it; a checker
looks at the files and numbers that it left. `--held-out` runs jobs that no prompt was tuned on.
"""

import argparse
import os
import shutil
import statistics
import subprocess
import sys
import tempfile
import time
from pathlib import Path

from bench.tasks.held_out import HELD_OUT
from bench.tasks.jobs import JOBS
from bench.tasks.task import Task

from oros.sdk.address import home_of
from oros.sdk.client import Client

SECONDS = 180


def daemon(home: Path) -> subprocess.Popen:
    """A machine of its own, with the weights of this user's."""
    (home / "models").mkdir(parents=True)
    for file in (home_of() / "models").glob("*.gguf"):
        try:
            os.link(file, home / "models" / file.name)
        except OSError:
            shutil.copy(file, home / "models" / file.name)
    command = [sys.executable, "-m", "oros.boot", "--home", str(home)]
    process = subprocess.Popen(command, stderr=subprocess.PIPE, text=True)
    line = process.stderr.readline()
    if "ready" not in line:
        raise SystemExit(line)
    return process


def one(client: Client, task: Task, folder: Path, model: str) -> dict:
    """Do one job; what came of it."""
    before, after = folder / "before", folder / "after"
    task.lay(before)
    task.lay(after)
    begun = time.monotonic()
    pid = client.call("spawn", goal=task.goal, folder=str(after), model=model)["value"]["pid"]
    answer, why = "", ""
    try:
        ended = client.call("wait", pid=pid, timeout=SECONDS)["value"]
        answer, why = ended["answer"] or "", ended.get("why", "")
    except Exception as e:  # noqa: BLE001 - a job that hangs is a job not done
        why = str(e)
        client.call("kill", pid=pid, signal="KILL")
    seconds = time.monotonic() - begun
    ok, judged = task.judge(after, answer, before)
    facts = client.history(pid)
    replies = [f["event"] for f in facts if f["kind"] == "model_replied"]
    return {
        "id": task.id,
        "ok": ok,
        "why": "" if ok else f"{judged} {why}".strip(),
        "seconds": seconds,
        "calls": len(replies),
        "in": sum(r["usage"]["tokens_in"] - r["usage"]["cached"] for r in replies),
        "out": sum(r["usage"]["tokens_out"] for r in replies),
        "answer": answer,
        "said": [r["message"]["parts"][0]["text"] for r in replies if r["message"]["parts"]],
    }


def main() -> None:
    """Run and print."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--held-out", action="store_true")
    parser.add_argument("--model", default="local")
    parser.add_argument("--only", nargs="*", default=[])
    parser.add_argument("--show", action="store_true", help="print what the model said")
    options = parser.parse_args()
    tasks = [
        t
        for t in (HELD_OUT if options.held_out else JOBS)
        if not options.only or t.id in options.only
    ]
    with tempfile.TemporaryDirectory(prefix="oros-tasks-") as found:
        root = Path(found)
        process = daemon(root / "home")
        client = Client(root / "home")
        try:
            for _ in client.progress("models.test", name=options.model):
                pass
            rows = [one(client, t, root / t.id, options.model) for t in tasks if show_start(t)]
        finally:
            client.halt()
            process.wait()
    print(
        "\n| job | done | s | calls | tokens in / out | what was wrong |\n|---|---|---|---|---|---|"
    )
    for row in rows:
        mark = "yes" if row["ok"] else "no"
        tokens = f"{row['in']} / {row['out']}"
        why = " ".join(row["why"].split())[:90]
        figures = f"{row['seconds']:.1f} | {row['calls']} | {tokens}"
        print(f"| {row['id']} | {mark} | {figures} | {why} |")
        if options.show and not row["ok"]:
            for text in row["said"]:
                print(text)
            print("ANSWER:", row["answer"])
    done = sum(r["ok"] for r in rows)
    mean = statistics.mean(r["seconds"] for r in rows)
    median = statistics.median(r["seconds"] for r in rows)
    share = f"{done} of {len(rows)} done ({done / len(rows):.0%})"
    print(f"\n{share}, {mean:.1f} s a job (median {median:.1f})")


def show_start(task: Task) -> bool:
    """Say which job runs."""
    print(f"{task.id} ...", file=sys.stderr, flush=True)
    return True


if __name__ == "__main__":
    main()
