"""`python tests/servers`: the desk, for tests in other languages."""

from __future__ import annotations

import sys
from pathlib import Path

# This folder is a package of the one above, which a folder that is run doesn't know.
sys.path[0] = str(Path(__file__).resolve().parent.parent)

from servers.desk import main  # noqa: E402

main()
