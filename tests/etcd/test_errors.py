"""What goes wrong between a client and etcd, in the words of the error: what was asked of whom, what came back, what to
do, and no secret.
"""

from __future__ import annotations

import socket
from collections.abc import Callable
from typing import Literal

import callsheet
import pytest
from servers import Cluster, Options, Refused
from servers.certificates import Certificates, Kind
from servers.fixtures import NewCluster
from shared.seen import chain, registered, state_of
from shared.strangers import greeting, pages, silent

SECRET = "s3cr3t/word"
PERMISSION = "as with `etcdctl role grant-permission --prefix ROLE"


def refused(
    url: str,
    code: str,
    *texts: str,
    ask: Callable[[callsheet.Client], object] | None = None,
    **options: object,
) -> callsheet.Error:
    """Asks, by a ping unless told otherwise, and looks at what comes back."""
    connected = callsheet.connect(url, timeout=2, **options)  # type: ignore[arg-type]
    with connected as client, pytest.raises(callsheet.Error) as caught:
        ask(client) if ask else client.ping()
    error = caught.value
    judge(error, url, code, *texts)
    return error


def judge(error: callsheet.Error | None, url: str, code: str, *texts: str) -> None:
    assert error is not None
    told = "\n".join(chain(error))
    assert error.code == code, told
    hosts = url.split("//")[1].split("@")[-1].split("?")[0]
    for text in (f"//{'***@' if '@' in url else ''}{hosts}", *texts):
        assert text in str(error), f"{text!r} in {error}"
    for secret in (SECRET, "s3cr3t", "BEGIN "):
        assert secret not in told
    # Neither Debug of a Rust type nor HTTP/2's own view of it.
    for noise in ("Error(", "Some(", "kind:", "canceled", "transport error"):
        assert noise not in told


# --- Users ----------------------------------------------------------------------------------------------------------


def test_a_wrong_password_and_an_unknown_user(with_users: Cluster) -> None:
    url = with_users.url_of(with_users.endpoints, user="")
    for user in ("app", "nobody"):
        told = (
            f"can't log in to etcd://***@{with_users.endpoints[0]}: the password is wrong or there is no user"
        )
        login = url.replace("//", f"//{user}:{SECRET.replace('/', '%2F')}@")
        refused(
            login, "unauthenticated", told, f'"{user}"', "check username and password", "etcd said: authentic"
        )
        given = {"username": user, "password": SECRET}
        with callsheet.connect(url, **given) as client, pytest.raises(callsheet.Unauthenticated):
            client.ping()


def test_no_user_where_etcd_wants_one(with_users: Cluster) -> None:
    url = with_users.url_of(with_users.endpoints, user="")
    refused(url, "unauthenticated", "authentication on, and no user was given: give username and password")


def test_no_permission_names_the_key_and_the_command_that_gives_it(with_users: Cluster) -> None:
    nobody = with_users.url_of(with_users.endpoints, user="none")
    grant = f"{PERMISSION} read /services/`"
    refused(nobody, "permission_denied", "can't read /services/ in", 'user "none" has no permission', grant)
    error = refused(nobody, "unavailable", "can't read /services/billing/ in", grant, ask=reading)
    assert isinstance(error.__cause__, callsheet.PermissionDenied)
    names = refused(
        nobody, "unavailable", "can't read /services/ in", grant, ask=lambda client: client.services()
    )
    assert isinstance(names.__cause__, callsheet.PermissionDenied)
    elsewhere = with_users.url_of(with_users.endpoints, user="app", path="/other")
    refused(elsewhere, "permission_denied", "can't read /other/ in", f"{PERMISSION} read /other/`")


def reading(client: callsheet.Client) -> object:
    return client.lookup("billing")


# --- TLS ------------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("version", "flags"), [("new", ()), ("old", ()), ("new", ("--tls-max-version", "TLS1.2"))], ids=str
)
def test_certificates(
    version: Literal["new", "old"],
    flags: tuple[str, ...],
    certificates: Certificates,
    new_cluster: NewCluster,
) -> None:
    options = Options(version=version, certificates=certificates, client_certificates=True, flags=flags)
    etcd = new_cluster(options=options)
    url, ca = etcd.url, certificates.ca
    servers: dict[Kind, str] = {
        "expired": "the server's certificate expired 24 hours ago: renew it on the server",
        "unknown-ca": f"from another authority than those in {ca}: give the file of the right one as ca",
        "wrong-name": "not for 127.0.0.1 but for elsewhere.example: connect by a name that it is for, or give one as",
    }
    for kind, text in servers.items():
        certificates.issue_server(kind)
        refused(url, "unavailable", "can't connect to etcds://", text)
    certificates.issue_server()
    unknown = str(certificates.unknown_ca)
    refused(etcd.url_of(etcd.endpoints, ca=unknown), "unavailable", f"than those in {unknown}")
    refused(f"etcds://{etcd.endpoints[0]}", "unavailable", "no authority that this system knows", "as ca")
    other = etcd.url_of(etcd.endpoints, server_name="other.example")
    refused(other, "unavailable", "not for other.example but for 127.0.0.1, localhost")

    bare = f"etcds://{etcd.endpoints[0]}?ca={ca}"
    missing = refused(bare, "unauthenticated", "the server asks for a client certificate: give cert and key")
    # Before TLS 1.3 there was no word for it.
    alert = "HandshakeFailure" if flags else "CertificateRequired"
    assert f"received fatal alert: {alert}" in chain(missing)[-1]
    clients: dict[Kind, str] = {
        "expired": f"our certificate {certificates.client_cert} any more, as it has expired: renew it",
        "unknown-ca": f"does not accept our certificate {certificates.client_cert}: give one as cert that is from",
    }
    for kind, text in clients.items():
        certificates.issue_client(kind)
        refused(url, "unauthenticated", text)
    certificates.issue_client()
    certificates.client_key.write_text("no key")
    refused_late = "key.* can't be used: .* it has to be a readable PEM file"
    with pytest.raises(callsheet.Config, match=refused_late):
        callsheet.connect(url)


def test_a_refusal_of_tls_is_never_a_broken_pipe(with_tls: tuple[Cluster, Certificates]) -> None:
    # The server says why and closes; whether we read that before we write is a race.
    etcd, certificates = with_tls
    bare = f"etcds://{etcd.endpoints[0]}?ca={certificates.ca}"
    plain = f"etcd://{etcd.endpoints[0]}"
    for _ in range(50):
        refused(bare, "unauthenticated", "the server asks for a client certificate")
        refused(plain, "unavailable", "if it speaks TLS on this port, write etcds:// instead of etcd://")


def test_tls_to_a_plain_port(etcd: Cluster) -> None:
    url = etcd.url.replace("etcd://", "etcds://")
    refused(url, "unavailable", "if it speaks plain text on this port, write etcd:// instead of etcds://")


# --- The network ----------------------------------------------------------------------------------------------------


def test_nobody_there() -> None:
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        url = f"etcd://127.0.0.1:{taken.getsockname()[1]}"
        told = refused(
            url, "unavailable", f"can't connect to {url}: nothing listens there: check that etcd runs"
        )
        assert "Connection refused" in chain(told)[-1]
        # One reason is said once, however many endpoints have it.
        many = refused(f"{url},localhost:{url.split(':')[-1]}", "unavailable", "nothing listens there")
        assert str(many).count("nothing listens there") == 1
    name = refused(
        "etcd://no-such-host.invalid", "unavailable", 'the name "no-such-host.invalid" can\'t be looked up'
    )
    assert len(chain(name)) > 1


def test_each_endpoint_has_its_own_reason(etcd: Cluster) -> None:
    with silent() as hangs, socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        closed = f"127.0.0.1:{taken.getsockname()[1]}"
        url = f"etcd://{hangs},{closed}"
        refused(
            url,
            "unavailable",
            f"can't use any endpoint of {url}: ",
            f"{hangs}: it took the connection but gave no answer within 900ms",
            f"{closed}: nothing listens there",
        )


def test_a_server_that_hangs(new_cluster: NewCluster) -> None:
    etcd = new_cluster(proxied=True)
    with callsheet.connect(etcd.url, timeout=2) as client:
        client.ping()
        etcd.proxies[0].blackhole()
        with pytest.raises(callsheet.Error) as caught:
            client.ping()
    judge(caught.value, etcd.url, "timeout", "within 900ms: it hangs")
    assert caught.value.retryable
    refused(
        etcd.url,
        "timeout",
        "it took the connection but gave no answer within 900ms: it hangs, or does not reach",
    )
    refused(
        etcd.url.replace("etcd:", "etcds:"), "timeout", "but not the TLS handshake within 900ms: it hangs"
    )
    etcd.proxies[0].heal()
    etcd.proxies[0].reset()
    refused(etcd.url, "unavailable", "the server ended the connection before it said anything")


def test_no_majority(new_cluster: NewCluster) -> None:
    etcd = new_cluster(3)
    for member in etcd.members[1:]:
        member.kill()
    alone = f"etcd://{etcd.endpoints[0]}"

    def asked() -> str:
        with callsheet.connect(alone, timeout=2) as client, pytest.raises(callsheet.Error) as caught:
            client.ping()
        assert caught.value.retryable
        return str(caught.value)

    # Until the member knows, it waits for an election that nobody wins.
    texts = (asked() for _ in range(20))
    told = next(text for text in texts if "no leader" in text)
    start = (
        "its cluster has no leader: start its members until more than half of them run and reach one another"
    )
    assert f"{alone}: {start}" in told


def test_a_port_of_something_else(etcd: Cluster) -> None:
    with pages() as site:
        refused(
            f"etcd://{site}",
            "protocol",
            "what listens there speaks HTTP/1 and is no client port of etcd: check host and port",
        )
    peer = etcd.members[0].peer.replace("http:", "etcd:")
    refused(peer, "protocol", "what listens there speaks HTTP/1 and is no client port of etcd")
    with greeting(b"SSH-2.0-OpenSSH_9.6\r\n") as ssh:
        refused(f"etcd://{ssh}", "protocol", 'no etcd, it says "SSH-2.0-OpenSSH_9.6": check host and port')
        refused(f"etcds://{ssh}", "unavailable", "the server does not speak TLS on this port")


# --- What etcd has no room for --------------------------------------------------------------------------------------


def test_a_full_database(new_cluster: NewCluster) -> None:
    etcd = new_cluster(options=Options(quota=1_000_000))
    with callsheet.connect(etcd.url) as client:
        before = registered(client, 81)
        with pytest.raises(Refused, match="database space exceeded"):
            for number in range(1000):
                etcd.store.put(f"/other/{number}", b"x" * 10_000)
        registration = client.register("billing", 80, "10.0.0.1")
        assert state_of(registration) == ("pending", "unavailable")
        told = "etcd's database is full and takes nothing new (alarm NOSPACE): compact and defragment it or raise"
        judge(
            registration.last_error,
            etcd.url,
            "unavailable",
            told,
            "`etcdctl alarm disarm`",
            "etcd said: mvcc: ",
        )
        # What was registered before can be read, kept and withdrawn.
        assert len(client.lookup("billing")) == 1
        before.close()
        assert etcd.store.prefix("/services/") == {}
        etcd.store.delete_prefix("/other/")
        etcd.store.compact()
        etcd.store.defragment()
        etcd.store.disarm()
        registration.wait("registered", 25)


def test_a_request_too_large(new_cluster: NewCluster) -> None:
    etcd = new_cluster(options=Options(max_request_bytes=4000))
    metadata = {f"key{number}": "v" * 500 for number in range(10)}
    with callsheet.connect(etcd.url) as client:
        registration = client.register("billing", 80, "10.0.0.1", metadata=metadata)
        told = "etcd takes no request of this size: make the metadata smaller, or raise etcd's --max-request-bytes"
        judge(registration.last_error, etcd.url, "invalid_argument", "can't write /services/billing/", told)
        registration.update(metadata={})
        registration.wait("registered", 25)
