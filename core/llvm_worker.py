"""Code generation in a process of its own: `python -m vertebra.core.llvm_worker`.

Reads one JSON object from standard input - kind ("object" or "assembly"), triple, cpu, features,
abi, and LLVM IR text - and writes the code to standard output.  LLVM ends its process at
internal errors; here that is an exit status, and its words are on standard error.
"""

import json
import sys

import llvmlite.binding as binding


def main() -> None:
    request = json.load(sys.stdin)
    binding.initialize_all_targets()
    binding.initialize_all_asmprinters()
    binding.initialize_native_asmparser()
    try:
        machine = binding.Target.from_triple(request["triple"]).create_target_machine(
            cpu=request["cpu"],
            features=",".join(request["features"]),
            opt=2,
            reloc="pic",
            codemodel="small",
            abiname=request["abi"],
        )
        module = binding.parse_assembly(request["text"])
        module.triple = machine.triple
        module.data_layout = str(machine.target_data)
        if request["kind"] == "object":
            code = machine.emit_object(module)
        else:
            code = machine.emit_assembly(module).encode()
    except RuntimeError as error:
        sys.exit(str(error))
    sys.stdout.buffer.write(code)


if __name__ == "__main__":
    main()
