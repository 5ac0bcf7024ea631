"""A consumer: it finds `billing`, calls it, and follows it until it is gone."""

import urllib.request

import callsheet


def get(url: str) -> str:
    """What is at `url`."""
    with urllib.request.urlopen(url, timeout=5) as response:
        return str(response.read().decode().strip())


with callsheet.connect() as client:  # $CALLSHEET_URL, else local:
    client.wait_for("billing", count=1, timeout=10)
    for instance in client.lookup("billing", tags=["v2"]):
        print(instance.id, instance.address, instance.port, dict(instance.metadata))

    picker = client.picker("billing", policy="p2c")
    with picker.pick() as pick:  # leaving the block reports success, time and exceptions
        print(get(f"{pick.url}/invoices"))
    print(picker.call(lambda pick: get(pick.url), attempts=2))  # another instance if one can't be reached

    stop = client.on_change("billing", lambda snapshot: print(len(snapshot), snapshot.freshness))
    for snapshot in client.watch("billing"):
        print(snapshot.revision, [i.id for i in snapshot], flush=True)
        if not snapshot:
            break
    stop()
