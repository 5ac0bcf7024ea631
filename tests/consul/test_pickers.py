"""Whom a picker takes of a list in which most are critical: the dead stay in Consul's for minutes."""

from __future__ import annotations

import callsheet
from servers import Consul
from servers.waiting import until


def picked(picker: callsheet.Picker) -> set[int]:
    ports = set()
    for _ in range(50):
        with picker.pick() as pick:
            ports.add(pick.port)
    return ports


def test_those_whose_ttl_ran_out_are_not_called_and_others_that_are_critical_are(either: Consul) -> None:
    local = either.agent.local
    for port in (1, 2, 3, 4):
        # As crashed ones are: nobody renews the check any more.
        check = {"TTL": "10m" if port < 3 else "1s", "Status": "passing"}
        local.register("billing", port, id=f"billing-{port}", address="10.0.0.1", check=check)
    with callsheet.connect(either.url) as client:
        picker = client.picker("billing", "round_robin")
        calm = client.picker("billing", "round_robin", panic_threshold=0)
        until(lambda: len(calm) == 2, 20)
        assert picked(picker) == picked(calm) == {1, 2}
        local.set_check("service:billing-2", "critical", "no disk")
        until(lambda: len(calm) == 1, 20)
        # One of two is healthy, which is enough.
        assert picked(picker) == picked(calm) == {1}
        local.register(
            "billing", 5, id="billing-5", address="10.0.0.1", check={"TTL": "10m", "Status": "critical"}
        )
        # One of three is not, whatever the crashed ones are.
        until(lambda: picked(picker) == {1, 2, 5}, 20)
        assert picked(calm) == {1}


def test_where_nobody_is_renewed_any_more_all_are_called(either: Consul) -> None:
    local = either.agent.local
    for port in (1, 2):
        check = {"TTL": "1s", "Status": "passing"}
        local.register("billing", port, id=f"billing-{port}", address="10.0.0.1", check=check)
    with callsheet.connect(either.url) as client:
        picker = client.picker("billing", "round_robin")
        calm = client.picker("billing", "round_robin", panic_threshold=0)
        until(lambda: len(calm) == 0, 20)
        assert picked(picker) == {1, 2}
        local.register("billing", 3, id="billing-3", address="10.0.0.1", check={"TTL": "10m"})
        # Ill as it is, it says so itself.
        until(lambda: picked(picker) == {3}, 20)
        assert len(calm) == 0
