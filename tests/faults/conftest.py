"""What the tests of faults share: registries, each in two versions, and a line of figures for each test at the end."""

from __future__ import annotations

import gc
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import TYPE_CHECKING

import callsheet
import pytest

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))

from servers import QUICK, AgentOptions, Cluster, Consul, Options
from servers.binaries import Version

if TYPE_CHECKING:
    from servers.fixtures import NewCluster

pytest_plugins = ["servers.fixtures"]

Say = Callable[[str], None]
NewConsul = Callable[..., Consul]
NewEtcd = Callable[..., Cluster]
NewServer = Callable[..., Cluster | Consul]


def pytest_addoption(parser: pytest.Parser) -> None:
    parser.addoption("--registry", choices=["etcd", "consul"], help="only what is done to this one")


def pytest_collection_modifyitems(config: pytest.Config, items: list[pytest.Function]) -> None:
    wanted = config.getoption("--registry")
    if wanted is not None:
        items[:] = [item for item in items if _registry_of(item) == wanted]


def _registry_of(item: pytest.Function) -> str:
    if hasattr(item, "callspec") and "registry" in item.callspec.params:
        return str(item.callspec.params["registry"])
    return "etcd" if "new_etcd" in item.fixturenames else "consul"


@pytest.fixture(params=["etcd", "consul"])
def registry(request: pytest.FixtureRequest) -> str:
    """Each of those whose faults are the same."""
    return str(request.param)


@pytest.fixture(params=["new", "old"])
def version(request: pytest.FixtureRequest) -> Version:
    """Each of the two that are built."""
    version: Version = request.param
    return version


@pytest.fixture
def new_etcd(new_cluster: NewCluster) -> NewEtcd:
    """Starts a cluster of the test's own; takes what `Cluster` takes, and what `Options` does."""

    def start(
        nodes: int = 1,
        *,
        users: bool = False,
        proxied: bool = False,
        flags: tuple[str, ...] = QUICK,
        **options: object,
    ) -> Cluster:
        chosen = Options(flags=flags, **options)  # type: ignore[arg-type]
        return new_cluster(nodes, options=chosen, users=users, proxied=proxied)

    return start


@pytest.fixture
def new_server(registry: str, version: Version, new_etcd: NewEtcd, new_consul: NewConsul) -> NewServer:
    """Starts the registry whose turn it is, of one server, with a proxy before it if asked."""

    def start(*, proxied: bool = False) -> Cluster | Consul:
        if registry == "etcd":
            return new_etcd(version=version, proxied=proxied)
        return new_consul(options=AgentOptions(version=version), proxied=proxied)

    return start


@pytest.fixture
def say(record_property: Callable[[str, object], None]) -> Say:
    """Has something that was measured printed beside the name of the test."""
    return lambda figure: record_property("figure", figure)


@pytest.fixture(scope="session", autouse=True)
def _runtime() -> None:
    """Threads that the process keeps from its first client on are there before any test counts."""
    with callsheet.connect("memory:") as client:
        client.lookup("a")


@pytest.fixture(autouse=True)
def _tidy() -> Iterator[None]:
    """What an earlier test dropped is not to be freed while the next one counts."""
    gc.collect()
    yield
    gc.collect()


def pytest_terminal_summary(terminalreporter: pytest.TerminalReporter) -> None:
    reports = [
        report
        for outcome in ("passed", "failed")
        for report in terminalreporter.stats.get(outcome, [])
        if report.when == "call"
    ]
    for report in sorted(reports, key=lambda report: str(report.nodeid)):
        name = report.nodeid.partition("::test_")[2]
        figures = "; ".join(str(value) for key, value in report.user_properties if key == "figure")
        terminalreporter.line(f"{report.outcome:6} {report.duration:5.1f} s  {name}  {figures}".rstrip())
