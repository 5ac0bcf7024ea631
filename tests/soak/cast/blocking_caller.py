"""Calls on a thread: whom the picker names, twenty times a second. What it says is told in blocking.py."""

from __future__ import annotations

import socket
import threading
import time
from typing import TYPE_CHECKING

from .words import say

if TYPE_CHECKING:
    import callsheet

PAUSE = 0.05
#: Calls between two reports of how many there were.
REPORT = 20


class Caller:
    def __init__(self, client: callsheet.Client, service: str) -> None:
        self.picker = client.picker(service)
        self.calls = 0
        self.ended = threading.Event()
        self.thread = threading.Thread(target=self.work)
        self.thread.start()

    def end(self) -> None:
        self.ended.set()
        self.thread.join()

    def work(self) -> None:
        while not self.ended.wait(PAUSE):
            self.call()
            if self.calls % REPORT == 0:
                say(calls=self.calls)
        say(calls=self.calls)

    def call(self) -> None:
        tried: list[str] = []

        def ask(pick: callsheet.Pick) -> None:
            tried.append(pick.id)
            began = time.time()
            try:
                with socket.create_connection((pick.address, pick.port)) as connection:
                    answer = connection.makefile().read()
                expect(pick.id, answer)
            except OSError as error:
                say(attempt=pick.id, began=began, ended=time.time(), why=repr(error))
                raise

        began = time.time()
        self.calls += 1
        try:
            self.picker.call(ask, attempts=2)
        except Exception as error:
            say(call=tried, began=began, ended=time.time(), why=repr(error))


def expect(id: str, answer: str) -> None:
    """Who answers says who it is."""
    if not answer:
        raise OSError("cut off")
    if answer.strip() != id:
        raise OSError(f"answered by {answer.strip()!r}")
