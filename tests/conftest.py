"""Options of the whole suite."""


def pytest_addoption(parser):
    parser.addoption("--core", action="append", dest="vertebra_core", help="short for --vertebra-core")
