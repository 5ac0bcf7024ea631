"""`python tests/soak --registry etcd consul --seconds 30 --seed 7`; `make soak` is the same."""

from __future__ import annotations

import argparse
import random
import sys
from pathlib import Path

# This folder is a package of the one above, which a folder that is run doesn't know.
sys.path[0] = str(Path(__file__).resolve().parent.parent)

from soak.run import GROUNDS, run  # noqa: E402
from soak.together import together  # noqa: E402


def main() -> int:
    parser = argparse.ArgumentParser(description="Random faults against registries' servers.")
    parser.add_argument(
        "--registry", nargs="+", choices=GROUNDS, default=list(GROUNDS), help="which ones (all)"
    )
    parser.add_argument("--seconds", type=float, default=30, help="how long the faults go on (%(default)s)")
    parser.add_argument("--seed", type=int, help="of a run to be repeated; without it, a new one")
    parser.add_argument("--figures", type=Path, help=argparse.SUPPRESS)
    arguments = parser.parse_args()
    seed = arguments.seed if arguments.seed is not None else random.SystemRandom().randrange(10**9)
    if arguments.figures:
        return run(arguments.registry[0], seed, arguments.seconds, arguments.figures)
    return together(arguments.registry, seed, arguments.seconds)


if __name__ == "__main__":
    sys.exit(main())
