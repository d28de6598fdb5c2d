"""A real daemon in a home of its own, as the figures are taken from it."""

import os
import subprocess
import sys
import time
from pathlib import Path

from oros.sdk.client import Client

ROOT = Path(__file__).resolve().parent.parent.parent


class Home:
    """A machine's home folder, and the daemon that runs on it."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.env = dict(os.environ, OROS_HOME=str(folder), NO_COLOR="1", COLUMNS="100")
        for name in ("PYTHONDONTWRITEBYTECODE", "PYTHONUNBUFFERED"):
            self.env.pop(name, None)  # an installed program has its bytecode, and buffers
        self.client = Client(folder)
        self.daemon: subprocess.Popen | None = None

    def configure(self, base_url: str, slots: int) -> None:
        """Make a server the default model."""
        text = f'default_model = "mock"\n[models.mock]\nbase_url = "{base_url}"\n'
        text += f'model = "mock-1"\nslots = {slots}\nprice = [0, 0, 0]\n'
        (self.folder / "config.toml").write_text(text)

    def boot(self) -> float:
        """Start the daemon; seconds from its exec to its word that it is ready."""
        begun = time.perf_counter()
        command = [sys.executable, "-P", "-m", "oros.boot", "--home", str(self.folder)]
        self.daemon = subprocess.Popen(command, env=self.env, stderr=subprocess.PIPE, text=True)
        line = self.daemon.stderr.readline()
        assert "ready" in line, line
        return time.perf_counter() - begun

    def status(self, name: str) -> float:
        """A number of the daemon as Linux has it."""
        lines = Path(f"/proc/{self.daemon.pid}/status").read_text().splitlines()
        return float(next(x for x in lines if x.startswith(f"{name}:")).split()[1])

    def rss(self) -> float:
        """Resident memory of the daemon, in MB."""
        return self.status("VmRSS") / 1024

    def close(self) -> None:
        """Stop the daemon."""
        self.daemon.terminate()
        self.daemon.wait()
        self.daemon.stderr.close()
