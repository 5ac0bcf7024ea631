"""The scene that belongs to a registry, for tests that are the same on each."""

from __future__ import annotations

from typing import Any

from consul_scene import ConsulScene
from etcd_scene import EtcdScene
from scene import Scene
from servers import Cluster, Consul


def scene_of(server: Cluster | Consul, **options: Any) -> Scene:
    """Takes what `Scene` takes."""
    return EtcdScene(server, **options) if isinstance(server, Cluster) else ConsulScene(server, **options)
