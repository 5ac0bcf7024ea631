from __future__ import annotations

import gc
import logging
import socket
import threading

import pytest

import callsheet
from callsheet.memory import Memory
from conftest import eventually


def test_what_is_registered_is_found_and_goes(client: callsheet.Client) -> None:
    with client.register(
        "billing",
        8080,
        "10.0.0.7",
        "one",
        scheme="https",
        tags=["v2", "canary"],
        metadata={"team": "pay"},
        weight=7,
        zone="eu-1",
        version="1.2",
        ttl=5,
        check=callsheet.ttl(),
        drain=0,
    ) as registration:
        assert registration.state == "registered"
        assert registration.last_error is None
        assert registration.id == "one"
        (found,) = client.lookup("billing")
        assert found == registration.instance
        assert (found.address, found.port, found.scheme) == ("10.0.0.7", 8080, "https")
        assert (found.tags, dict(found.metadata)) == (("v2", "canary"), {"team": "pay"})
        assert (found.weight, found.zone, found.version, found.status) == (7, "eu-1", "1.2", "passing")
        assert repr(registration) == "<Registration billing one registered>"
        assert client.registration("one").id == "one"
    assert client.stats()["registrations"] == 0
    eventually(lambda: len(client.lookup("billing")) == 0)


def test_a_second_registration_of_an_id_is_a_conflict(client: callsheet.Client) -> None:
    client.register("billing", 80)
    with pytest.raises(callsheet.Conflict):
        client.register("billing", 80)
    client.deregister("127.0.0.1:80")
    client.register("billing", 80)


def test_ready_holds_it_back(client: callsheet.Client) -> None:
    registration = client.register("billing", 80, ready=False)
    assert registration.state == "pending"
    assert client.services() == []
    with pytest.raises(callsheet.Timeout):
        registration.wait("registered", 0.01)
    registration.ready(10)
    assert client.stats()["registered"] == 1
    registration.ready()
    registration.wait("registered")


def test_a_registry_that_is_down_fails_nothing(memory: Memory) -> None:
    memory.unreachable()
    with callsheet.connect(memory.url, timeout=0.5) as client:
        registration = client.register("billing", 80)
        assert isinstance(registration.last_error, callsheet.Unavailable)
        memory.unreachable(False)
        registration.wait("registered", 25)
        assert registration.last_error is None


def test_an_update_keeps_what_it_does_not_name(client: callsheet.Client) -> None:
    registration = client.register("billing", 80, tags=["a"], metadata={"k": "v"})
    registration.update(weight=3)
    registration.update(tags=[])
    registration.update(metadata={"k": "w"})
    (found,) = eventually(
        lambda: [i for i in client.lookup("billing") if (i.weight, i.tags, i.metadata["k"]) == (3, (), "w")]
    )
    assert found == registration.instance


def test_draining_and_statuses_by_hand(client: callsheet.Client) -> None:
    registration = client.register("billing", 80)
    registration.set_status("warning", "too hot")
    eventually(lambda: len(client.lookup("billing")) == 0)
    eventually(lambda: client.lookup("billing", healthy=False)[0].status == "warning")
    registration.set_status("passing")
    eventually(lambda: len(client.lookup("billing")) == 1)
    registration.drain()
    eventually(lambda: client.lookup("billing", healthy=False)[0].status == "draining")


def test_a_heart_that_stops_is_critical(client: callsheet.Client) -> None:
    registration = client.register("billing", 80, check=callsheet.heartbeat(0.2))
    registration.beat()
    eventually(lambda: [i.status for i in client.lookup("billing", healthy=False)] == ["critical"])

    def beating() -> bool:
        registration.beat()
        return len(client.lookup("billing")) == 1

    eventually(beating)


def test_wait_for_port_waits_for_the_port(client: callsheet.Client) -> None:
    with socket.socket() as server:
        server.bind(("127.0.0.1", 0))
        registration = client.register("billing", server.getsockname()[1], wait_for_port=True, ready=False)
        with pytest.raises(callsheet.Timeout):
            registration.ready(0.2)
        server.listen()
        registration.wait("registered", 25)


def test_checks_decide_the_status(client: callsheet.Client) -> None:
    with socket.create_server(("127.0.0.1", 0)) as server:
        port = server.getsockname()[1]
        check = callsheet.tcp(interval=0.1, timeout=1, address="127.0.0.1", port=port)
        client.register("billing", 80, check=check)
        eventually(lambda: len(client.lookup("billing")) == 1)
    eventually(lambda: [i.status for i in client.lookup("billing", healthy=False)] == ["critical"], 25)


def test_a_grpc_check_wants_an_answer(client: callsheet.Client) -> None:
    with socket.create_server(("127.0.0.1", 0)) as server:
        target = f"127.0.0.1:{server.getsockname()[1]}/billing"
        check = callsheet.grpc(target, interval=0.1, timeout=0.2, deregister_critical_after=60)
        client.register("billing", 80, check=check)
        eventually(lambda: [i.status for i in client.lookup("billing", healthy=False)] == ["critical"], 25)


def test_states_are_told_in_order_and_to_the_end(client: callsheet.Client, memory: Memory) -> None:
    told: list[str] = []
    registration = client.register("billing", 80, on_state=told.append)
    eventually(lambda: told == ["registered"])
    memory.delete("billing", registration.id)
    eventually(lambda: told[:3] == ["registered", "lost", "registered"])
    registration.close()
    assert told == ["registered", "lost", "registered", "closed"]


def test_closing_the_client_tells_the_states(memory: Memory) -> None:
    told: list[str] = []
    with callsheet.connect(memory.url) as client:
        client.register("billing", 80, on_state=told.append)
        client.register("billing", 81, on_state=told.append)
    assert sorted(told) == ["closed", "closed", "registered", "registered"]


def test_a_state_callback_may_close_its_registration(client: callsheet.Client) -> None:
    closed = threading.Event()
    made = threading.Event()
    registrations: list[callsheet.Registration] = []

    def on_state(state: callsheet.State) -> None:
        if state == "registered":
            made.wait(10)
            registrations[0].close()
            closed.set()

    registrations.append(client.register("billing", 80, on_state=on_state))
    made.set()
    assert closed.wait(10)
    assert registrations[0].state == "closed"


class Stuck:
    """A callback that runs until it is let go."""

    def __init__(self) -> None:
        self.began = threading.Event()
        self.go = threading.Event()

    def __call__(self, _: object) -> None:
        self.began.set()
        self.go.wait(60)


def test_a_close_in_a_block_that_is_late_is_logged(
    memory: Memory, caplog: pytest.LogCaptureFixture, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("callsheet._client.CLOSE", 0.1)
    stuck = Stuck()
    with caplog.at_level(logging.WARNING, "callsheet"), callsheet.connect(memory.url) as client:
        client.on_change("billing", stuck)
        assert stuck.began.wait(10)
    assert "a callback still runs" in caplog.text
    stuck.go.set()
    with pytest.raises(callsheet.Timeout):
        late(memory, monkeypatch)


def late(memory: Memory, monkeypatch: pytest.MonkeyPatch) -> None:
    stuck = Stuck()
    client = callsheet.connect(memory.url)
    client.on_change("billing", stuck)
    assert stuck.began.wait(10)
    try:
        client.close()
    finally:
        stuck.go.set()


def test_leaving_a_block_withdraws_even_when_it_raises(client: callsheet.Client) -> None:
    with pytest.raises(KeyError), client.register("billing", 80):
        raise KeyError
    eventually(lambda: len(client.lookup("billing")) == 0)


def test_a_registration_keeps_its_client(memory: Memory) -> None:
    told: list[str] = []
    registration = callsheet.connect(memory.url).register("billing", 80, on_state=told.append)
    gc.collect()
    memory.lose_leases()
    eventually(lambda: told == ["registered", "lost", "registered"])
    registration.close()
    assert told[-1] == "closed"


@pytest.mark.parametrize("what", ["registration", "client"])
def test_closed_is_told_even_when_another_callback_is_slow(memory: Memory, what: str) -> None:
    told: list[str] = []
    stuck = Stuck()
    client = callsheet.connect(memory.url)
    registration = client.register("billing", 80, on_state=told.append)
    eventually(lambda: told)
    client.on_change("billing", stuck)
    assert stuck.began.wait(10)
    close = {"registration": registration.close, "client": client.close}[what]
    closing = threading.Thread(target=close)
    closing.start()
    eventually(lambda: registration.state == "closed")
    assert closing.is_alive()
    stuck.go.set()
    closing.join(10)
    assert told == ["registered", "closed"]
    client.close()
