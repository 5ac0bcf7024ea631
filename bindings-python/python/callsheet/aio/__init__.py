"""callsheet for asyncio: the nouns and verbs of `callsheet`, awaited where they wait.

::

    async with callsheet.aio.connect("consul://127.0.0.1:8500") as client:
        async with client.register("billing", port=8080):
            async for snapshot in client.watch("billing"):
                print(snapshot.revision, [instance.id for instance in snapshot])

Instances, snapshots, picks, checks and errors are those of `callsheet`. Everything happens on the event loop that a
client is first used on; the core's threads never wait for it. Cancelling a call gives up on its work in the core too.
"""

from callsheet._types import Filters, RegisterOptions
from callsheet.aio._callbacks import Subscription
from callsheet.aio._client import Client, connect
from callsheet.aio._opening import Opening
from callsheet.aio._picker import Picker
from callsheet.aio._registration import Registration
from callsheet.aio._watch import NamesWatch, Watch

__all__ = [
    "Client",
    "Filters",
    "NamesWatch",
    "Opening",
    "Picker",
    "RegisterOptions",
    "Registration",
    "Subscription",
    "Watch",
    "connect",
]
