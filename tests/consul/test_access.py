"""Tokens, where they come from, and the ways to an agent: a Unix socket, and what Consul's own tools are told."""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Iterator
from contextlib import ExitStack
from pathlib import Path

import callsheet
import pytest
from servers import Agent, AgentOptions, Consul, Unreachable
from servers import Refused as ServerRefused
from servers.acl import RULES
from servers.binaries import Version
from servers.certificates import Certificates
from servers.fixtures import NewConsul
from servers.waiting import until
from shared.seen import Seen, registered, state_of, tagged

AGENT = 'agent_prefix "" { policy = "read" }'
WRITE_BILLING = RULES["reader"] + ' service "billing" { policy = "write" }'
# What an agent's own users may reuse of what it was told of a token, and more.
NOTICED = 10.0


class Refused:
    """Registrations that are refused, each for another reason, all mended at once while nobody tries."""

    def __init__(self, folder: Path, clients: ExitStack) -> None:
        self.consul = consul = clients.enter_context(Consul(options=AgentOptions(acl=True)))
        reader, revoked = consul.acl.token(RULES["reader"]), consul.acl.token(WRITE_BILLING)
        consul.acl.revoke(revoked)
        file = folder / "token"
        file.write_text(consul.tokens["none"])
        urls = (
            consul.url_of(token=reader),
            consul.url_of(token=revoked),
            consul.url_of(token="", token_file=str(file)),
        )
        opened = [clients.enter_context(callsheet.connect(url)) for url in urls]
        self.registrations = [
            client.register("billing", port, "10.0.0.1") for port, client in enumerate(opened, 1)
        ]
        self.states = [state_of(one) for one in self.registrations]
        self.reasons = [str(one.last_error) for one in self.registrations]
        consul.acl.change(reader, WRITE_BILLING)
        consul.acl.restore(revoked)
        file.write_text(f"{consul.tokens['app']}\n")


@pytest.fixture(scope="module", autouse=True)
def refused(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Refused]:
    """From the start of this module on, so that its half minute passes while the other tests run."""
    with ExitStack() as clients:
        yield Refused(tmp_path_factory.mktemp("refused"), clients)


def test_what_is_refused_says_so_at_once(refused: Refused) -> None:
    denied = ("refused", "permission_denied")
    assert refused.states == [denied, ("refused", "unauthenticated"), denied]
    assert 'give it a policy with service "billing" { policy = "write" }' in refused.reasons[0]
    assert "Consul does not know the token: it was deleted" in refused.reasons[1]


def test_what_may_be_read_may_not_always_be_written(
    with_acl: Consul, warnings: pytest.LogCaptureFixture
) -> None:
    with callsheet.connect(with_acl.url_of(token=with_acl.tokens["reader"])) as reader:
        registration = reader.register("billing", 81, "10.0.0.1")
        assert state_of(registration) == ("refused", "permission_denied")
        assert len(reader.lookup("billing")) == 0
        told = "registration of billing/10.0.0.1:81 refused; trying again every 30s"
        # Logs come on a thread of their own.
        until(lambda: [told in record.getMessage() for record in list(warnings.records)].count(True) == 1)
    assert with_acl.catalog.instances("billing") == []


def test_a_token_for_one_service_is_enough(with_acl: Consul) -> None:
    # As the guide has it: to write the own service, to read the others and their nodes.
    rules = WRITE_BILLING.replace(AGENT, "")
    with (
        callsheet.connect(with_acl.url_of(token=with_acl.acl.token(rules)), ttl=1) as client,
        Seen(client) as seen,
    ):
        registration = registered(client, check=callsheet.tcp())
        seen.until(lambda snapshot: len(snapshot) == 1)
        registration.set_status("warning", "hot")
        seen.until(lambda snapshot: [one.status for one in snapshot] == ["warning"])
        registration.drain()
        seen.until(lambda snapshot: [one.status for one in snapshot] == ["draining"])
        assert state_of(client.register("other", 81, "10.0.0.1")) == ("refused", "permission_denied")
        assert client.services() == ["billing", "consul"]
        # What was lost is seen without a right to read the agent.
        with_acl.agent.local.deregister(registration.id)
        until(lambda: with_acl.catalog.ids("billing") == [registration.id])
    assert with_acl.catalog.instances("billing") == []


def test_a_token_that_may_only_write_its_own_service_is_enough_to_register(with_acl: Consul) -> None:
    token = with_acl.acl.token('service "billing" { policy = "write" }')
    with callsheet.connect(with_acl.url_of(token=token), ttl=1) as client:
        registration = registered(client)
        until(lambda: with_acl.catalog.ids("billing", passing=True) == [registration.id])
        with_acl.agent.local.deregister(registration.id)
        until(lambda: with_acl.catalog.ids("billing", passing=True) == [registration.id])
        registration.wait("registered", 5)
    assert with_acl.catalog.instances("billing") == []


def test_a_token_that_is_deleted_and_given_back(new_consul: NewConsul) -> None:
    consul = new_consul(options=AgentOptions(acl=True))
    token = consul.acl.token(WRITE_BILLING)
    with callsheet.connect(consul.url_of(token=token), ttl=2) as client, Seen(client) as seen:
        registration = registered(client, tags=["mine"])
        seen.until(tagged("mine"))
        consul.acl.revoke(token)
        registration.wait("refused", 25)
        assert state_of(registration) == ("refused", "unauthenticated")
        assert token not in str(registration.last_error)
        consul.acl.restore(token)
        # At the next try, which is half a minute apart.
        registration.wait("registered", 60)
        seen.until(tagged("mine"))


def test_a_token_is_not_refused_by_a_server_that_has_not_read_its_data_yet(
    version: Version, new_consul: NewConsul
) -> None:
    consul = new_consul(servers=3, options=AgentOptions(version=version, acl=True))
    token = consul.acl.token(WRITE_BILLING)
    until(lambda: not unknown(consul.agent, token))
    states: list[str] = []
    with callsheet.connect(consul.url_of(token=token), ttl=2) as client:
        registration = registered(client, on_state=states.append)
        consul.stop()
        # Alone it has no leader, so it knows of no token.
        consul.agent.start(wait=False)
        until(lambda: unknown(consul.agent, token), 45)
        # Until it is asked again, the reason is the one from before: that nothing listens there.
        until(lambda: "have no leader" in why_not(client))
        registration.wait("lost", 10)
        assert unknown(consul.agent, token)
        for server in consul.members[1:]:
            server.start(wait=False)
        # Not half a minute later, as if it had been refused.
        registration.wait("registered", 25)
        until(lambda: states == ["registered", "lost", "registered"], 5)


def why_not(client: callsheet.Client) -> str:
    """Why a service can't be looked up."""
    with pytest.raises(callsheet.Unavailable) as caught:
        client.lookup("other")
    return str(caught.value)


def unknown(agent: Agent, token: str) -> bool:
    """What it says of a token."""
    try:
        agent.api(token).call("GET", "agent/services")
    except Unreachable:
        return False
    except ServerRefused as error:
        return "ACL not found" in error.message
    return False


def test_a_token_file_can_be_rotated(with_acl: Consul, tmp_path: Path) -> None:
    file = tmp_path / "token"
    first, second = with_acl.acl.token(WRITE_BILLING), with_acl.acl.token(WRITE_BILLING)
    file.write_text(first)
    states: list[str] = []
    with callsheet.connect(with_acl.url_of(token=""), token_file=file, ttl=3) as client, Seen(client) as seen:
        registration = registered(client, on_state=states.append)
        seen.until(lambda snapshot: len(snapshot) == 1)
        # As it is rotated: the new one is there before the old one goes.
        file.write_text(f"{second}\n")
        with_acl.acl.revoke(first)
        registration.update(tags=["new"])
        assert registration.last_error is None
        seen.until(tagged("new"))
        client.ping()
        assert states == ["registered"]
    assert with_acl.catalog.instances("billing") == []


def test_a_token_file_that_can_not_be_used(with_acl: Consul, tmp_path: Path) -> None:
    url = with_acl.url_of(token="")
    file = tmp_path / "token"
    with pytest.raises(callsheet.Config, match=r"token_file .*token can't be used: No such file"):
        callsheet.connect(url, token_file=file)
    file.write_text(" \n")
    with pytest.raises(callsheet.Config, match="there is no token in it"):
        callsheet.connect(url, token_file=file)
    file.write_text(with_acl.tokens["app"])
    with callsheet.connect(url, token_file=file) as client:
        client.ping()
        file.unlink()

        def code() -> str | None:
            registration = client.register("billing", 80, "10.0.0.1")
            try:
                return state_of(registration)[1]
            finally:
                file.write_text(with_acl.tokens["app"])
                registration.close()
                file.unlink()

        until(lambda: code() == "unauthenticated", NOTICED)
        file.write_text(with_acl.tokens["app"])
        client.ping()


def test_by_a_unix_socket(either: Consul) -> None:
    socket = either.agent.socket
    assert socket is not None
    url = f"consul://{str(socket).replace('/', '%2F')}"
    with callsheet.connect(url) as client, Seen(client) as seen:
        registration = registered(client, tags=["here"])
        seen.until(tagged("here"))
        registration.update(tags=["there"])
        seen.until(tagged("there"))
        assert client.services() == ["billing", "consul"]
        # Nothing of the way to the agent tells where others reach us.
        assert client.register("other", 81).instance.address != "127.0.0.1"
    assert either.catalog.instances("billing") == []


def listed(environment: dict[str, str]) -> subprocess.CompletedProcess[str]:
    clean = {name: value for name, value in os.environ.items() if not name.startswith("CONSUL_")}
    command = [sys.executable, "-m", "callsheet", "list", "billing"]
    env = {**clean, "CALLSHEET_URL": "consul://", **environment}
    return subprocess.run(command, env=env, capture_output=True, text=True, timeout=60, check=False)


def test_what_consuls_own_tools_are_told_by_the_environment(with_acl: Consul, tmp_path: Path) -> None:
    file = tmp_path / "token"
    file.write_text(with_acl.tokens["reader"])
    at = with_acl.agent.endpoint
    token = {"CONSUL_HTTP_TOKEN": with_acl.tokens["reader"]}
    with callsheet.connect(with_acl.url) as client:
        registered(client)
        client.wait_for("billing", timeout=10)
        for works in (
            {"CONSUL_HTTP_ADDR": at, **token},
            {"CONSUL_HTTP_ADDR": f"http://{at}", "CONSUL_HTTP_TOKEN_FILE": str(file)},
            {"CONSUL_HTTP_ADDR": f"unix://{with_acl.agent.socket}", **token},
            # A proxy before the agent may want it; Consul does not mind.
            {"CONSUL_HTTP_ADDR": at, "CONSUL_HTTP_AUTH": "me:word", **token},
        ):
            found = listed(works)
            assert (found.returncode, found.stderr) == (0, ""), found
            assert "10.0.0.1" in found.stdout
        for fails, said in (
            ({"CONSUL_HTTP_ADDR": at}, "no token was given"),
            ({"CONSUL_HTTP_ADDR": at, "CONSUL_HTTP_TOKEN": "00000000-0000"}, "does not know the token"),
            (
                {"CONSUL_HTTP_ADDR": at, "CONSUL_HTTP_TOKEN_FILE": "/nowhere"},
                "token_file /nowhere can't be used",
            ),
            ({"CONSUL_HTTP_ADDR": "ftp://h"}, "write host:port, http://, https:// or unix://"),
            ({"CONSUL_HTTP_ADDR": at, "CONSUL_HTTP_SSL": "true", **token}, "does not speak TLS on this port"),
        ):
            failed = listed(fails)
            assert failed.returncode != 0 and said in failed.stderr, failed


def test_the_same_over_tls(with_tls: tuple[Consul, Certificates], tmp_path: Path) -> None:
    consul, certificates = with_tls
    folder = tmp_path / "authorities"
    folder.mkdir()
    (folder / "one.pem").write_bytes(certificates.unknown_ca.read_bytes())
    (folder / "two.pem").write_bytes(certificates.ca.read_bytes())
    environment = {
        "CONSUL_HTTP_ADDR": consul.agent.endpoint,
        "CONSUL_HTTP_SSL": "true",
        "CONSUL_CACERT": str(certificates.ca),
        "CONSUL_CLIENT_CERT": str(certificates.client_cert),
        "CONSUL_CLIENT_KEY": str(certificates.client_key),
    }
    with callsheet.connect(consul.url) as client:
        registered(client)
        client.wait_for("billing", timeout=10)
        for changed in (
            {},
            {"CONSUL_HTTP_ADDR": f"https://{consul.agent.endpoint}", "CONSUL_HTTP_SSL": ""},
            {"CONSUL_CACERT": "", "CONSUL_CAPATH": str(folder)},
            {"CONSUL_TLS_SERVER_NAME": "localhost"},
            {"CONSUL_CACERT": str(certificates.unknown_ca), "CONSUL_HTTP_SSL_VERIFY": "false"},
        ):
            found = listed({**environment, **changed})
            assert found.returncode == 0 and "10.0.0.1" in found.stdout, found
        for changed, said in (
            ({"CONSUL_HTTP_SSL": "false"}, "write consuls://"),
            ({"CONSUL_HTTP_SSL": "yes"}, "write true or false"),
            ({"CONSUL_CACERT": str(certificates.unknown_ca)}, "from another authority"),
            ({"CONSUL_CLIENT_CERT": "", "CONSUL_CLIENT_KEY": ""}, "asks for a client certificate"),
            ({"CONSUL_CLIENT_CERT": "/nowhere.pem"}, "cert /nowhere.pem can't be used"),
            ({"CONSUL_TLS_SERVER_NAME": "other.example"}, "not for other.example"),
        ):
            failed = listed({**environment, **changed})
            assert failed.returncode != 0 and said in failed.stderr, failed


def test_what_is_refused_is_tried_again_every_half_minute(refused: Refused) -> None:
    for registration in refused.registrations:
        registration.wait("registered", 60)
    assert {instance.port for instance in refused.consul.catalog.instances("billing")} == {1, 2, 3}
