"""Makes the helper beside the tests importable: `pages`."""

import sys
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parent))
