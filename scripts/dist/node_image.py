"""Whether an unpacked archive of the node image is the image that the command-line tools of its release know.

usage: node_image.py FOLDER ARCHITECTURE VERSION DIGESTS

DIGESTS is what `images/build.sh digests` prints. Prints the image's layers, a line each, lowest first.
"""

import hashlib
import json
import pathlib
import sys


def digest(file: pathlib.Path) -> str:
    return "sha256:" + hashlib.sha256(file.read_bytes()).hexdigest()


folder, architecture, version, digests = pathlib.Path(sys.argv[1]), *sys.argv[2:]
[image] = json.loads((folder / "manifest.json").read_text())
assert image["RepoTags"] == [f"localhost/sandbar-node:{version}"], image["RepoTags"]
pin = dict(pin.split("=") for pin in digests.split(","))[architecture]
assert pin.endswith("/" + digest(folder / image["Config"])), "another image than the tools know"
about = json.loads((folder / image["Config"]).read_text())
assert (about["os"], about["architecture"]) == ("linux", architecture)
assert about["config"]["Labels"]["dev.sandbar.version"] == version
for layer, expected in zip(image["Layers"], about["rootfs"]["diff_ids"], strict=True):
    assert digest(folder / layer) == expected, f"{layer} is not what the image says"
    print(layer)
