"""Writes stubs of Apple's frameworks that a linker takes in place of those of an SDK: the names of what they have.

usage: cargo metadata … | frameworks.py FOLDER

The names are those that the crates declare which call the frameworks; on a Mac the frameworks themselves have them.
The format is LLVM's text-based stub file (llvm/docs, "TextAPI"; tbd-version 4).
"""

import json
import pathlib
import re
import sys

FRAMEWORKS = {"core-foundation-sys": "CoreFoundation", "security-framework-sys": "Security"}
STUB = """--- !tapi-tbd
tbd-version: 4
targets: [ x86_64-macos, arm64-macos ]
install-name: '/System/Library/Frameworks/{name}.framework/Versions/A/{name}'
exports:
  - targets: [ x86_64-macos, arm64-macos ]
    symbols: [ {symbols} ]
...
"""


def declared(manifest: str) -> set[str]:
    """The functions and variables that a crate declares."""
    sources = (pathlib.Path(manifest).parent / "src").rglob("*.rs")
    return {name for source in sources for name in re.findall(r"pub (?:fn|static) (\w+)", source.read_text())}


folder = pathlib.Path(sys.argv[1])
for package in json.load(sys.stdin)["packages"]:
    if name := FRAMEWORKS.get(package["name"]):
        symbols = ", ".join(sorted(f"_{symbol}" for symbol in declared(package["manifest_path"])))
        (folder / f"{name}.framework").mkdir(parents=True)
        (folder / f"{name}.framework" / f"{name}.tbd").write_text(STUB.format(name=name, symbols=symbols))
