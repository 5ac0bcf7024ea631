"""What a run goes on: a registry's servers, what may be done to them and what they hold, and what must hold there."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from servers import Agent, Etcd, Proxy

    from .crew import Crew
    from .lines import History
    from .parts import Part
    from .schedule import Step


@dataclass(frozen=True)
class Group:
    """Servers of a kind, and what is done to how many of them at once, each as likely as the others."""

    members: tuple[str, ...]
    faults: Mapping[str, tuple[int, ...]]


@dataclass(frozen=True)
class Differences:
    """What is not as it should be, in words: of registrations in the registry, of watchers, of what programs said."""

    registrations: list[str]
    watchers: list[str]
    programs: list[str]

    @property
    def all(self) -> list[str]:
        return [*self.registrations, *self.watchers, *self.programs]


@dataclass(frozen=True)
class Menu:
    """What may be done: to servers, and to what is registered."""

    groups: tuple[Group, ...]
    data: tuple[str, ...]
    targets: Mapping[str, tuple[str, ...]]
    """Whom something is done to that is not done to any registration."""

    @property
    def members(self) -> tuple[str, ...]:
        return tuple(member for group in self.groups for member in group.members)


class Ground(ABC):
    """Started when it is made; `close` ends it."""

    menu: Menu
    history: History
    deadline: float
    """Within this everything is well again once it may be."""
    late: float
    #: Members whose data is all there is, if there are such.
    keepers: tuple[str, ...] = ()
    """So long after its faults it may tell its clients of what it was told during them."""

    @abstractmethod
    def close(self) -> None: ...

    @abstractmethod
    def url(self, part: Part) -> str:
        """As the process of that part is given it."""

    @property
    @abstractmethod
    def endpoints(self) -> list[str]:
        """What clients are connected to."""

    @abstractmethod
    def proxy(self, member: str) -> Proxy: ...

    @abstractmethod
    def member(self, member: str) -> Etcd | Agent: ...

    def tell(self, whom: list[str]) -> str:
        """What it means that these are away."""
        return ""

    @abstractmethod
    def data(self, step: Step) -> tuple[Callable[[], object], Callable[[], object]]:
        """How something is done to what is registered, and how it is undone."""

    @abstractmethod
    def wait_healthy(self) -> None: ...

    @abstractmethod
    def differences(self, crew: Crew) -> Differences:
        """What is not as it should be in the registry and at its watchers."""

    @abstractmethod
    def left(self) -> list[str]:
        """What is there once all have left."""
