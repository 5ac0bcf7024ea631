from __future__ import annotations

import asyncio
import errno
import socket
import threading
import urllib.error
from typing import Any

import pytest

import callsheet
from callsheet.memory import Memory
from conftest import eventually, instance


@pytest.fixture
def picker(client: callsheet.Client, memory: Memory) -> callsheet.Picker:
    for port in (1, 2, 3):
        memory.put(instance("billing", port))
    return client.picker("billing")


def test_a_pick_shows_its_instance(client: callsheet.Client, picker: callsheet.Picker) -> None:
    pick = picker.pick()
    assert pick.id == f"10.0.0.1:{pick.port}"
    assert pick.address == "10.0.0.1"
    assert pick.url == f"http://10.0.0.1:{pick.port}"
    assert pick.instance is client.lookup("billing").get(pick.id)
    assert repr(pick) == f"<Pick billing {pick.id} under way>"
    pick.done()
    pick.done(ok=False)
    assert repr(pick) == f"<Pick billing {pick.id} done>"
    assert pick.instance.port == pick.port
    assert (len(picker), picker.service, picker.policy) == (3, "billing", "p2c")
    assert repr(picker) == "<Picker billing p2c 3 instances>"
    assert picker


def test_round_robin_takes_turns(client: callsheet.Client, picker: callsheet.Picker) -> None:
    turns = client.picker("billing", "round_robin")
    ports = []
    for _ in range(300):
        with turns.pick() as pick:
            ports.append(pick.port)
    assert [ports.count(port) for port in (1, 2, 3)] == [100, 100, 100]


def test_filters_and_policies(client: callsheet.Client, memory: Memory) -> None:
    memory.put(instance("billing", 1, tags=["v2"]))
    memory.put(instance("billing", 2))
    for policy in ("p2c", "random", "round_robin"):
        picker = client.picker("billing", policy=policy, tags=["v2"])
        assert {picker.pick().port for _ in range(20)} == {1}


def test_nothing_to_pick(client: callsheet.Client, memory: Memory) -> None:
    picker = client.picker("billing")
    with pytest.raises(callsheet.NoInstances) as caught:
        picker.pick()
    assert caught.value.retryable
    with pytest.raises(callsheet.NoInstances):
        picker.pick(timeout=0.01)
    assert len(picker) == 0
    came = threading.Timer(0.05, lambda: memory.put(instance("billing", 1)))
    came.start()
    assert picker.pick(timeout=10).port == 1
    came.join()


def test_a_registry_that_is_down_leaves_a_picker_empty(memory: Memory) -> None:
    memory.unreachable()
    with callsheet.connect(memory.url, timeout=0.2) as client:
        picker = client.picker("billing")
        with pytest.raises(callsheet.NoInstances):
            picker.pick()
        memory.unreachable(False)
        memory.put(instance("billing", 1))
        eventually(lambda: len(picker) == 1)


@pytest.mark.parametrize(
    ("error", "avoided"),
    [
        (ValueError(), True),
        (KeyboardInterrupt(), False),
        (GeneratorExit(), False),
        (asyncio.CancelledError(), False),
    ],
    ids=repr,
)
def test_what_an_exception_says_of_an_instance(
    client: callsheet.Client, memory: Memory, error: BaseException, avoided: bool
) -> None:
    """P2c avoids an instance whose calls fail, however fast; one whose calls were given up is as good as before."""
    pause = threading.Event()
    memory.put(instance("billing", 1))
    memory.put(instance("billing", 2))
    for report in ("with", "done"):
        picker = client.picker("billing")
        for _ in range(200):
            picker.pick().done()
        chosen = []
        for _ in range(400):
            pick = picker.pick()
            chosen.append(pick.port)
            if pick.port == 1 and report == "with":
                with pytest.raises(type(error)), pick:
                    raise error
            elif pick.port == 1:
                pick.done(error=error)
            else:
                pause.wait(0.001)
                pick.done()
        share = chosen[200:].count(1) / 200
        assert share < 0.3 if avoided else share > 0.7, (report, share)


def test_a_call_is_picked_and_reported(picker: callsheet.Picker) -> None:
    assert picker.call(lambda pick: pick.url).startswith("http://10.0.0.1:")
    with pytest.raises(ZeroDivisionError):
        picker.call(lambda pick: 1 / 0, attempts=3)


def wrapped(cause: BaseException, how: str) -> Exception:
    if how == "itself":
        assert isinstance(cause, Exception)
        return cause
    outer: Exception
    try:
        try:
            raise cause
        except BaseException as inner:
            if how == "cause":
                raise RuntimeError("outer") from inner
            if how == "context":
                raise RuntimeError("outer")  # noqa: B904
            if how == "reason":
                raise urllib.error.URLError(inner) from None
            raise RuntimeError("outer", RuntimeError(inner)) from None
    except Exception as error:
        outer = error
    return outer


@pytest.mark.parametrize("how", ["itself", "cause", "context", "reason", "arguments"])
@pytest.mark.parametrize(
    "error",
    [
        ConnectionRefusedError(),
        OSError(errno.EHOSTUNREACH, "x"),
        OSError(errno.ENETUNREACH, "x"),
        OSError(errno.ENETDOWN, "x"),
        OSError(errno.EADDRNOTAVAIL, "x"),
        socket.gaierror(socket.EAI_NONAME, "x"),
    ],
    ids=repr,
)
def test_a_failure_to_connect_tries_another(picker: callsheet.Picker, error: OSError, how: str) -> None:
    tried: list[str] = []

    def f(pick: callsheet.Pick) -> str:
        tried.append(pick.id)
        if len(tried) == 1:
            raise wrapped(error, how)
        return pick.id

    assert picker.call(f, attempts=2) == tried[1]
    assert tried[0] != tried[1]


def test_attempts_are_counted_and_the_last_failure_is_raised(picker: callsheet.Picker) -> None:
    tried: list[str] = []

    def f(pick: callsheet.Pick) -> None:
        tried.append(pick.id)
        raise ConnectionRefusedError(f"number {len(tried)}")

    with pytest.raises(ConnectionRefusedError, match="number 1"):
        picker.call(f)
    with pytest.raises(ConnectionRefusedError, match="number 4"):
        picker.call(f, attempts=3)


@pytest.mark.parametrize(
    "error",
    [ConnectionResetError(), TimeoutError(), BrokenPipeError(), OSError(errno.ETIMEDOUT, "x"), ValueError()],
    ids=repr,
)
def test_a_call_that_may_have_had_an_effect_is_not_repeated(
    picker: callsheet.Picker, error: Exception
) -> None:
    tried: list[str] = []

    def f(pick: callsheet.Pick) -> None:
        tried.append(pick.id)
        raise error

    for retry_on, calls in ((None, 1), (type(error), 3), ((type(error), KeyError), 3), (KeyError, 1)):
        tried.clear()
        with pytest.raises(type(error)):
            picker.call(f, attempts=3, retry_on=retry_on)
        assert len(tried) == calls
    tried.clear()
    with pytest.raises(type(error)):
        picker.call(f, attempts=3, retry_on=lambda caught: caught is error)
    assert len(tried) == 3


def test_what_was_handled_before_the_call_is_not_its_failure(picker: callsheet.Picker) -> None:
    tried: list[str] = []

    def f(pick: callsheet.Pick) -> None:
        tried.append(pick.id)
        raise TimeoutError

    try:
        raise ConnectionRefusedError
    except ConnectionRefusedError:
        with pytest.raises(TimeoutError):
            picker.call(f, attempts=3)
    assert len(tried) == 1


def test_a_picker_is_for_many_threads(picker: callsheet.Picker) -> None:
    picked: list[int] = []

    def work() -> None:
        for _ in range(2000):
            with picker.pick() as pick:
                pass
        picked.append(pick.port)

    threads = [threading.Thread(target=work) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(30)
    assert len(picked) == 4


@pytest.mark.parametrize(
    ("arguments", "kind"),
    [
        ({"attempts": 0}, callsheet.InvalidArgument),
        ({"attempts": -5}, callsheet.InvalidArgument),
        ({"attempts": True}, TypeError),
        ({"attempts": 1.5}, TypeError),
        ({"attempts": "2"}, TypeError),
        ({"attempts": None}, TypeError),
        ({"retry_on": [ValueError]}, TypeError),
        ({"retry_on": int}, TypeError),
        ({"retry_on": (ValueError, 5)}, TypeError),
    ],
)
def test_bad_arguments_of_call_are_refused_before_anything_is_called(
    picker: callsheet.Picker, arguments: dict[str, Any], kind: type[Exception]
) -> None:
    with pytest.raises(kind, match=r"attempts|retry_on"):
        picker.call(lambda pick: pytest.fail("it was called"), **arguments)


@pytest.mark.parametrize("error", [ValueError, "boom", 5])
def test_what_is_no_exception_is_not_reported(picker: callsheet.Picker, error: Any) -> None:
    with picker.pick() as pick, pytest.raises(TypeError, match="must be an exception"):
        pick.done(error=error)


class ConnectTimeout(TimeoutError):
    """As of requests and httpx."""


class GroupOfErrors(Exception):
    """What an `ExceptionGroup` looks like, which Python 3.10 lacks."""

    def __init__(self, *exceptions: Exception) -> None:
        super().__init__("several")
        self.exceptions = exceptions


@pytest.mark.parametrize(
    ("error", "another"),
    [
        (ConnectTimeout(), True),
        (TimeoutError(), False),
        (GroupOfErrors(ConnectionRefusedError(), ConnectTimeout()), True),
        (GroupOfErrors(ConnectionRefusedError(), ConnectionResetError()), False),
    ],
)
def test_failures_to_connect_by_other_names(
    picker: callsheet.Picker, error: Exception, another: bool
) -> None:
    calls: list[str] = []

    def f(pick: callsheet.Pick) -> None:
        calls.append(pick.id)
        raise error

    with pytest.raises(type(error)):
        picker.call(f, attempts=2)
    assert len(set(calls)) == (2 if another else 1)


def test_when_all_have_gone_the_last_failure_is_raised(client: callsheet.Client, memory: Memory) -> None:
    memory.put(instance("gone", 1))
    picker = client.picker("gone")

    def f(pick: callsheet.Pick) -> None:
        memory.delete("gone", pick.id)
        eventually(lambda: len(picker) == 0)
        raise ConnectionRefusedError("as it went")

    with pytest.raises(ConnectionRefusedError, match="as it went"):
        picker.call(f, attempts=2)


def called_by(picker: callsheet.Picker, key: str) -> list[str]:
    """Whom two attempts go to that can't connect."""
    called: list[str] = []

    def refused(pick: callsheet.Pick) -> None:
        called.append(pick.id)
        raise ConnectionRefusedError

    with pytest.raises(ConnectionRefusedError):
        picker.call(refused, attempts=2, key=key)
    return called


def test_a_key_stays_with_its_instance(client: callsheet.Client, memory: Memory) -> None:
    for port in range(1, 11):
        memory.put(instance("billing", port))
    for policy in ("ring_hash", "maglev"):
        picker = client.picker("billing", policy, ejection=False)
        homes = {key: picker.pick(key=key).id for key in map(str, range(100))}
        assert len(set(homes.values())) > 5
        assert homes == {key: picker.pick(timeout=1, key=key.encode()).id for key in homes}
        assert picker.call(lambda pick: pick.id, key="7") == homes["7"]
        first, second = called_by(picker, "7")
        assert first == homes["7"] != second
        assert called_by(picker, "7") == [first, second]
    key: Any = 7
    with pytest.raises(TypeError, match="key must be str or bytes, not int"):
        picker.pick(key=key)


def test_who_fails_is_ejected_unless_told_otherwise(
    client: callsheet.Client, picker: callsheet.Picker
) -> None:
    assert len(picker) == 3
    strict = client.picker("billing", "round_robin", ejection=callsheet.Ejection(consecutive_failures=2))
    never = client.picker("billing", "round_robin", ejection=False)
    for one in (strict, never):
        for _ in range(30):
            pick = one.pick()
            pick.done(ok=pick.port != 2)
    eventually(lambda: strict.ejected == ["10.0.0.1:2"])
    assert never.ejected == []
    assert (len(strict), len(never), client.stats()["ejections"]) == (2, 3, 1)


def test_options_of_pickers(client: callsheet.Client, memory: Memory) -> None:
    for port, zone in ((1, "a"), (2, "a"), (3, "b"), (4, "b")):
        memory.put(instance("billing", port, zone=zone, status="critical" if port == 4 else "passing"))
    near = client.picker("billing", prefer_zone="a")
    assert {near.pick().port for _ in range(100)} == {1, 2}
    assert len(client.picker("billing", subset=2, client_id="pod-1", slow_start=5)) == 2
    assert len(client.picker("billing", panic_threshold=80)) == 4
    assert len(client.picker("billing", panic_threshold=75)) == 3


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"subset": 0}, "subset 0"),
        ({"subset": -1}, "subset -1"),
        ({"panic_threshold": 101}, "panic_threshold 101"),
        ({"slow_start": 3601}, "slow_start 3601s"),
        ({"prefer_zone": "z" * 257}, "prefer_zone"),
        ({"ejection": callsheet.Ejection(max_ejection_percent=51)}, "max_ejection_percent"),
        ({"policy": "best"}, "round_robin, random, p2c, weighted"),
    ],
)
def test_options_that_are_not_allowed(client: callsheet.Client, options: Any, message: str) -> None:
    with pytest.raises(callsheet.InvalidArgument, match=message):
        client.picker("billing", **options)


def test_ejections_that_are_none(client: callsheet.Client) -> None:
    with pytest.raises(callsheet.InvalidArgument, match="request_volume -1"):
        callsheet.Ejection(request_volume=-1)
    strict: Any = "strict"
    with pytest.raises(TypeError, match="ejection must be an Ejection or a bool, not str"):
        client.picker("billing", ejection=strict)
    assert callsheet.Ejection(interval=10) == callsheet.Ejection()
