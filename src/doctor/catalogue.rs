//! The checks there are, in the order in which they are shown.

use super::check::{Check, Place};

/// Every check. docs/doctor.md has a section for each.
pub const CHECKS: [Check; 22] = [
    host(
        "kubeconfig",
        "The kubeconfig can be changed",
        "`up` puts the cluster's context there; a file that does not parse, is read-only or locked is left as it is",
    ),
    host(
        "data",
        "Sandbar's own files can be written",
        "what clusters there are is written down before anything is made",
    ),
    host(
        "dns",
        "*.localhost leads to this machine",
        "the ingress is reached at NAME.CLUSTER.localhost; browsers and curl know that by themselves, other programs ask the \
         system",
    ),
    host(
        "proxy",
        "Proxies are not used for this machine",
        "a proxy cannot reach the clusters of this machine, so that programs which use it for *.localhost get its error page",
    ),
    engine("engine-reachable", "An engine answers", "a cluster is a container of Podman or Docker"),
    engine(
        "subnets",
        "Networks do not overlap",
        "what pods and services have for addresses cannot be reached outside: a VPN's machines, the company's",
    ),
    engine("port-api", "The port of the API", "kubectl reaches the cluster there"),
    engine("port-http", "The port of the ingress", "applications are reached there"),
    engine("port-https", "The port of the ingress with TLS", "applications are reached there"),
    container(
        "container-starts",
        "A container with a node's privileges starts",
        "a node is a machine with containers of its own, so that it needs more than an application does",
    ),
    container(
        "capabilities",
        "Capabilities",
        "a node mounts, makes networks and devices, and changes users for its pods",
    ),
    container("mounts", "Mounts", "pods see what kubelet mounts for them only where mounts are shared and writable"),
    container(
        "cgroups",
        "Control groups",
        "kubelet does not start where it cannot limit the memory and processes of pods",
    ),
    container("limits", "Limits", "etcd, the API server and containerd have thousands of files open, and threads"),
    container(
        "sysctls",
        "Settings of the kernel",
        "a node forwards what pods send, and kubelet insists on some settings",
    ),
    container(
        "overlay",
        "Overlay file systems",
        "containers share the files of their image; where they cannot, every container gets a copy, which is slow and large",
    ),
    container("veth", "Networks of pods", "each pod has a network namespace and a pair of interfaces"),
    container("nftables", "nftables", "the addresses of services are rules of the kernel"),
    container(
        "inotify",
        "inotify",
        "kubelet, containerd and many applications watch files; when there are no more instances they fail with \"too many \
         open files\"",
    ),
    container("disk", "Space for volumes and images", "a full disk stops etcd, and with it the cluster"),
    container("memory", "Memory", "without enough of it the kernel ends processes of the node"),
    container(
        "clock",
        "The clock of the engine's machine",
        "certificates count from an hour before a node's start; a clock that is further off makes them invalid, and tokens too",
    ),
];

const fn host(code: &'static str, title: &'static str, why: &'static str) -> Check {
    Check { code, title, why, place: Place::Host }
}

const fn engine(code: &'static str, title: &'static str, why: &'static str) -> Check {
    Check { code, title, why, place: Place::Engine }
}

const fn container(code: &'static str, title: &'static str, why: &'static str) -> Check {
    Check { code, title, why, place: Place::Container }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use super::*;

    #[test]
    fn codes_are_unique_and_documented() {
        let codes: Vec<&str> = CHECKS.iter().map(|check| check.code).collect();
        assert_eq!(codes.len(), codes.iter().collect::<BTreeSet<_>>().len());
        let page = include_str!("../../docs/doctor.md");
        let documented: Vec<&str> = page.lines().filter_map(|line| line.strip_prefix("### ")).collect();
        assert_eq!(documented, codes, "the sections of docs/doctor.md");
    }
}
