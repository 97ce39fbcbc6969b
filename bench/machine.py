#!/usr/bin/env python3
"""Measures the figures of machines and writes their table into docs/performance.md.

A board of its own, a Cortex-A72 with neither a slow disk nor a slow network, and a machine of this host's own architecture, both
as QEMU translates them. The sets that they start from have to be there: `make machine-image` and
`make machine-image ARCH=arm64`. It works with a SANDBAR_HOME and a kubeconfig of its own, and removes what it made.

usage: machine.py [--sandbar PROGRAM] [--samples N] [--only GROUP,…] [--json FILE] [--write docs/performance.md]
"""

import argparse
import base64
import http.client
import json
import os
import pathlib
import re
import ssl
import subprocess
import sys
import tarfile
import tempfile
import time

import bench
from bench import MIB, ROOT, Figure, fixed_loop, run, say, timed

BOARD = "cortex-a72"
CLUSTER = "bench"
GROUPS = ("size", "cold", "copy", "kept", "own")
#: The port of its API, where its readiness is asked for while a command is under way.
API_PORT = 26443
MARKS = ("<!-- bench:machine:begin -->", "<!-- bench:machine:end -->")
#: How long a board is left alone before it counts as idle, in seconds.
SETTLE = 60
PROFILE = f"""
name = "{BOARD}"
title = "A Cortex-A72 and nothing else"
architecture = "arm64"
cores = 4
notEmulated = []

[cpu]
model = "cortex-a72"

[memory]
default = "4Gi"

[disk]
size = "20Gi"
"""


class Bench:
    """The benchmark: its machines, its figures."""

    def __init__(self, options, home):
        self.sandbar, self.samples = options.sandbar, options.samples
        self.home = pathlib.Path(home)
        self.environment = {
            **os.environ,
            "SANDBAR_HOME": str(self.home / "sandbar"),
            "KUBECONFIG": str(self.home / "kubeconfig"),
            "SANDBAR_ENGINE": "machine",
            "NO_COLOR": "1",
        }
        self.profile = self.home / f"{BOARD}.toml"
        self.profile.write_text(PROFILE, encoding="ascii")
        self.version = json.loads(self.cli("version", "--output", "json"))
        self.archives = {}
        self.figures = []
        self.loop = self.figure("calibration: a fixed loop on one core", "s")

    def figure(self, name, unit, target=None, digits=2):
        figure = Figure(name, unit, target, digits)
        self.figures.append(figure)
        return figure

    def cli(self, *arguments, **options):
        return run(self.sandbar, *arguments, env=self.environment, **options)

    def cli_timed(self, *arguments):
        return timed(self.sandbar, *arguments, env=self.environment)

    def calibrate(self):
        self.loop.add(fixed_loop())

    def archive(self, architecture):
        """The set of an architecture, packed but not compressed."""
        if architecture not in self.archives:
            folder = ROOT / "build" / architecture / "machine"
            if not (folder / "manifest.json").exists():
                sys.exit(f"error: {folder} is not there; run: make machine-image ARCH={architecture}")
            path = self.home / f"{architecture}.tar"
            with tarfile.open(path, "w") as archive:
                for name in ("manifest.json", "kernel", "initramfs", "system.img", "data.img"):
                    archive.add(folder / name, name)
            self.archives[architecture] = path
        return str(self.archives[architecture])

    def up(self, name, *options):
        return self.cli_timed("up", name, "--quiet", "--timeout", "10m", *options)

    def board(self, name, *options):
        return self.up(name, "--device", str(self.profile), "--node-image", self.archive("arm64"), *options)

    def until_ready(self, *arguments):
        """Runs a command; seconds until the API said for the first time that it is ready, and until the command was through."""
        context = ssl.create_default_context()
        context.check_hostname, context.verify_mode = False, ssl.CERT_NONE
        begin = time.monotonic()
        command = subprocess.Popen([self.sandbar, *arguments], env=self.environment, stdout=subprocess.DEVNULL)
        ready = None
        while ready is None and command.poll() is None:
            api = http.client.HTTPSConnection("127.0.0.1", API_PORT, timeout=60, context=context)
            try:
                api.request("GET", "/readyz")
                if api.getresponse().status == 200:
                    ready = time.monotonic() - begin
            except OSError:
                time.sleep(0.005)
            finally:
                api.close()
        if command.wait() != 0 or ready is None:
            sys.exit(f"error: {' '.join(arguments)} ended with {command.returncode}, ready after {ready}")
        return ready, time.monotonic() - begin

    def remove(self, name=CLUSTER):
        self.cli("rm", name, "--yes")

    def machine(self):
        """What the machine's folder has."""
        return self.home / "sandbar" / "data" / "machines" / f"sandbar-{CLUSTER}"

    def status(self):
        return json.loads(self.cli("status", CLUSTER, "--output", "json"))

    def measure_size(self):
        size = self.figure("set of one architecture, compressed (zstd -19)", "MB", 130, 1)
        for archive in sorted((ROOT / "build" / "dist").glob("sandbar-machine-*.tar.zst")):
            size.add(archive.stat().st_size / 1e6)

    def measure_cold(self):
        two = self.figure("cold `up` of a Cortex-A72 with 2 cores and 3 GiB, until everything answers from the laptop", "s", 20, 1)
        first = self.figure("of which kernel and initramfs, until the node's first program", "s", 4, 1)
        four = self.figure("the same with 4 cores and 4 GiB", "s", 25, 1)
        memory = self.figure("host memory of an idle board of 4 GiB", "MiB", 1024, 0)
        # The set gets into Sandbar's store with the first.
        self.board(CLUSTER, "--cold")
        self.remove()
        for number in range(self.samples):
            self.calibrate()
            two.add(self.board(CLUSTER, "--cold", "--cpus", "2", "--memory", "3Gi"))
            log = (self.machine() / "supervisor.log").read_text(encoding="utf-8")
            first.add(int(re.findall(r"says hello millis=([0-9]+)", log)[-1]) / 1000)
            self.remove()
            four.add(self.board(CLUSTER, "--cold"))
            if number == self.samples - 1:
                time.sleep(SETTLE)
                memory.add(self.status()["memoryBytes"] / MIB)
            self.remove()

    def measure_copy(self):
        first = self.figure("`up` of the first board with 2 cores and 3 GiB, which keeps the state of its kind", "s", digits=1)
        kept = self.figure("that state on disk", "MB", 400, 0)
        ready = self.figure("`up` of another one from that state, until its API answers, with an identity of its own", "s", 5, 1)
        whole = self.figure("the same, until everything answers from the laptop", "s", digits=1)
        board = ("--cpus", "2", "--memory", "3Gi")
        first.add(self.board(CLUSTER, *board))
        self.remove()
        for state in (self.home / "sandbar" / "data" / "machine-images").glob("*/templates/*/state"):
            kept.add(state.stat().st_blocks * 512 / 1e6)
        again = ("up", CLUSTER, "--quiet", "--timeout", "10m", "--api-port", str(API_PORT), "--device", str(self.profile))
        for _ in range(self.samples):
            self.calibrate()
            seconds = self.until_ready(*again, "--node-image", self.archive("arm64"), *board)
            ready.add(seconds[0])
            whole.add(seconds[1])
            self.remove()

    def measure_kept(self):
        stop = self.figure("`stop` of that board with 2 cores, which keeps its state", "s")
        state = self.figure("kept state on disk", "MB", 400, 0)
        ready = self.figure("`start` of it, until its API answers", "s", 0.5)
        start = self.figure("the same, until everything answers from the laptop", "s")
        pod = self.figure("after that, until a new pod runs", "s", 6, 1)
        self.board(CLUSTER, "--cpus", "2", "--memory", "3Gi", "--api-port", str(API_PORT))
        image = self.pause_image()
        time.sleep(SETTLE)
        for number in range(self.samples):
            self.calibrate()
            stop.add(self.cli_timed("stop", CLUSTER))
            files = [file for file in self.machine().rglob("*") if file.is_file() and "state" in file.name]
            state.add(sum(file.stat().st_blocks * 512 for file in files) / 1e6)
            seconds = self.until_ready("start", CLUSTER, "--quiet")
            ready.add(seconds[0])
            start.add(seconds[1])
            begin = time.monotonic()
            self.run_pod(f"bench-{number}", image)
            pod.add(time.monotonic() - begin)
        self.remove()

    def pause_image(self):
        """The name of the image that each node has."""
        images = json.loads(self.cli("image", "ls", "--cluster", CLUSTER, "--output", "json"))["images"]
        return next(name for image in images for name in image["names"] if "pause" in name)

    def run_pod(self, name, image):
        """Runs a pod and waits until it is ready, by the API itself: a kubectl of this host may not fit, and the node's own would be
        translated, which takes longer than the pod."""
        pods = "/api/v1/namespaces/default/pods"
        pod = {
            "metadata": {"name": name},
            "spec": {
                "restartPolicy": "Never",
                "containers": [{"name": name, "image": image, "imagePullPolicy": "Never"}],
            },
        }
        api = http.client.HTTPSConnection("127.0.0.1", API_PORT, timeout=120, context=self.credentials())
        try:
            api.request("POST", pods, json.dumps(pod), {"Content-Type": "application/json"})
            answer = api.getresponse()
            made = json.loads(answer.read())
            if answer.status != 201:
                sys.exit(f"error: the pod was not made: {made}")
            version = made["metadata"]["resourceVersion"]
            api.request("GET", f"{pods}?watch=1&fieldSelector=metadata.name={name}&resourceVersion={version}")
            for line in api.getresponse():
                conditions = json.loads(line)["object"]["status"].get("conditions", [])
                if any(one["type"] == "Ready" and one["status"] == "True" for one in conditions):
                    return
        finally:
            api.close()
        sys.exit(f"error: {name} did not become ready")

    def credentials(self):
        """What the cluster's user and its API show each other."""
        kubeconfig = (self.home / "kubeconfig").read_text(encoding="utf-8")
        files = []
        for name in ("certificate-authority-data", "client-certificate-data", "client-key-data"):
            files.append(self.home / name)
            files[-1].write_bytes(base64.b64decode(re.findall(rf"^ *{name}: *(\S+)", kubeconfig, re.MULTILINE)[-1]))
        context = ssl.create_default_context(cafile=files[0])
        context.load_cert_chain(files[1], files[2])
        return context

    def measure_own(self):
        own = {"x86_64": "amd64", "aarch64": "arm64"}[os.uname().machine]
        # The set gets into Sandbar's store with the first.
        self.up(CLUSTER, "--cold", "--node-image", self.archive(own))
        self.remove()
        cold = self.figure("cold `up --engine machine`, this host's own architecture", "s", 20, 1)
        for _ in range(self.samples):
            self.calibrate()
            cold.add(self.up(CLUSTER, "--cold", "--node-image", self.archive(own)))
            self.remove()

    def clean(self):
        """Removes what is left, whatever happened."""
        subprocess.run([self.sandbar, "rm", CLUSTER, "--yes"], env=self.environment, check=False,
                       stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)


def main():
    parser = argparse.ArgumentParser(description=__doc__.split("\n", 1)[0])
    parser.add_argument("--sandbar", default=str(ROOT / "target/release/sandbar"), help="the program to measure")
    parser.add_argument("--samples", type=int, default=5, help="samples a figure; at least 5 count")
    parser.add_argument("--only", default=",".join(GROUPS), help=f"groups of figures, of {', '.join(GROUPS)}")
    parser.add_argument("--json", type=pathlib.Path, help="where to write all samples")
    parser.add_argument("--write", type=pathlib.Path, help="page whose table is replaced")
    options = parser.parse_args()
    groups = options.only.split(",")
    unknown = [group for group in groups if group not in GROUPS]
    if unknown:
        parser.error(f"no such group: {', '.join(unknown)}")
    qemu = run("qemu-system-aarch64", "--version").decode().split()[3]
    host = bench.machine(f"QEMU {qemu}")
    with tempfile.TemporaryDirectory(prefix="sandbar-bench-") as home:
        measured = Bench(options, home)
        try:
            for group in groups:
                say(f"Measuring: {group}")
                getattr(measured, f"measure_{group}")()
        finally:
            measured.clean()
    text = bench.table(measured.figures, host, MARKS)
    print(text)
    if options.json:
        report = {"machine": host, "sandbar": measured.version, "figures": [f.report() for f in measured.figures if f.samples]}
        options.json.write_text(json.dumps(report, indent=2) + "\n", encoding="utf-8")
    if options.write:
        bench.write(options.write, text, MARKS)
    for figure in measured.figures:
        if figure.target is not None and figure.samples and figure.median > figure.target:
            say(f"above its target: {figure.name}")


if __name__ == "__main__":
    main()
