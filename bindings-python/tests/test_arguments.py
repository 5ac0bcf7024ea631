"""Bad input: refused at once, by the call itself, as what it is."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest

import callsheet

BAD_NAMES = ["", "a" * 128, "a/b", "a b", "a\0b", "bücher", "-a", "+a", ".a", "a\n", "\ud800", "\udcffa"]
BAD_DURATIONS = [-1, -0.001, float("nan"), float("inf"), float("-inf"), 10**400]


@pytest.mark.parametrize("name", BAD_NAMES, ids=ascii)
@pytest.mark.parametrize("verb", ["register", "lookup", "watch", "on_change", "wait_for", "picker"])
def test_a_bad_service_name(client: callsheet.Client, verb: str, name: str) -> None:
    more: dict[str, list[Any]] = {"register": [80], "on_change": [print]}
    with pytest.raises(callsheet.InvalidArgument) as caught:
        getattr(client, verb)(name, *more.get(verb, []))
    assert isinstance(caught.value, ValueError)
    assert len(str(caught.value)) < 300


@pytest.mark.parametrize("name", [7, None, b"billing", ["billing"]], ids=repr)
@pytest.mark.parametrize("verb", ["lookup", "watch", "wait_for", "picker"])
def test_a_service_name_of_another_type(client: callsheet.Client, verb: str, name: object) -> None:
    with pytest.raises(TypeError, match="service must be str"):
        getattr(client, verb)(name)


@pytest.mark.parametrize("port", [0, 65_536, -1, 10**30, -(10**30)])
def test_a_port_out_of_range(client: callsheet.Client, port: int) -> None:
    with pytest.raises(callsheet.InvalidArgument, match="use 1 to 65535"):
        client.register("billing", port)


@pytest.mark.parametrize("port", ["x", "80", 80.0, None, True, [80]], ids=repr)
def test_a_port_of_another_type(client: callsheet.Client, port: Any) -> None:
    with pytest.raises(TypeError):
        client.register("billing", port)


def test_an_integer_by_index_is_a_port(client: callsheet.Client) -> None:
    class Port:
        def __index__(self) -> int:
            return 8080

    assert client.register("billing", Port()).instance.port == 8080  # type: ignore[arg-type]


@pytest.mark.parametrize(
    "wrong",
    [
        {"ttl": 0},
        *({"ttl": ttl} for ttl in BAD_DURATIONS),
        {"ttl": 86_400.1},
        {"ttl": 0.5},
        *({"drain": drain} for drain in BAD_DURATIONS),
        {"address": ""},
        {"address": "http://a"},
        {"address": "a b"},
        {"address": "a\0"},
        {"address": "\ud800"},
        {"id": ""},
        {"id": "a/b"},
        {"id": "a" * 257},
        {"id": "a\0"},
        {"scheme": ""},
        {"scheme": "1http"},
        {"weight": 0},
        {"weight": -1},
        {"weight": 65_536},
        {"weight": 10**30},
        {"zone": "z" * 257},
        {"version": "v\0"},
        {"tags": [""]},
        {"tags": ["t" * 257]},
        {"tags": ["t"] * 65},
        {"tags": ["\ud800"]},
        {"tags": [7]},
        {"tags": [None]},
        {"metadata": {"a": 1}},
        {"metadata": {1: "a"}},
        {"metadata": {"a": None}},
        {"metadata": {"a": b"b"}},
        {"metadata": {"": "a"}},
        {"metadata": {"a": "\ud800"}},
        {"metadata": {"k" * 129: ""}},
        {"metadata": {"a": "v" * 513}},
        {"metadata": {"a": "v" * (1 << 20)}},
        {"metadata": {"a": "v" * (2 << 20)}},
        {"metadata": {f"k{n}": "v" for n in range(57)}},
    ],
    ids=lambda wrong: ascii(wrong)[:40],
)
def test_a_bad_value_of_register(client: callsheet.Client, wrong: dict[str, Any]) -> None:
    with pytest.raises(callsheet.InvalidArgument) as caught:
        client.register("billing", 80, **wrong)
    assert len(str(caught.value)) < 300
    assert client.stats()["registrations"] == 0


@pytest.mark.parametrize(
    "wrong",
    [
        {"ttl": "10"},
        {"ttl": True},
        {"drain": []},
        {"address": 7},
        {"id": 7},
        {"weight": 1.5},
        {"weight": "1"},
        {"tags": "v2"},
        {"tags": b"v2"},
        {"tags": 7},
        {"metadata": "a"},
        {"metadata": ["a"]},
        {"check": "tcp"},
        {"on_state": 7},
    ],
    ids=repr,
)
def test_a_type_that_register_does_not_take(client: callsheet.Client, wrong: dict[str, Any]) -> None:
    with pytest.raises(TypeError):
        client.register("billing", 80, **wrong)
    assert client.stats()["registrations"] == 0


@pytest.mark.parametrize(
    "wrong",
    [
        {"tags": [""]},
        {"tags": [7]},
        {"zone": "\0"},
        {"version": "v" * 257},
        {"metadata": {"a": 1}},
        {"metadata": {"": ""}},
        {"zone": "\ud800"},
    ],
    ids=ascii,
)
@pytest.mark.parametrize("verb", ["lookup", "watch", "on_change", "wait_for", "picker"])
def test_a_bad_filter(client: callsheet.Client, verb: str, wrong: dict[str, Any]) -> None:
    more: dict[str, list[Any]] = {"on_change": [print]}
    with pytest.raises(callsheet.InvalidArgument):
        getattr(client, verb)("billing", *more.get(verb, []), **wrong)


@pytest.mark.parametrize("timeout", BAD_DURATIONS, ids=ascii)
def test_a_bad_timeout(client: callsheet.Client, timeout: float) -> None:
    registration = client.register("billing", 80)
    picker = client.picker("billing")
    for call in (
        lambda: client.wait_for("billing", timeout=timeout),
        lambda: registration.ready(timeout),
        lambda: registration.wait("registered", timeout),
        lambda: picker.pick(timeout=timeout),
    ):
        with pytest.raises(callsheet.InvalidArgument, match="timeout"):
            call()


def test_words_that_do_not_exist(client: callsheet.Client) -> None:
    registration = client.register("billing", 80)
    for call in (
        lambda: client.picker("billing", "fastest"),  # type: ignore[arg-type]
        lambda: registration.wait("happy", 1),  # type: ignore[arg-type]
        lambda: registration.set_status("fine"),  # type: ignore[arg-type]
        lambda: registration.set_status("warning", "n" * 513),
        lambda: client.wait_for("billing", -1),
        lambda: registration.update(weight=0),
        lambda: registration.update(metadata={"a": 1}),  # type: ignore[dict-item]
        lambda: registration.update(tags=[""]),
    ):
        with pytest.raises(callsheet.InvalidArgument):
            call()
    assert registration.instance.weight == 1
    with pytest.raises(TypeError):
        client.on_change("billing", None)  # type: ignore[arg-type]


def test_checks_are_checked(client: callsheet.Client) -> None:
    makes: list[Callable[[], object]] = [
        lambda: callsheet.heartbeat(-1),
        lambda: callsheet.heartbeat(float("nan")),
        lambda: callsheet.tcp(interval=float("inf")),
        lambda: callsheet.tcp(timeout=-1),
        lambda: callsheet.tcp(address="10.0.0.1"),
        lambda: callsheet.tcp(address="10.0.0.1", port=0),
        lambda: callsheet.http("\ud800"),
        lambda: callsheet.grpc("\ud800"),
        lambda: callsheet.ttl(deregister_critical_after=-1),
    ]
    for make in makes:
        with pytest.raises(callsheet.InvalidArgument):
            make()
    for check in (
        callsheet.heartbeat(0),
        callsheet.tcp(interval=0.01),
        callsheet.tcp(timeout=0),
        callsheet.http("health"),
        callsheet.grpc("billing"),
        callsheet.grpc(""),
        callsheet.heartbeat(1, deregister_critical_after=59),
        callsheet.grpc(deregister_critical_after=31 * 24 * 3600),
    ):
        with pytest.raises(callsheet.InvalidArgument):
            client.register("billing", 80, check=check)
    assert repr(callsheet.ttl()).startswith("<Check")


def test_an_endless_iterable_ends(client: callsheet.Client) -> None:
    import itertools

    with pytest.raises(callsheet.InvalidArgument):
        client.register("billing", 80, tags=itertools.repeat("a"))
