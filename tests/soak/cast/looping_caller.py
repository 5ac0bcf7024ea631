"""As blocking_caller.py, on an event loop."""

from __future__ import annotations

import asyncio
import time
from typing import TYPE_CHECKING

from .blocking_caller import PAUSE, REPORT, expect
from .words import say

if TYPE_CHECKING:
    import callsheet
    from callsheet import aio


class Caller:
    def __init__(self, picker: aio.Picker) -> None:
        self.picker = picker
        self.calls = 0
        self.ended = asyncio.Event()
        self.task = asyncio.create_task(self.work())

    async def end(self) -> None:
        self.ended.set()
        await self.task

    async def work(self) -> None:
        while not self.ended.is_set():
            await self.call()
            if self.calls % REPORT == 0:
                say(calls=self.calls)
            await asyncio.sleep(PAUSE)
        say(calls=self.calls)

    async def call(self) -> None:
        tried: list[str] = []

        async def ask(pick: callsheet.Pick) -> None:
            tried.append(pick.id)
            began = time.time()
            try:
                reader, writer = await asyncio.open_connection(pick.address, pick.port)
                try:
                    answer = await reader.read()
                finally:
                    writer.close()
                expect(pick.id, answer.decode())
            except OSError as error:
                say(attempt=pick.id, began=began, ended=time.time(), why=repr(error))
                raise

        began = time.time()
        self.calls += 1
        try:
            await self.picker.call(ask, attempts=2)
        except Exception as error:
            say(call=tried, began=began, ended=time.time(), why=repr(error))
