"""What is said where Triton cannot write to the folder in which it keeps kernels."""

import functools

from vertebra.core.errors import ConfigError


def install() -> None:
    """Idempotent.  Failures of Triton's cache to write become errors that name the setting."""
    from triton.runtime.cache import FileCacheManager

    for method in ("__init__", "put"):
        if not hasattr(getattr(FileCacheManager, method), "vertebra"):
            setattr(FileCacheManager, method, _explained(getattr(FileCacheManager, method)))


def _explained(method):
    @functools.wraps(method)
    def explained(manager, *args, **kwargs):
        try:
            return method(manager, *args, **kwargs)
        except OSError as error:
            from triton import knobs

            raise ConfigError(
                f"Triton's cache cannot be written: {error.filename or knobs.cache.dir}: {error.strerror}",
                fix="set TRITON_CACHE_DIR to a folder that can be written",
            ) from None

    explained.vertebra = True
    return explained
