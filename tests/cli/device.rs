//! Devices: what there is, what is wrong with a profile, and clusters that are one.

use insta::assert_snapshot;

use crate::sandbox::Sandbox;

/// A profile of this machine's own architecture, so that the fake engine can run it.
const BOARD: &str = "name = \"my-board\"\ntitle = \"My board\"\narchitecture = \"amd64\"\ncores = 2\n\
                     notEmulated = [\"its relays\"]\n[memory]\ndefault = \"2Gi\"\nchoices = [\"1Gi\", \"2Gi\"]\n\
                     [disk]\nsize = \"8Gi\"\nwriteIops = 300\n[network]\ndownloadKbit = 2500\nlatencyMillis = 40\n\
                     lossPercent = 0.5\n";

#[test]
fn devices_are_listed() {
    let sandbox = Sandbox::without_image();
    assert_snapshot!(sandbox.run(&["device", "ls"]), @r"
    NAME  DEVICE  ARCHITECTURE  CPU  CORES  MEMORY  DISK
    raspberry-pi-4  Raspberry Pi 4 Model B  arm64  cortex-a72  4  4Gi (or 2Gi, 8Gi)  32Gi
    raspberry-pi-5  Raspberry Pi 5  arm64  cortex-a76  4  4Gi (or 2Gi, 8Gi, 16Gi)  32Gi
    jetson-tx1  NVIDIA Jetson TX1 Developer Kit  arm64  cortex-a57  4  4Gi  16Gi
    jetson-orin-nano  NVIDIA Jetson Orin Nano Developer Kit  arm64  cortex-a76  6  8Gi (or 4Gi)  64Gi
    x86-edge  x86 edge device  amd64  -  2  2Gi  10Gi
    arm64  generic arm64  arm64  -  2  2Gi  20Gi
    riscv64  generic riscv64  riscv64  -  2  2Gi  20Gi
    ----- exit code 0
    ");
    assert_snapshot!(sandbox.run(&["device", "ls", "--output", "name"]), @r"
    raspberry-pi-4
    raspberry-pi-5
    jetson-tx1
    jetson-orin-nano
    x86-edge
    arm64
    riscv64
    ----- exit code 0
    ");
    let report = sandbox.json(&["device", "ls"]);
    assert_eq!((&report["schemaVersion"], &report["devices"][0]["name"]), (&1.into(), &"raspberry-pi-4".into()));
}

#[test]
fn a_device_is_shown_whole() {
    let sandbox = Sandbox::without_image();
    assert_snapshot!(sandbox.run(&["device", "show", "jetson-orin-nano"]), @r"
    jetson-orin-nano: NVIDIA Jetson Orin Nano Developer Kit

      architecture  arm64
      model  NVIDIA Jetson Orin Nano Developer Kit
      cpu  cortex-a76
                    the board has Cortex-A78AE cores, which QEMU does not have: Cortex-A76 is the nearest, of the same Armv8.2-A
      cores  6
      memory  8Gi (or 4Gi)
      disk  64Gi; as fast as this host's
      network  1000 Mbit/s in, 1000 Mbit/s out
      label  node.kubernetes.io/instance-type=jetson-orin-nano
      label  sandbar.dev/device=jetson-orin-nano
      label  sandbar.dev/soc=tegra234
      evicts at  imagefs.available < 15%, imagefs.inodesFree < 5%, memory.available < 100Mi, nodefs.available < 10%, nodefs.inodesFree < 5%
      images  unused ones are removed when the disk is 85 % full, down to 80 %
      not emulated  the Ampere GPU with CUDA and tensor cores, and the video decoders
      not emulated  GPIO, I2C, SPI and the camera connectors
      not emulated  Wi-Fi, Bluetooth and the PCIe connectors
      not emulated  the board's devices: the machine is QEMU's virt, with virtio disks and network
      not emulated  the processor's speed: instructions take as long as this host takes
    ----- exit code 0
    ");
    assert_snapshot!(sandbox.run(&["device", "show", "raspberry-pi-4", "--output", "json"]), @r#"
    {
      "schemaVersion": 1,
      "name": "raspberry-pi-4",
      "title": "Raspberry Pi 4 Model B",
      "architecture": "arm64",
      "model": "Raspberry Pi 4 Model B",
      "cores": 4,
      "notEmulated": [
        "the VideoCore VI GPU and its video codecs",
        "GPIO, I2C, SPI and the camera and display connectors",
        "Wi-Fi and Bluetooth",
        "the board's devices: the machine is QEMU's virt, with virtio disks and network",
        "the processor's speed: instructions take as long as this host takes"
      ],
      "cpu": {
        "model": "cortex-a72"
      },
      "memory": {
        "default": "4Gi",
        "choices": [
          "2Gi",
          "4Gi",
          "8Gi"
        ]
      },
      "disk": {
        "size": "32Gi",
        "readBytesPerSecond": 50000000,
        "writeBytesPerSecond": 50000000,
        "readIops": 3200,
        "writeIops": 1200
      },
      "network": {
        "downloadKbit": 1000000,
        "uploadKbit": 1000000
      },
      "labels": {
        "node.kubernetes.io/instance-type": "raspberry-pi-4",
        "sandbar.dev/soc": "bcm2711"
      },
      "kubelet": {
        "evictionHard": {
          "imagefs.available": "15%",
          "imagefs.inodesFree": "5%",
          "memory.available": "100Mi",
          "nodefs.available": "10%",
          "nodefs.inodesFree": "5%"
        },
        "imageGCHighThresholdPercent": 85,
        "imageGCLowThresholdPercent": 80
      }
    }
    ----- exit code 0
    "#);
    let text = sandbox.succeed(&["device", "show", "raspberry-pi-4", "--toml"]);
    sandbox.write("board.toml", &text);
    // What it prints is a profile of one's own.
    let again = sandbox.json(&["device", "show", "./board.toml"]);
    assert_eq!(again, sandbox.json(&["device", "show", "raspberry-pi-4"]));
}

#[test]
fn a_profile_of_ones_own_is_shown_or_what_is_wrong_with_it() {
    let sandbox = Sandbox::without_image();
    sandbox.write("board.toml", BOARD);
    assert_snapshot!(sandbox.run(&["device", "show", "board.toml"]), @r"
    my-board: My board

      architecture  amd64
      model  what QEMU says of itself
      cpu  the best that QEMU has
      cores  2
      memory  2Gi (or 1Gi)
      disk  8Gi; 300 writes/s
      network  2500 kbit/s in, 40 ms more for a round trip, TIME % of the packets lost
      label  sandbar.dev/device=my-board
      evicts at  imagefs.available < 15%, imagefs.inodesFree < 5%, memory.available < 100Mi, nodefs.available < 10%, nodefs.inodesFree < 5%
      images  unused ones are removed when the disk is 85 % full, down to 80 %
      not emulated  its relays
    ----- exit code 0
    ");
    sandbox.write("board.toml", &BOARD.replace("writeIops", "writeIpos"));
    assert_snapshot!(sandbox.run(&["device", "show", "board.toml"]), @r"
    stderr:
    error: board.toml, line 11: unknown key `writeIpos`
    hint: did you mean `writeIops`?
    ----- exit code 2
    ");
    sandbox.write("board.toml", &BOARD.replace("cores = 2", "cores = 0"));
    assert_snapshot!(sandbox.run(&["up", "--device", "./board.toml"]), @r"
    stderr:
    error: ./board.toml, line 4: `cores`: has to be from 1 to 64
    hint: `sandbar schema device` prints all keys and their values, `sandbar device show raspberry-pi-4 --toml` a profile that works
    ----- exit code 2
    ");
    assert_snapshot!(sandbox.run(&["device", "show", "./none.toml"]), @r"
    stderr:
    error: cannot read the device profile ./none.toml: there is no such file
    hint: `sandbar device ls` lists the profiles that come with this sandbar; a path is one of your own
    ----- exit code 2
    ");
    assert_snapshot!(sandbox.run(&["device", "show", "rasberry-pi-4"]), @r"
    stderr:
    error: there is no device rasberry-pi-4
    hint: did you mean `raspberry-pi-4`?
    ----- exit code 2
    ");
    assert_snapshot!(sandbox.run(&["device", "show", "pi"]), @r"
    stderr:
    error: there is no device pi
    hint: there is: raspberry-pi-4, raspberry-pi-5, jetson-tx1, jetson-orin-nano, x86-edge, arm64, riscv64; a profile of your own is a path, such as ./my-board.toml
    ----- exit code 2
    ");
}

#[test]
fn the_schema_of_profiles_is_printed() {
    let sandbox = Sandbox::without_image();
    let schema: serde_json::Value = serde_json::from_str(&sandbox.succeed(&["schema", "device"])).unwrap();
    assert_eq!(schema["additionalProperties"], false);
    assert_eq!(schema["properties"]["notEmulated"]["type"], "array");
    let cluster: serde_json::Value = serde_json::from_str(&sandbox.succeed(&["schema"])).unwrap();
    assert_eq!(cluster["properties"]["kind"]["const"], "Cluster");
}

#[test]
fn a_cluster_is_the_device_that_it_was_made_as() {
    let sandbox = Sandbox::new();
    sandbox.write("board.toml", BOARD);
    assert_snapshot!(sandbox.run(&["up", "--device", "./board.toml", "--memory", "3Gi", "--cpus", "4"]), @r"
    ✓ cluster default is ready after TIME

      node  default in fake 1.0.0
      kubernetes  v1.37.2
      context  sandbar-default, current (~/.kube/config)
      api  https://127.0.0.1:PORT
      http  http://*.default.localhost
      https  https://*.default.localhost
      phases  engine TIME, image TIME, container TIME, node TIME, laptop TIME

    next: sandbar kubectl get nodes
    ----- stderr:
    no My board has 3Gi of memory; there are those with 1Gi, 2Gi
    My board has 2 cores, not 4
    ----- exit code 0
    ");
    let config = sandbox.path("engine/nodes/sandbar-default/root/etc/sandbar/config.yaml");
    let config = std::fs::read_to_string(config).unwrap();
    assert!(
        config.contains("\"sandbar.dev/device\": \"my-board\"") && config.contains("\"memory.available\": \"100Mi\"")
    );
    assert_eq!(sandbox.json(&["status"])["device"], "my-board");
    assert_eq!(sandbox.json(&["ls"])["clusters"][0]["device"], "my-board");
    assert!(sandbox.succeed(&["ls"]).lines().all(|line| line.contains("DEVICE") || line.contains("my-board")));
    // It stays one, whatever becomes of the file.
    std::fs::remove_file(sandbox.path("board.toml")).unwrap();
    assert_eq!(sandbox.json(&["up"])["outcome"], "unchanged");
    assert_snapshot!(sandbox.run(&["up", "--device", "x86-edge", "--recreate"]), @r"
    stderr:
    error: cluster default cannot change its device: a cluster keeps it for its life
    hint: `sandbar rm default` and `sandbar up` make a new one, without what is in it now
    ----- exit code 2
    ");
    sandbox.write("board.toml", &BOARD.replace("300", "400"));
    assert_snapshot!(sandbox.run(&["up", "--device", "./board.toml"]), @r"
    stderr:
    error: cluster default exists with other settings
    hint: what would change:
          device.disk.writeIops: 300 → 400
    hint: `sandbar up default --recreate` makes the node anew with them and keeps its data
    ----- exit code 2
    ");
    assert_eq!(sandbox.json(&["up", "--device", "./board.toml", "--recreate"])["outcome"], "recreated");
}

#[test]
fn the_cluster_file_names_a_device() {
    let sandbox = Sandbox::new();
    sandbox.write("board.toml", BOARD);
    let file = "apiVersion: sandbar.dev/v1alpha1\nkind: Cluster\nspec: {device: board.toml}\n";
    sandbox.write("sandbar.yaml", file);
    sandbox.succeed(&["up"]);
    assert_eq!(sandbox.json(&["status"])["device"], "my-board");
    sandbox.write("sandbar.yaml", &file.replace("board.toml", "rapsberry-pi-5"));
    assert_snapshot!(sandbox.run(&["up"]), @r"
    stderr:
    using cluster file ./sandbar.yaml
    error: there is no device rapsberry-pi-5
    hint: did you mean `raspberry-pi-5`?
    ----- exit code 2
    ");
}

#[test]
fn what_cannot_play_a_device_is_said_before_anything_is_made() {
    let sandbox = Sandbox::new();
    assert_snapshot!(sandbox.run(&["up", "--device", "raspberry-pi-4", "--engine", "podman"]), @r"
    stderr:
    error: Raspberry Pi 4 Model B is played by a machine, but the engine that was asked for is podman
    hint: leave the engine out, or the device
    ----- exit code 2
    ");
    assert_snapshot!(sandbox.run(&["up", "--device", "raspberry-pi-4"]), @r"
    stderr:
    error: fake could not run a node of arm64: it runs amd64
    ----- exit code 1
    ");
    assert_snapshot!(sandbox.run(&["up", "--emulate-binaries", "--engine", "podman"]), @r"
    stderr:
    error: programs of another architecture are emulated in machines, but the engine that was asked for is podman
    hint: `--engine machine` does it; containers run what their host does, where `qemu-user-static` is installed on it
    ----- exit code 2
    ");
    assert_eq!(sandbox.remains(), Vec::<String>::new());
    let machines = |arguments: &[&str]| {
        let output = sandbox.command(arguments).env("SANDBAR_ENGINE", "machine").output().unwrap();
        sandbox.show(&output)
    };
    // There is no QEMU on its path.
    assert_snapshot!(machines(&["up", "--device", "raspberry-pi-4"]), @r"
    stderr:
    error: qemu-system-aarch64 is not installed
    hint: install QEMU 9 or later, which has it: on Debian and Ubuntu the package qemu-system-arm, on Fedora qemu-system-aarch64, on macOS `brew install qemu`, on Windows `winget install SoftwareFreedomConservancy.QEMU`
    ----- exit code 3
    ");
    // There is one, and not for that architecture.
    sandbox.write("bin/qemu-system-x86_64", "#!/bin/sh\necho QEMU emulator version 10.0.2\n");
    let mode = std::os::unix::fs::PermissionsExt::from_mode(0o755);
    std::fs::set_permissions(sandbox.path("bin/qemu-system-x86_64"), mode).unwrap();
    assert_snapshot!(machines(&["up", "--device", "raspberry-pi-4"]), @r"
    stderr:
    error: qemu-system-aarch64 is not installed
    hint: install QEMU 9 or later, which has it: on Debian and Ubuntu the package qemu-system-arm, on Fedora qemu-system-aarch64, on macOS `brew install qemu`, on Windows `winget install SoftwareFreedomConservancy.QEMU`
    ----- exit code 3
    ");
    assert_snapshot!(machines(&["doctor", "engine-reachable", "--device", "riscv64"]), @r"
    CHECK  RESULT  FOUND
    engine-reachable  failed  qemu-system-riscv64 is not installed

    engine-reachable
      why  a cluster is a container of Podman or Docker
      help  install QEMU 9 or later, which has it: on Debian and Ubuntu the package qemu-system-riscv (before Debian 13, qemu-system-misc), on Fedora qemu-system-riscv, on macOS `brew install qemu`, on Windows `winget install SoftwareFreedomConservancy.QEMU`

    0 passed, 0 with a warning, 1 failed, 0 skipped
    ----- stderr:
    error: this machine is not fit for a cluster: engine-reachable
    ----- exit code 3
    ");
    assert_eq!(sandbox.remains(), Vec::<String>::new());
}
