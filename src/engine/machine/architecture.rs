//! The architectures that machines have, and what QEMU calls what it has for each.

/// An architecture of machines.
#[derive(Debug, Clone, Copy, PartialEq, Eq, serde::Serialize, serde::Deserialize, schemars::JsonSchema)]
#[serde(rename_all = "lowercase")]
pub enum Architecture {
    /// `x86_64`.
    Amd64,
    /// `aarch64`.
    Arm64,
    /// RISC-V with 64 bits.
    Riscv64,
}

impl Architecture {
    /// All of them.
    pub const ALL: [Self; 3] = [Self::Amd64, Self::Arm64, Self::Riscv64];

    /// The architecture of that name, as images have it.
    #[must_use]
    pub fn parse(name: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|architecture| architecture.name() == name)
    }

    /// Its name, as images have it.
    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            Self::Amd64 => "amd64",
            Self::Arm64 => "arm64",
            Self::Riscv64 => "riscv64",
        }
    }

    /// The program that emulates it.
    #[must_use]
    pub fn program(self) -> &'static str {
        match self {
            Self::Amd64 => "qemu-system-x86_64",
            Self::Arm64 => "qemu-system-aarch64",
            Self::Riscv64 => "qemu-system-riscv64",
        }
    }

    /// QEMU's machine for it. PCI and virtio alone: no board has less to emulate.
    pub(super) fn machine(self) -> &'static str {
        match self {
            Self::Amd64 => "q35,vmport=off,hpet=off",
            Self::Arm64 | Self::Riscv64 => "virt",
        }
    }

    /// Whether its machine is described to the guest by a device tree; else it is by tables of the firmware.
    #[must_use]
    pub fn has_device_tree(self) -> bool {
        match self {
            Self::Amd64 => false,
            Self::Arm64 | Self::Riscv64 => true,
        }
    }

    /// Where the guest's memory begins (`hw/arm/virt.c` and `hw/riscv/virt.c` of QEMU). That of a PC has holes.
    pub(super) fn memory_base(self) -> u64 {
        match self {
            Self::Amd64 => 0,
            Self::Arm64 => 1 << 30,
            Self::Riscv64 => 2 << 30,
        }
    }

    /// The kernel's name for its serial console.
    pub(super) fn console(self) -> &'static str {
        match self {
            Self::Arm64 => "ttyAMA0",
            Self::Amd64 | Self::Riscv64 => "ttyS0",
        }
    }
}
