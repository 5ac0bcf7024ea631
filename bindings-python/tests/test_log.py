from __future__ import annotations

import logging

import pytest

import callsheet
from callsheet.memory import Memory
from conftest import eventually, run_script


def test_what_the_core_says_reaches_logging(memory: Memory, caplog: pytest.LogCaptureFixture) -> None:
    memory.refuse()
    with caplog.at_level(logging.WARNING, "callsheet"), callsheet.connect(memory.url) as client:
        client.register("billing", 80)
        (record,) = eventually(lambda: [r for r in caplog.records if "refuse" in r.getMessage()])
        memory.refuse(False)
    assert record.name == "callsheet"
    assert record.levelno == logging.WARNING


def test_the_level_is_the_loggers(memory: Memory, caplog: pytest.LogCaptureFixture) -> None:
    with caplog.at_level(logging.DEBUG, "callsheet"), callsheet.connect(memory.url) as client:
        client.register("billing", 80)
        client.lookup("billing")
        client.close()
        assert any(record.levelno == logging.DEBUG for record in caplog.records)
        # The next client takes the level that holds now.
    with caplog.at_level(logging.ERROR, "callsheet"):
        caplog.clear()
        memory.refuse()
        with callsheet.connect(memory.url) as client:
            client.register("billing", 80)
            memory.refuse(False)
        assert not caplog.records


def test_a_program_without_logging_hears_nothing() -> None:
    done = run_script("""
import callsheet
memory = callsheet.memory.Memory("log")
memory.refuse()
with callsheet.connect("memory:log") as client:
    client.register("billing", 80)
    memory.refuse(False)
""")
    assert (done.returncode, done.stderr) == (0, "")


def test_a_handler_that_raises_does_not_end_the_log() -> None:
    done = run_script("""
import logging, threading
import callsheet
heard = threading.Semaphore(0)
class Bad(logging.Handler):
    def emit(self, record):
        heard.release()
        raise ValueError("on purpose")
logging.getLogger("callsheet").addHandler(Bad())
for number in range(2):
    memory = callsheet.memory.Memory(f"log{number}")
    memory.refuse()
    with callsheet.connect(memory.url) as client:
        client.register("billing", 80)
        assert heard.acquire(timeout=10)
        memory.refuse(False)
""")
    assert done.returncode == 0, done.stderr


def test_the_last_words_are_logged() -> None:
    done = run_script("""
import logging, sys
import callsheet
logging.basicConfig(stream=sys.stdout, format="%(levelname)s %(name)s %(message)s")
memory = callsheet.memory.Memory("log")
memory.refuse()
client = callsheet.connect("memory:log")
client.register("billing", 80)
""")
    assert done.returncode == 0, done.stderr
    assert done.stdout.startswith("WARNING callsheet ")
