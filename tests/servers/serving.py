"""Starts the model server of serve_model.py as a process of its own and stops it again."""

import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

SERVER = Path(__file__).with_name("serve_model.py")


@contextmanager
def serving(folder: Path, name: str) -> Iterator[str]:
    """The base URL of a server process for the model folder."""
    command = [sys.executable, str(SERVER), str(folder), "--name", name]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as process:
        try:
            assert process.stdout is not None
            line = process.stdout.readline()
            assert line.startswith("listening on "), line
            yield f"http://127.0.0.1:{int(line.split()[-1])}/v1"
        finally:
            process.terminate()
