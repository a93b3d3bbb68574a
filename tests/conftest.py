"""Options of the whole suite."""


def pytest_addoption(parser):
    parser.addoption("--core", action="append", dest="core", help="test this core only (repeatable)")
