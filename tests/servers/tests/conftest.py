"""The fixtures under test, as tests elsewhere get them."""

from __future__ import annotations

import sys
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parents[2]))

pytest_plugins = ["servers.fixtures"]
