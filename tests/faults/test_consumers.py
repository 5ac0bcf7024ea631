"""What callbacks and readers do never harms the others, and never the process."""

from __future__ import annotations

import subprocess
import threading
from pathlib import Path

import callsheet
from conftest import NewServer, Say
from footprint import Footprint
from scenes import scene_of
from servers import Cluster

REQUEST = 5.0
ROUNDS = 200


def test_11_subscribe_and_unsubscribe_in_a_callback(new_server: NewServer) -> None:
    """Each callback ends its own subscription, begins the next one, and asks and watches in between."""
    server = new_server()
    with scene_of(server) as scene:
        client = scene.consumer
        scene.register("a", 1)
        scene.follow("a").until_ids({"127.0.0.1:1"}, REQUEST)
        scene.follow("b")
        scene.steady()
        open_now: list[callsheet.Subscription] = []
        rounds, done = 0, threading.Event()
        first = threading.Event()

        def changed(snapshot: callsheet.Snapshot) -> None:
            nonlocal rounds
            first.wait(REQUEST)
            rounds += 1
            open_now.pop().close()
            with client.watch("b") as watch:
                assert len(next(watch)) == 0
            assert len(client.lookup("a")) == 1
            other = client.on_change("b", lambda snapshot: None)
            if rounds == ROUNDS:
                done.set()
            else:
                open_now.append(client.on_change("a", changed))
            other.close()

        open_now.append(client.on_change("a", changed))
        first.set()
        assert done.wait(5 * REQUEST), f"stuck in round {rounds}"
        assert client.stats()["callback_failures"] == 0


def test_11_subscribe_and_unsubscribe_in_a_callback_of_node(new_server: NewServer) -> None:
    server = new_server()
    with scene_of(server) as scene:
        scene.register("a", 1)
        scene.steady()
        script = Path(__file__).with_name("unsubscribe.mjs")
        command = ["node", str(script), server.url, str(ROUNDS)]
        ran = subprocess.run(command, capture_output=True, text=True, timeout=60, check=False)
        assert (ran.returncode, ran.stdout, ran.stderr) == (0, f"{ROUNDS} rounds\n", "")


def test_14_consumer_that_never_reads(new_server: NewServer, say: Say) -> None:
    server = new_server()
    changes = 2000 if isinstance(server, Cluster) else 500
    with scene_of(server) as scene, callsheet.connect(server.url) as stuck:
        follower = scene.follow("a")
        idle = scene.consumer.watch("a", healthy=False)
        # A callback that never returns holds up its own client's callbacks, and nobody else.
        released = threading.Event()
        stuck.on_change("a", lambda snapshot: released.wait(60))
        slowest = 0.0
        try:
            for _ in range(200):
                scene.probe(["a"], REQUEST)
            follower.history.clear()
            before = Footprint.now()
            for _ in range(changes):
                slowest = max(slowest, scene.probe(["a"], REQUEST))
            follower.history.clear()
            grown = Footprint.now().allocated - before.allocated
            say(f"{grown / 2**10:.0f} KB more memory after {changes} changes")
            say(f"put and seen by others within {1000 * slowest:.0f} ms")
            assert grown < 100 * changes
            assert idle.skipped >= changes
            latest = next(idle)
            probe = latest.get("probe")
            assert probe is not None
            assert probe.port == changes + 200, "who reads again sees the latest, at once"
        finally:
            released.set()
            idle.close()
