"""`python reader.py URL SERVICE COUNT`: says when it watches, then what it has once it has seen so many instances."""

from __future__ import annotations

import json
import sys

import callsheet


def main(url: str, service: str, count: int) -> None:
    with callsheet.connect(url) as client:
        for snapshot in client.watch(service):
            if not snapshot:
                print("watching", flush=True)
            if len(snapshot) == count:
                break
        stats = client.stats()
        told = {
            "ids": [instance.id for instance in snapshot],
            "whole": all(
                instance.metadata["blob"].startswith(f"{int(instance.id):04}")
                and len(instance.metadata["blob"]) == 100_000
                for instance in snapshot
            ),
            "loads": stats["loads"],
            "reloads": stats["reloads"],
            "freshness": snapshot.freshness,
        }
    print(json.dumps(told), flush=True)


if __name__ == "__main__":
    main(sys.argv[1], sys.argv[2], int(sys.argv[3]))
