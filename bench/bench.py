#!/usr/bin/env python3
"""Measures the figures of docs/performance.md and writes its table.

Every figure is the median of at least five, taken in rounds with a calibration of the machine in each round (a trivial
`podman run --rm`, a fixed loop on one core), so that runs on different days can be compared. It works on clusters of its
own (`bench`, `bench-1` and so on), in a SANDBAR_HOME and a kubeconfig of its own, and removes them.

With `--engine docker` it is Docker's clusters that are measured (`DOCKER_HOST` says which Docker); the node image has to be in its store.

usage: bench.py [--engine podman|docker] [--sandbar PROGRAM] [--samples N] [--only GROUP,…] [--json FILE] [--write docs/performance.md]
"""

import argparse
import json
import os
import pathlib
import platform
import re
import resource
import secrets
import statistics
import subprocess
import sys
import tempfile
import time

ROOT = pathlib.Path(__file__).resolve().parent.parent
CLUSTER = "bench"
NODE = f"sandbar-{CLUSTER}"
MIB = 1 << 20
#: How long a cluster is left alone before it counts as idle, and how long one sample of its CPU time is, in seconds.
SETTLE, IDLE = 30, 60
#: What stands before and after the table of an engine, in a page.
MARKS = {
    "podman": ("<!-- bench:begin -->", "<!-- bench:end -->"),
    "docker": ("<!-- bench:docker:begin -->", "<!-- bench:docker:end -->"),
}

GROUPS = ("cli", "up", "idle", "size", "image", "ls", "many")
#: How many clusters are many.
MANY = 16
#: The checks of doctor that `up` does before it makes anything (docs/doctor.md), but for memory: doctor asks a container for
#: it, `up` reads it from the system in no time.
BEFORE_UP = ("kubeconfig", "data", "engine-reachable", "subnets", "port-api", "port-http", "port-https")


class Figure:
    """One line of the table: its samples, their unit and the target that they are held against."""

    def __init__(self, name, unit, target=None, digits=2):
        self.name, self.unit, self.target, self.digits = name, unit, target, digits
        self.samples = []

    def add(self, value):
        self.samples.append(value)

    @property
    def median(self):
        return statistics.median(self.samples)

    def row(self):
        def show(value):
            return f"{value:.{self.digits}f}"

        spread = f"{show(min(self.samples))} - {show(max(self.samples))}" if len(self.samples) > 1 else "-"
        target = "-" if self.target is None else f"{self.target:g} {self.unit}"
        return f"| {self.name} | {show(self.median)} {self.unit} | {spread} | {len(self.samples)} | {target} |"

    def report(self):
        within = None if self.target is None else self.median <= self.target
        return {"name": self.name, "unit": self.unit, "median": self.median, "samples": self.samples,
                "target": self.target, "withinTarget": within}


def say(text):
    print(text, file=sys.stderr, flush=True)


def run(*command, **options):
    """Runs a program to its end; another status than 0 ends the benchmark with what it said."""
    options.setdefault("stdin", subprocess.DEVNULL)
    done = subprocess.run(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, check=False, **options)
    if done.returncode != 0:
        words = done.stderr.decode(errors="replace").strip()
        sys.exit(f"error: {' '.join(map(str, command))} ended with status {done.returncode}\n{words}")
    return done.stdout


def timed(*command, **options):
    """The wall time of a program in seconds."""
    begin = time.monotonic()
    run(*command, **options)
    return time.monotonic() - begin


def limits():
    """Limits for containers that are not above this process' own, which an engine may be unable to raise."""
    arguments = []
    for name, which in (("nofile", resource.RLIMIT_NOFILE), ("nproc", resource.RLIMIT_NPROC)):
        hard = resource.getrlimit(which)[1]
        if hard == resource.RLIM_INFINITY:
            continue
        if name == "nproc":
            # Podman lowers its own limit to the highest process number.
            hard = min(hard, int(pathlib.Path("/proc/sys/kernel/pid_max").read_text(encoding="ascii")))
        arguments += ["--ulimit", f"{name}={hard}:{hard}"]
    return arguments


def fixed_loop():
    """A fixed amount of work for one core, in seconds."""
    begin = time.monotonic()
    total = 0
    for number in range(4_000_000):
        total = (total + number * number) & 0xFFFFFFFF
    return time.monotonic() - begin


class Node:
    """What the kernel says of a node's container, under cgroup v1 and v2."""

    def __init__(self, client, name):
        state = json.loads(run(client, "inspect", name))[0]
        self.identity, self.pid = state["Id"], state["State"]["Pid"]
        lines = pathlib.Path(f"/proc/{self.pid}/cgroup").read_text(encoding="ascii").splitlines()
        self.groups = {}
        for line in lines:
            _, controllers, path = line.split(":", 2)
            for controller in controllers.split(","):
                self.groups[controller] = path

    def folder(self, controller):
        """The container's own folder of a controller, whatever the node made below it."""
        version_one = self.groups.get(controller)
        path = version_one if version_one is not None else self.groups[""]
        at = path.index(self.identity) + len(self.identity)
        rest = path[at:]
        path = path[:at] + (rest.split("/", 1)[0] if rest else "")
        for line in pathlib.Path("/proc/mounts").read_text(encoding="ascii").splitlines():
            _, mount, kind, options = line.split(" ")[:4]
            if version_one is None and kind == "cgroup2":
                return pathlib.Path(mount + path)
            if version_one is not None and kind == "cgroup" and controller in options.split(","):
                return pathlib.Path(mount + path)
        raise LookupError(f"no mount of {controller}")

    def memory(self):
        """Anonymous and kernel memory in bytes."""
        folder = self.folder("memory")
        stat = dict(line.split() for line in (folder / "memory.stat").read_text(encoding="ascii").splitlines())
        if "anon" in stat:
            return int(stat["anon"]) + int(stat["kernel"])
        kernel = int((folder / "memory.kmem.usage_in_bytes").read_text(encoding="ascii"))
        return int(stat["total_rss"]) + kernel

    def cpu(self):
        """CPU time used so far, in seconds."""
        if "cpuacct" in self.groups:
            return int((self.folder("cpuacct") / "cpuacct.usage").read_text(encoding="ascii")) / 1e9
        stat = (self.folder("cpu") / "cpu.stat").read_text(encoding="ascii")
        return int(re.search(r"^usage_usec (\d+)$", stat, re.MULTILINE)[1]) / 1e6


class Bench:
    """The benchmark: its clusters, its figures."""

    def __init__(self, options, home):
        self.sandbar, self.samples = options.sandbar, options.samples
        self.client = os.environ.get("PODMAN", "podman") if options.engine == "podman" else options.engine
        self.home = pathlib.Path(home)
        self.environment = {
            **os.environ,
            "SANDBAR_HOME": str(self.home / "sandbar"),
            "KUBECONFIG": str(self.home / "kubeconfig"),
            "SANDBAR_ENGINE": os.environ.get("DOCKER_HOST", "docker") if options.engine == "docker" else options.engine,
            "NO_COLOR": "1",
        }
        version = json.loads(self.cli("version", "--output", "json"))
        self.version = version
        self.image = f"localhost/sandbar-node:{version['version']}"
        present = subprocess.run([self.client, "image", "inspect", self.image], check=False, stdout=subprocess.DEVNULL,
                                 stderr=subprocess.DEVNULL)
        if present.returncode != 0:
            sys.exit(f"error: {self.client} has no image {self.image}; run: make image")
        self.figures = []
        self.trivial = self.figure(f"calibration: `{self.client} run --rm` of a trivial program", "s")
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
        trivial = [self.client, "run", "--rm", *limits(), "--entrypoint", "/usr/bin/sandbarctl", self.image, "version"]
        self.trivial.add(timed(*trivial))
        self.loop.add(fixed_loop())

    def remove(self, name=CLUSTER):
        self.cli("rm", name, "--yes")

    def measure_cli(self):
        size = self.figure("CLI, stripped", "MB", 12, 1)
        size.add(pathlib.Path(self.sandbar).stat().st_size / 1e6)
        version = self.figure("`sandbar version`", "ms", 5, 1)
        for _ in range(max(self.samples, 20)):
            version.add(self.cli_timed("version") * 1e3)

    def measure_up(self):
        up = self.figure("`up` with the image present, until everything answers from the laptop", "s", 3.0)
        start = self.figure("`start` of a stopped cluster to the same state", "s", 2.2)
        stop = self.figure("`stop`", "s")
        checks = self.figure("the checks before `up`, as a command of their own (`sandbar doctor`)", "ms", 300, 1)
        for _ in range(max(self.samples, 20)):
            checks.add(self.cli_timed("doctor", *BEFORE_UP) * 1e3)
        for _ in range(self.samples):
            self.calibrate()
            up.add(self.cli_timed("up", CLUSTER, "--quiet"))
            stop.add(self.cli_timed("stop", CLUSTER))
            start.add(self.cli_timed("start", CLUSTER))
            self.remove()

    def measure_idle(self):
        memory = self.figure("idle memory: anonymous and kernel memory of the whole container", "MiB", 280, 0)
        processor = self.figure("idle CPU over one minute, of one core", "%", 2)
        self.cli("up", CLUSTER, "--quiet")
        node = Node(self.client, NODE)
        time.sleep(SETTLE)
        for _ in range(self.samples):
            begin, before = time.monotonic(), node.cpu()
            time.sleep(IDLE)
            processor.add(100 * (node.cpu() - before) / (time.monotonic() - begin))
            memory.add(node.memory() / MIB)
            self.calibrate()
        self.remove()

    def measure_size(self):
        size = self.figure("node image, compressed (zstd -10)", "MB", 120, 1)
        with subprocess.Popen([self.client, "save", self.image], stdout=subprocess.PIPE, stderr=subprocess.DEVNULL) as save:
            packed = subprocess.run(["zstd", "-10", "-T0", "-c"], stdin=save.stdout, stdout=subprocess.PIPE, check=True)
        if save.returncode != 0:
            sys.exit(f"error: {self.client} save {self.image} ended with status {save.returncode}")
        size.add(len(packed.stdout) / 1e6)

    def measure_image(self):
        load = self.figure("`image load` of 100 MB", "s")
        by_hand = self.figure(f"the same by hand: `{self.client} save`, piped into an import in the node", "s")
        ratio = self.figure("`image load` against by hand", "x", 1.0)
        again = self.figure("the same image again", "s")
        moved = self.figure("layers moved by the same image again", "layers", 0, 0)
        self.cli("up", CLUSTER, "--quiet")
        # What two programs take that both wait for the disk and the engine differs by a tenth each time.
        for number in range(3 * self.samples):
            self.calibrate()
            one, two = (self.build_image(f"{number}-{side}") for side in ("load", "hand"))
            # Whoever is first may find caches cold, so they take turns.
            if number % 2:
                hand = self.load_by_hand(two)
            loaded = self.cli_timed("image", "load", one, "--cluster", CLUSTER)
            if not number % 2:
                hand = self.load_by_hand(two)
            load.add(loaded)
            by_hand.add(hand)
            ratio.add(loaded / hand)
            begin = time.monotonic()
            report = json.loads(self.cli("image", "load", one, "--cluster", CLUSTER, "--output", "json"))
            again.add(time.monotonic() - begin)
            moved.add(sum(image["layersMoved"] for image in report["images"]))
            run(self.client, "exec", NODE, "/usr/bin/sandbarctl", "image", "rm", one, two)
            run(self.client, "rmi", one, two)
        self.remove()

    def build_image(self, tag):
        """An image of one layer of 100 MB that nothing can compress and no one has."""
        name = f"localhost/sandbar-bench:{tag}"
        folder = self.home / "context"
        folder.mkdir(exist_ok=True)
        with open(folder / "blob", "wb") as blob:
            for _ in range(100):
                blob.write(secrets.token_bytes(1_000_000))
        (folder / "Containerfile").write_text("FROM scratch\nCOPY blob /blob\n", encoding="ascii")
        run(self.client, "build", "--quiet", *limits(), "-f", str(folder / "Containerfile"), "-t", name, str(folder))
        os.sync()
        return name

    def load_by_hand(self, name):
        begin = time.monotonic()
        with subprocess.Popen([self.client, "save", name], stdout=subprocess.PIPE, stderr=subprocess.DEVNULL) as save:
            run(self.client, "exec", "-i", NODE, "/usr/bin/sandbarctl", "image", "import", stdin=save.stdout)
        if save.returncode != 0:
            sys.exit(f"error: {self.client} save {name} ended with status {save.returncode}")
        return time.monotonic() - begin

    def measure_ls(self):
        figure = self.figure("`sandbar ls` with three clusters", "ms", 30, 1)
        names = [f"{CLUSTER}-{number}" for number in (1, 2, 3)]
        for name in names:
            self.cli("up", name, "--quiet")
        for _ in range(max(self.samples, 20)):
            figure.add(self.cli_timed("ls") * 1e3)
        for name in names:
            self.remove(name)

    def measure_many(self):
        alone = self.figure("one cluster alone, for comparison", "s")
        together = self.figure(f"{MANY} clusters at once, `up` of all in parallel", "s", digits=1)
        ratio = self.figure(f"the same against {MANY} times one alone", "x", 1.0)
        memory = self.figure(f"idle memory of each of {MANY}, as above", "MiB", 280, 0)
        listed = self.figure(f"`sandbar ls` with {MANY} clusters", "ms", 40, 1)
        status = self.figure(f"`sandbar status` of one of {MANY}", "ms", 100, 1)
        names = [f"{CLUSTER}-{number}" for number in range(1, MANY + 1)]
        for number in range(self.samples):
            self.calibrate()
            alone.add(self.cli_timed("up", CLUSTER, "--quiet"))
            self.remove()
            begin = time.monotonic()
            self.all_at_once("up", names, "--quiet")
            together.add(time.monotonic() - begin)
            ratio.add(together.samples[-1] / MANY / alone.samples[-1])
            if number == self.samples - 1:
                time.sleep(SETTLE)
                for name in names:
                    memory.add(Node(self.client, f"sandbar-{name}").memory() / MIB)
                for _ in range(max(self.samples, 20)):
                    listed.add(self.cli_timed("ls") * 1e3)
                    status.add(self.cli_timed("status", names[0]) * 1e3)
            self.all_at_once("rm", names, "--yes")

    def all_at_once(self, command, names, *options):
        """Runs a command for each of the clusters, all at the same time, to the end of the last one."""
        running = [
            subprocess.Popen([self.sandbar, command, name, *options], env=self.environment, stdin=subprocess.DEVNULL,
                             stdout=subprocess.DEVNULL, stderr=subprocess.PIPE)
            for name in names
        ]
        for name, process in zip(names, running):
            words = process.communicate()[1].decode(errors="replace").strip()
            if process.returncode != 0:
                sys.exit(f"error: sandbar {command} {name} ended with status {process.returncode}\n{words}")

    def clean(self):
        """Removes what is left, whatever happened."""
        for name in (CLUSTER, *(f"{CLUSTER}-{number}" for number in range(1, MANY + 1))):
            subprocess.run([self.sandbar, "rm", name, "--yes"], env=self.environment, check=False,
                           stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)


def engine_version(engine):
    """An engine's name and version."""
    which = "Server" if engine == "docker" else "Client"
    return f"{engine.capitalize()} {run(engine, 'version', '--format', '{{.%s.Version}}' % which).decode().strip()}"


def machine(engine):
    """What the figures were measured on; `engine` in words."""
    info = pathlib.Path("/proc/cpuinfo").read_text(encoding="utf-8")
    model = re.search(r"^model name\s*:\s*(.*)$", info, re.MULTILINE)
    memory = os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES")
    groups = "v2" if pathlib.Path("/sys/fs/cgroup/cgroup.controllers").exists() else "v1"
    return {
        "processor": model[1] if model else platform.machine(),
        "cores": len(os.sched_getaffinity(0)),
        "memoryGiB": round(memory / (1 << 30), 1),
        "kernel": platform.release().split("-")[0],
        "cgroup": groups,
        "engine": engine,
        "date": time.strftime("%Y-%m-%d", time.gmtime()),
        "loadBefore": round(os.getloadavg()[0], 2),
    }


def table(figures, host, marks):
    """The part of docs/performance.md that is measured."""
    begin, end = marks
    lines = [
        begin,
        f"Measured on {host['date']}: {host['cores']} cores of {host['processor']}, {host['memoryGiB']} GiB, "
        f"Linux {host['kernel']}, cgroup {host['cgroup']}, {host['engine']}; "
        f"load before the run {host['loadBefore']}.",
        "",
        "| figure | median | lowest - highest | samples | target |",
        "|---|---|---|---|---|",
        *(figure.row() for figure in figures if figure.samples),
        end,
    ]
    return "\n".join(lines)


def write(path, text, marks):
    """Puts the table between the marks of a page."""
    begin, end = marks
    page = path.read_text(encoding="utf-8")
    if begin not in page or end not in page:
        sys.exit(f"error: {path} has no {begin} and {end}")
    before, rest = page.split(begin, 1)
    after = rest.split(end, 1)[1]
    path.write_text(before + text + after, encoding="utf-8")


def main():
    parser = argparse.ArgumentParser(description=__doc__.split("\n", 1)[0])
    parser.add_argument("--engine", choices=list(MARKS), default="podman", help="whose clusters are measured")
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
    if options.write and (options.samples < 5 or groups != list(GROUPS)):
        parser.error("--write needs all groups with at least 5 samples")
    host = machine(engine_version(options.engine))
    with tempfile.TemporaryDirectory(prefix="sandbar-bench-") as home:
        bench = Bench(options, home)
        try:
            bench.calibrate()
            for group in groups:
                say(f"Measuring: {group}")
                getattr(bench, f"measure_{group}")()
        finally:
            bench.clean()
    text = table(bench.figures, host, MARKS[options.engine])
    print(text)
    if options.json:
        options.json.parent.mkdir(parents=True, exist_ok=True)
        report = {"machine": host, "sandbar": bench.version, "figures": [f.report() for f in bench.figures if f.samples]}
        options.json.write_text(json.dumps(report, indent=2) + "\n", encoding="utf-8")
    if options.write:
        write(options.write, text, MARKS[options.engine])
    missed = [figure.name for figure in bench.figures if figure.target is not None and figure.median > figure.target]
    for name in missed:
        say(f"above its target: {name}")
    # What a figure is does not make the measuring fail; whoever calls decides by the report.


if __name__ == "__main__":
    main()
