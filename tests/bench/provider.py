"""The other process: registers instances at a URL, and changes one for each line, saying when it began to."""

from __future__ import annotations

import sys
import time

import callsheet


def main(url: str, count: int) -> None:
    with callsheet.connect(url, ttl=3600) as client:
        registrations = [
            client.register("billing", port=80, id=f"i{number:05}", metadata={"n": f"first-{number}"})
            for number in range(count)
        ]
        print("ready", flush=True)
        for number, _ in enumerate(sys.stdin):
            # Languages can read one or the other.
            began = (time.monotonic_ns(), time.time_ns())
            registrations[count // 2].update(metadata={"n": str(number)})
            print(*began, flush=True)


if __name__ == "__main__":
    main(sys.argv[1], int(sys.argv[2]))
