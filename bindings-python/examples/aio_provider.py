"""A provider on asyncio: it serves HTTP, and is found as `billing` while it does."""

import asyncio
import signal

import callsheet.aio

ANSWER = b"HTTP/1.1 200 OK\r\nContent-Length: 5\r\nConnection: close\r\n\r\npaid\n"


async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    """Answer one request."""
    await reader.readuntil(b"\r\n\r\n")
    writer.write(ANSWER)
    await writer.drain()
    writer.close()


async def main() -> None:
    """Serve until SIGTERM."""
    stopped = asyncio.Event()
    for number in (signal.SIGTERM, signal.SIGINT):
        asyncio.get_running_loop().add_signal_handler(number, stopped.set)
    server = await asyncio.start_server(serve, "127.0.0.1", 0)
    port = server.sockets[0].getsockname()[1]
    async with (
        server,
        callsheet.aio.connect() as client,  # $CALLSHEET_URL, else local:
        client.register("billing", port=port, tags=["v2"], metadata={"team": "pay"}) as registration,
    ):
        print(f"serving {registration.instance.url}", flush=True)
        await stopped.wait()


asyncio.run(main())
