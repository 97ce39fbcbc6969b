"""Whether macOS would start a program: on Apple's processors it kills one whose signature is missing or does not fit.

usage: macho.py PROGRAM OLDEST-MACOS

Checks the signature's digests against the program's pages, and that it asks for no newer macOS than that. A signature here
is "ad hoc": digests and nobody's name. Format: mach-o/loader.h and kern/cs_blobs.h of Apple's XNU.
"""

import hashlib
import pathlib
import struct
import sys

MAGIC = 0xFEEDFACF
LC_CODE_SIGNATURE = 0x1D
LC_BUILD_VERSION = 0x32
SUPERBLOB = 0xFADE0CC0
CODE_DIRECTORY = 0xFADE0C02
SHA256 = 2


def load_commands(program: bytes) -> dict[int, bytes]:
    """The program's load commands, by their kind."""
    magic, _, _, _, count = struct.unpack_from("<5I", program)
    assert magic == MAGIC, "no 64-bit program of macOS"
    commands, at = {}, 32
    for _ in range(count):
        kind, size = struct.unpack_from("<2I", program, at)
        commands[kind] = program[at + 8 : at + size]
        at += size
    return commands


def check_signature(program: bytes, command: bytes) -> None:
    begin, size = struct.unpack_from("<2I", command)
    blob = program[begin : begin + size]
    magic, _, count = struct.unpack_from(">3I", blob)
    assert magic == SUPERBLOB, "no signature where one should be"
    parts = dict(struct.unpack_from(">2I", blob, 12 + 8 * part) for part in range(count))
    directory = blob[parts[0] :]
    magic, _, _, _, digests, _, _, pages, limit = struct.unpack_from(">9I", directory)
    digest_size, digest_kind, _, page = struct.unpack_from("4B", directory, 36)
    assert (magic, digest_kind, digest_size) == (CODE_DIRECTORY, SHA256, 32), "a signature of another kind"
    assert limit == begin, "not all of the program is signed"
    assert pages == -(-limit >> page), "pages without a digest"
    for number in range(pages):
        expected = directory[digests + 32 * number :][:32]
        content = program[number << page : min((number + 1) << page, limit)]
        assert hashlib.sha256(content).digest() == expected, f"page {number} is not what was signed"


def check_version(command: bytes, oldest: str) -> None:
    version = struct.unpack_from("<2I", command)[1]
    asked, allowed = (version >> 16, version >> 8 & 0xFF), tuple(map(int, oldest.split(".")))
    assert asked <= allowed, f"asks for macOS {asked[0]}.{asked[1]}"


program = pathlib.Path(sys.argv[1]).read_bytes()
commands = load_commands(program)
check_version(commands[LC_BUILD_VERSION], sys.argv[2])
# What Intel's Macs run need not be signed.
if signature := commands.get(LC_CODE_SIGNATURE):
    check_signature(program, signature)
else:
    assert program[4:8] != struct.pack("<I", 0x0100000C), "not signed"
