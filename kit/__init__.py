"""The conformance kit: what every core must do, as a plugin of pytest.

`pytest --vertebra-core NAME` runs the suite on an installed core, from any folder.
"""
