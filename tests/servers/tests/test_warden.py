"""Servers live as long as the process that started them: no shorter, no longer."""

from __future__ import annotations

import subprocess
import sys
import threading
from pathlib import Path

from servers import Cluster
from servers.waiting import runs, until

TESTS = Path(__file__).resolve().parents[2]

FORKED = """
import os, signal, sys
sys.path.insert(0, sys.argv[1])
from servers import Cluster
cluster = Cluster()
fork = os.fork()
if fork == 0:
    signal.pause()
print(fork, cluster.members[0].process.pid, cluster.folder, flush=True)
signal.pause()
"""


def test_they_outlive_the_thread_that_started_them() -> None:
    started: list[Cluster] = []
    thread = threading.Thread(target=lambda: started.append(Cluster()))
    thread.start()
    thread.join()
    with started[0] as etcd:
        etcd.store.put("a", "1")


def test_they_do_not_live_on_with_a_fork() -> None:
    with subprocess.Popen(
        [sys.executable, "-c", FORKED, str(TESTS)], stdout=subprocess.PIPE, text=True
    ) as parent:
        assert parent.stdout is not None
        fork, server, folder = parent.stdout.readline().split()
        try:
            parent.kill()
            until(lambda: not runs(int(server)) and not Path(folder).exists(), 15)
            assert runs(int(fork))
        finally:
            subprocess.run(["kill", "-9", fork], check=True)
