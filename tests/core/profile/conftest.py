"""Makes the helper beside the tests importable: `trace_format`."""

import sys
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parent))
