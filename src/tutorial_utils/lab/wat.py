"""A small assembler for WebAssembly: the folded text that kernel.wat is written in, to bytes.

It knows the few instructions that the kernel uses, and nothing else: enough for 1 kB of code, and
no tool to install. A test compares its bytes with those of the wabt tools (through wasmtime).
"""

import re
from itertools import groupby

CODES = {
    "i32.add": "6a", "i32.sub": "6b", "i32.shl": "74", "i32.lt_u": "49", "i32.gt_s": "4a",
    "f32x4.add": "fde401", "f32x4.mul": "fde601", "f32x4.pmin": "fdea01", "f32x4.pmax": "fdeb01",
    "f32x4.splat": "fd13", "v128.load": "fd00", "v128.load32_splat": "fd09", "v128.store": "fd0b",
    "local.get": "20", "local.set": "21", "local.tee": "22", "br_if": "0d", "i32.const": "41",
}  # fmt: skip
ALIGNMENTS = {"v128.load": 4, "v128.load32_splat": 2, "v128.store": 4}  # as powers of two
TYPES = {"i32": 0x7F, "f32": 0x7D, "v128": 0x7B}


def number(n: int, signed: bool = False) -> bytes:
    """Return a whole number as LEB128: seven bits in each byte, the lowest first."""
    out = bytearray()
    while True:
        byte, n = n & 0x7F, n >> 7
        if (n == 0 and not (signed and byte & 0x40)) or (n == -1 and byte & 0x40):
            return bytes([*out, byte])
        out.append(byte | 0x80)


def parse(text: str) -> list:
    """Return the module as nested lists of words; comments begin with two semicolons."""
    stack = [[]]
    for word in re.findall(r'"[^"]*"|[()]|[^\s()"]+', re.sub(r";;.*", "", text)):
        if word == "(":
            stack.append([])
        elif word == ")":
            done = stack.pop()
            stack[-1].append(done)
        else:
            stack[-1].append(word)
    return stack[0][0]


def vector(items: list[bytes]) -> bytes:
    """Return how many items there are, and the items."""
    return number(len(items)) + b"".join(items)


def section(code: int, items: list[bytes]) -> bytes:
    """Return a section of the module: its code, its length in bytes, its items."""
    body = vector(items)
    return bytes([code]) + number(len(body)) + body


def name(quoted: str) -> bytes:
    """Return a quoted word as its length and its bytes."""
    text = quoted.strip('"').encode()
    return number(len(text)) + text


def instruction(form: list, variables: list[str], loops: list[str]) -> bytes:
    """Return one instruction behind those that make its operands."""
    code, *rest = form
    if code == "loop":  # 03, no result (40), what is inside, the end (0b)
        inside = (instruction(f, variables, [*loops, rest[0]]) for f in rest[1:])
        return b"\x03\x40" + b"".join(inside) + b"\x0b"
    words = [word for word in rest if isinstance(word, str)]
    operands = (instruction(f, variables, loops) for f in rest if isinstance(f, list))
    out = b"".join(operands) + bytes.fromhex(CODES[code])
    if code in ALIGNMENTS:
        offset = int(words[0].removeprefix("offset=")) if words else 0
        return out + number(ALIGNMENTS[code]) + number(offset)
    if code == "br_if":  # a loop is named by how many others lie between
        return out + number(loops[::-1].index(words[0]))
    if code.startswith("local."):
        return out + number(variables.index(words[0]))
    return out + number(int(words[0]), signed=True) if code == "i32.const" else out


def assemble(text: str) -> bytes:
    """Return the bytes of a module that imports one memory and exports functions."""
    memory, *functions = parse(text)[1:]
    types, exports, bodies = [], [], []
    for _, export, *forms in functions:
        declared = [f for f in forms if f[0] in ("param", "local")]
        parameters = [bytes([TYPES[f[2]]]) for f in declared if f[0] == "param"]
        types.append(b"\x60" + vector(parameters) + b"\0")  # a function without a result
        kinds = groupby(TYPES[f[2]] for f in declared if f[0] == "local")
        body = vector([number(len(list(run))) + bytes([kind]) for kind, run in kinds])
        for form in forms[len(declared) :]:
            body += instruction(form, [f[1] for f in declared], [])
        body += b"\x0b"
        bodies.append(number(len(body)) + body)
        exports.append(name(export[1]) + b"\0" + number(len(exports)))
    module, field = memory[1][1:]
    imported = name(module) + name(field) + b"\x02\0" + number(int(memory[2]))
    return (
        b"\0asm\x01\0\0\0"
        + section(1, types)
        + section(2, [imported])
        + section(3, [number(i) for i in range(len(types))])
        + section(7, exports)
        + section(10, bodies)
    )
