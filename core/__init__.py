"""The part of vertebra that knows no dialect, no instruction set and no core by name."""
