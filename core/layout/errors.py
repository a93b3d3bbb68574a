"""The error of the layout engine."""

from vertebra.core.errors import ConfigError


class LayoutError(ConfigError):
    """Two layouts, or a layout and a size, that do not fit; names the mode and the sizes."""
