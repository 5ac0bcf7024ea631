"""A consumer on asyncio: it finds `billing`, calls it, and follows it until it is gone."""

import asyncio

import callsheet
import callsheet.aio


async def get(pick: callsheet.Pick) -> str:
    """What the picked instance answers."""
    reader, writer = await asyncio.open_connection(pick.address, pick.port)
    writer.write(f"GET /invoices HTTP/1.1\r\nHost: {pick.address}\r\n\r\n".encode())
    answer = await reader.read()
    writer.close()
    return answer.decode().rpartition("\r\n\r\n")[2].strip()


async def main() -> None:
    """Find, call, follow."""
    async with callsheet.aio.connect() as client:  # $CALLSHEET_URL, else local:
        await client.wait_for("billing", count=1, timeout=10)
        for instance in await client.lookup("billing", tags=["v2"]):
            print(instance.id, instance.address, instance.port, dict(instance.metadata))

        picker = await client.picker("billing", policy="p2c")
        async with picker.pick(timeout=5) as pick:  # leaving the block reports success, time and exceptions
            print(await get(pick))
        print(await picker.call(get, attempts=2))  # another instance if one can't be reached

        async for snapshot in client.watch("billing"):
            print(snapshot.revision, [i.id for i in snapshot], flush=True)
            if not snapshot:
                break


asyncio.run(main())
