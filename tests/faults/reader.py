"""`python reader.py URL SERVICE COUNT SIZE`: says when it watches, then what it has seen once there are so many
instances whose metadata has a text of about so many bytes.
"""

from __future__ import annotations

import json
import sys

import callsheet


def main(url: str, service: str, count: int, size: int) -> None:
    counts = []
    with callsheet.connect(url) as client:
        for snapshot in client.watch(service):
            if not snapshot:
                print("watching", flush=True)
            counts.append(len(snapshot))
            if len(snapshot) >= count:
                break
        stats = client.stats()
        whole = all(i.metadata["blob"] == i.id * (size // len(i.id)) for i in snapshot)
    told = {"whole": whole, "freshness": snapshot.freshness, "counts": counts}
    print(json.dumps({**told, "loads": stats["loads"], "reloads": stats["reloads"]}), flush=True)


if __name__ == "__main__":
    main(sys.argv[1], sys.argv[2], int(sys.argv[3]), int(sys.argv[4]))
