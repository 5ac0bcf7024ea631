"""The registry ``memory:name`` from outside, for tests: inject the faults that real registries have.

::

    memory = callsheet.memory.Memory("orders")
    client = callsheet.connect("memory:orders")
    memory.unreachable()
    # lookups, watches and registrations of `client` now meet a registry that is down
    memory.unreachable(False)
"""

from callsheet._callsheet import Memory

__all__ = ["Memory"]
