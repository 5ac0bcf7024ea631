"""The main job, with real processes in four languages: find each other, survive a crash, leave gracefully.

python demo.py                    # tells the story
python demo.py --registry etcd    # on an etcd that it starts, and that is itself killed and brought back meanwhile
python demo.py --registry consul  # on a Consul, the same
python demo.py --check            # tells it, and fails where it did not go as promised
"""

from __future__ import annotations

import argparse
import os
import signal
import sys

import callsheet
from registries import REGISTRIES, Registry
from stage import Cast, Timeline, milliseconds, tell


def story(registry: Registry, check: bool) -> None:
    os.environ["CALLSHEET_URL"] = registry.url
    os.environ["CALLSHEET_ADDRESS"] = "127.0.0.1"  # where the cast listens
    print(f"callsheet demo: real processes, registry {registry.url}\n")
    cast, timeline = Cast(), Timeline()
    try:
        with callsheet.connect() as client:
            client.on_change("greeter", timeline.see)
            cast.enter("ada", "bob", "cyd", "dot")
            timeline.wait("four members", lambda: len(timeline.came) == 4)
            tell(
                "a Python, a Node.js, a Go and a C program started, each an HTTP server that registered itself"
            )
            cast.until_calls(1000)
            tell(
                f"each calls them all through a picker of its own: {cast.total('answered'):,} calls, "
                f"{cast.total('failed')} failed"
            )

            registry.outage(cast, timeline)

            retried = cast.total("retried")
            cast.leave("cyd", signal.SIGKILL)
            timeline.wait("the crash to be seen", lambda: "cyd" in timeline.went)
            cast.until_calls(1000)
            crash = cast.total("retried") - retried
            gone = milliseconds(cast.told["cyd"], timeline.went["cyd"])
            tell(f"kill -9 of cyd (Go): gone from everybody's list after {gone}{registry.why_so_late};")
            tell(f"    {crash} calls met the crash and were retried elsewhere, {cast.total('failed')} failed")

            retried = cast.total("retried")
            cast.leave("bob")
            timeline.wait("the graceful exit to be seen", lambda: "bob" in timeline.went)
            status = cast["bob"].wait()
            cast.until_calls(1000)
            graceful = cast.total("retried") - retried
            tell(
                "SIGTERM to bob (Node.js): it withdrew first, finished its calls, then ended with "
                f"status {status};"
            )
            tell(f"    {graceful} calls had to be retried, {cast.total('failed')} failed")

            cast.enter("eve")
            timeline.wait("the newcomer", lambda: "eve" in timeline.came)
            cast.until_calls(1000)
            tell("eve (Python) joined, and takes its share of the calls")

            rest = ("ada", "dot", "eve")
            for name in rest:
                cast.leave(name)
            timeline.wait("everybody to leave", lambda: set(rest) <= timeline.went.keys())
            for name in rest:
                cast[name].wait()
    finally:
        cast.end()
    close(cast, timeline)
    if check:
        verify(registry, cast, timeline, graceful)


def calls_to(cast: Cast, name: str) -> int:
    """Calls that `name` answered, by those who could still tell at their end."""
    return sum(member.called[name] for member in cast.members.values())


def close(cast: Cast, timeline: Timeline) -> None:
    """The closing table."""
    head = (
        "member",
        "in",
        "called others",
        "was called",
        "seen after joining",
        "seen after going",
        "how it went",
    )
    lines = [head]
    how = {"cyd": "kill -9, and told nobody", "bob": "SIGTERM"}
    for name, member in cast.members.items():
        lines.append(
            (
                name,
                member.language,
                f"{member.answered:,}",
                f"{calls_to(cast, name):,}",
                milliseconds(member.said["joining"], timeline.came[name]),
                milliseconds(cast.told[name], timeline.went[name]),
                how.get(name, "SIGTERM at the end"),
            )
        )
    widths = [max(len(line[column]) for line in lines) for column in range(len(head))]
    print()
    for line in lines:
        print("  " + "  ".join(cell.ljust(width) for cell, width in zip(line, widths, strict=True)).rstrip())
    print(
        f"\n  {cast.total('answered'):,} calls answered, {cast.total('retried')} of them at the second attempt, "
        f"{cast.total('failed')} failed"
    )
    for failure in [failure for member in cast.members.values() for failure in member.failures][:5]:
        print(f"    {failure}")


def verify(registry: Registry, cast: Cast, timeline: Timeline, graceful: int) -> None:
    """What the story promises, with deadlines five times the promised figures."""
    problems = []
    if cast.total("failed"):
        problems.append(f"{cast.total('failed')} calls failed")
    if graceful:
        problems.append(f"the graceful exit cut {graceful} calls")
    if timeline.went["cyd"] - cast.told["cyd"] > 5e9 * registry.crash_seen_within:
        problems.append("the crash was seen too late")
    if any(calls_to(cast, name) == 0 for name in cast.members):
        problems.append("a member was never called")
    if any(member.process.returncode != 0 for name, member in cast.members.items() if name != "cyd"):
        problems.append("a graceful exit did not end with status 0")
    print(f"\n{1 if not problems else 0} passed, {len(problems)} failed")
    if problems:
        sys.exit("\n".join(problems))


def main() -> None:
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--check", action="store_true", help="fail where it did not go as promised")
    parser.add_argument(
        "--registry", choices=REGISTRIES, default="local", help="where it plays (%(default)s)"
    )
    arguments = parser.parse_args()
    with REGISTRIES[arguments.registry]() as registry:
        story(registry, arguments.check)


if __name__ == "__main__":
    main()
