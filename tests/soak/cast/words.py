"""What a program says: a line of JSON."""

from __future__ import annotations

import json
import threading

lock = threading.Lock()


def say(**words: object) -> None:
    with lock:
        print(json.dumps(words), flush=True)
