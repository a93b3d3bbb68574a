"""What bounds a compiled kernel on a core: work and traffic of a launch, hot loops, and the core's rates.

`work`: operations and bytes, counted on the `linalg` stage.  `machine_code`: loops of the assembler
text.  `model`: both against the core's rates.  `report`, `picture`: for people.
"""
