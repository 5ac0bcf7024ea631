"""One exception for each code of the core, which raises them itself."""

from __future__ import annotations

from typing import TYPE_CHECKING, ClassVar

if TYPE_CHECKING:
    from callsheet._types import Code


class Error(Exception):
    """A call of callsheet failed. What caused it is in ``__cause__``."""

    code: ClassVar[Code]
    """The same word in every language, such as ``"no_instances"``."""
    retryable: ClassVar[bool] = False
    """Whether the same call may succeed later without anything being changed."""


class InvalidArgument(Error, ValueError):
    """An argument of this call is wrong; nothing was done."""

    code = "invalid_argument"


class Config(Error, ValueError):
    """The URL, an option, the environment or a file given to `connect` is wrong."""

    code = "config"


class NotFound(Error, LookupError):
    """This client has no registration with this id."""

    code = "not_found"


class NoInstances(Error):
    """The picker has nothing to pick."""

    code = "no_instances"
    retryable = True


class Unavailable(Error):
    """The registry can't be reached or does not answer."""

    code = "unavailable"
    retryable = True


class Timeout(Error, TimeoutError):
    """The time allowed for the call is over."""

    code = "timeout"
    retryable = True


class Unauthenticated(Error):
    """The registry does not accept the credentials."""

    code = "unauthenticated"


class PermissionDenied(Error):
    """The registry accepts the credentials but not this operation."""

    code = "permission_denied"


class Conflict(Error):
    """Something else already holds what was asked for."""

    code = "conflict"


class Closed(Error):
    """The client, watch or registration is closed."""

    code = "closed"


class Cancelled(Error):
    """The caller gave up on the call."""

    code = "cancelled"


class Forked(Error):
    """The handle belongs to the parent of this forked process; connect anew in the child."""

    code = "forked"


class Protocol(Error):
    """The registry answered with something that it never should."""

    code = "protocol"


class Internal(Error):
    """A defect in callsheet itself."""

    code = "internal"
