from __future__ import annotations

from pathlib import Path

import pytest

import callsheet


def test_a_client_says_what_it_is() -> None:
    with callsheet.connect("memory:") as client:
        assert client.url == client.source == "memory:"
        assert repr(client) == "<Client memory: open>"
        assert not client.closed
    assert client.closed
    assert repr(client) == "<Client memory: closed>"


def test_the_environment_names_the_registry(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("CALLSHEET_URL", "memory:from-environment")
    with callsheet.connect() as client:
        assert client.url == "memory:from-environment"


@pytest.mark.parametrize(
    "url",
    [
        "zookeeper://127.0.0.1",
        "nonsense",
        "",
        "://",
        "etcd://",
        "memory:?tiemout=1",
        "memory:?ttl=never",
        "memory:a/b",
        "memory:\0",
        "memory:\ud800",
    ],
)
def test_a_url_that_is_wrong_is_config(url: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("ETCDCTL_ENDPOINTS", raising=False)
    with pytest.raises(callsheet.Config) as caught:
        callsheet.connect(url)
    assert caught.value.code == "config"
    assert isinstance(caught.value, ValueError)


@pytest.mark.parametrize(
    "options",
    [
        {"ttl": 0},
        {"ttl": 0.999},
        {"ttl": -1},
        {"ttl": float("nan")},
        {"ttl": float("inf")},
        {"ttl": 10**400},
        {"ttl": 86_401},
        {"ttl": "10 parsecs"},
        {"ttl": True},
        {"ttl": b"10"},
        {"timeout": 0},
        {"timeout": -0.1},
        {"timeout": float("nan")},
        {"timeout": []},
        {"drain": -1},
        {"drain": float("-inf")},
        {"cache_size": 0},
        {"cache_size": 1.5},
        {"cache_size": -1},
        {"username": 7},
        {"username": "\udcff"},
        {"password": object()},
        {"prefix": ["a"]},
        {"insecure": 1},
        {"insecure": "perhaps"},
    ],
    ids=repr,
)
def test_an_option_that_is_wrong_is_config(options: dict[str, object]) -> None:
    with pytest.raises(callsheet.Config):
        callsheet.connect("memory:", **options)  # type: ignore[arg-type]


@pytest.mark.parametrize("value", [1, "x", None.__class__, object()])
def test_an_unknown_option_names_the_nearest_one(value: object) -> None:
    with pytest.raises(callsheet.Config, match="did you mean timeout"):
        callsheet.connect("memory:", tiemout=value)  # type: ignore[call-arg]


def test_insecure_is_a_bool_and_for_tls() -> None:
    callsheet.connect("etcds://127.0.0.1:1", insecure=True).close()
    callsheet.connect("etcd://127.0.0.1:1", insecure=False).close()
    with pytest.raises(callsheet.Config, match="insecure is for TLS"):
        callsheet.connect("etcd://127.0.0.1:1", insecure=True)


def test_durations_are_seconds_or_text_and_none_is_the_default(tmp_path: Path) -> None:
    callsheet.connect("memory:", ttl=2.5, timeout="500ms", drain=0, empty_hold=None).close()
    callsheet.connect("memory:", ca=tmp_path / "ca.pem").close()


def test_a_url_that_is_no_text_is_a_type_error() -> None:
    with pytest.raises(TypeError):
        callsheet.connect(7)  # type: ignore[arg-type]


def test_secrets_are_not_shown() -> None:
    with pytest.raises(callsheet.Config) as caught:
        callsheet.connect("memory:", password="hunter2", nonsense=1)  # type: ignore[call-arg]
    assert "hunter2" not in str(caught.value)
    with callsheet.connect("memory:?password=hunter2", token="hunter2") as client:
        assert "hunter2" not in repr(client) + client.url + str(client.stats())


def test_everything_on_a_closed_client_is_closed() -> None:
    client = callsheet.connect("memory:")
    registration = client.register("billing", 80)
    picker = client.picker("billing")
    watch = client.watch("billing")
    stop = client.on_change("billing", print)
    client.close()
    client.close()
    for call in (
        lambda: client.register("billing", 81),
        lambda: client.registration("x"),
        lambda: client.deregister("x"),
        lambda: client.lookup("billing"),
        lambda: client.watch("billing"),
        lambda: client.on_change("billing", print),
        lambda: client.wait_for("billing", timeout=1),
        client.services,
        client.watch_services,
        lambda: client.picker("billing"),
        client.ping,
        client.close_on_signals,
        registration.ready,
        registration.update,
        registration.beat,
        registration.drain,
        lambda: registration.set_status("warning"),
        lambda: registration.wait("registered", 1),
        picker.pick,
        lambda: picker.pick(timeout=1),
    ):
        with pytest.raises(callsheet.Closed):
            call()
    assert list(watch) == []
    assert registration.state == "closed"
    registration.close()
    watch.close()
    stop()
    stop.close()
    assert client.stats()["registrations"] == 0


def test_stats_have_every_field_of_their_type() -> None:
    with callsheet.connect("memory:") as client:
        stats = client.stats()
    assert stats.keys() == callsheet.Stats.__annotations__.keys()
    assert stats["registry"] == "memory:"
    assert all(isinstance(value, int) for name, value in stats.items() if name != "registry")


def test_a_ping_asks_now(memory: callsheet.memory.Memory) -> None:
    with callsheet.connect(memory.url) as client:
        client.ping()
        memory.unreachable()
        with pytest.raises(callsheet.Unavailable):
            client.ping()
        memory.unreachable(False)
        memory.refuse()
        with pytest.raises(callsheet.PermissionDenied):
            client.ping()
