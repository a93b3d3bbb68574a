"""Options and fixtures of the whole suite."""

import pytest


def pytest_addoption(parser):
    parser.addoption("--core", action="append", dest="vertebra_core", help="short for --vertebra-core")


@pytest.fixture(scope="session")
def local_cluster():
    """local_cluster(n): a Dask cluster of n worker processes on this machine, to be used by `with`."""
    return _local_cluster


def _local_cluster(workers: int):
    from distributed import LocalCluster

    for last in (False, False, True):
        try:
            return LocalCluster(
                n_workers=workers,
                processes=True,
                threads_per_worker=1,
                dashboard_address=None,
                memory_limit=0,
            )
        except AssertionError:  # its event loop has ten seconds to start, too few where others keep all cores
            if last:
                raise
