#!/usr/bin/env python3
"""Prints the worst-case stack of a function in a linked Arm image, callees included.

usage: stack.py IMAGE FUNCTION

A frame is what the compiler wrote into the section .stack_sizes (-Zemit-stack-sizes), or, for a function of
the runtime, what its code pushes. Fails, with the reason, where there is no bound: recursion, a call through
a register, a frame of unknown size.
"""
import re
import subprocess
import sys

FUNCTION = re.compile(r"^[0-9a-f]+ <(.+)>:$")
INSTRUCTION = re.compile(r"^\s*[0-9a-f]+:\s+(\S+)\s*(.*)$")


def output(*command):
    return subprocess.run(command, check=True, capture_output=True, text=True).stdout


def registers(text, size):
    """Bytes of a register list such as {r4, r5, d8-d15, lr}."""
    count = 0
    for part in re.search(r"\{(.*)\}", text).group(1).split(","):
        ends = re.findall(r"\d+", part)
        count += int(ends[1]) - int(ends[0]) + 1 if "-" in part else 1
    return size * count


def pushed(operation, operands):
    """Bytes by which an instruction lowers the stack pointer."""
    if operation.startswith("vpush"):
        return registers(operands, 8 if "{d" in operands else 4)
    if operation.startswith("push") or operation.startswith("stmdb") and operands.startswith("sp!"):
        return registers(operands, 4)
    before = re.search(r"\[sp, #-(\d+)\]!", operands)
    if before and operation.startswith("str"):
        return int(before.group(1))
    if operation.startswith("sub") and operands.startswith("sp"):
        return int(re.search(r"#(\d+)", operands).group(1))
    return 0


def main():
    image, root = sys.argv[1:]
    frames, calls, unbounded, name = {}, {}, set(), None
    for line in output("arm-none-eabi-objdump", "-d", "--no-show-raw-insn", image).splitlines():
        if function := FUNCTION.match(line):
            name = function.group(1)
            frames[name], calls[name] = 0, set()
        elif instruction := INSTRUCTION.match(line):
            operation, operands = instruction.groups()
            frames[name] += pushed(operation, operands)
            target = re.search(r"<([^>+]+)>", operands)
            if operation.startswith("b") and target and target.group(1) != name:
                calls[name].add(target.group(1))
            elif operation.startswith("blx") or operation == "bx" and not operands.startswith("lr"):
                unbounded.add(name)
    sizes = output("llvm-readobj", "--stack-sizes", image)
    for functions, size in re.findall(r"Functions: \[(.*?)\]\s+Size: (0x[0-9A-Fa-f]+)", sizes):
        for function in functions.split(", "):
            if function in frames:
                frames[function] = max(frames[function], int(size, 16))

    def worst(name, path):
        if name in path:
            sys.exit(f"recursion: {' > '.join(path + [name])}")
        if name in unbounded or name not in frames:
            sys.exit(f"no bound for {name}, called by {' > '.join(path)}")
        return frames[name] + max((worst(callee, path + [name]) for callee in calls[name]), default=0)

    print(worst(root, []))


main()
