//! What an engine says of itself, as far as it decides whether a node can run there.

/// cgroup controllers without which a kubelet does not start.
const CONTROLLERS: [&str; 3] = ["cpu", "memory", "pids"];

/// What a rootless engine lacks, in words.
fn rootless_lacks(cgroup_version: &str, has: impl Fn(&str) -> bool, name: &str) -> Option<String> {
    if cgroup_version != "2" {
        return Some(format!(
            "without root it needs cgroup v2, and this host has cgroup v{cgroup_version}; a {name} run by root works"
        ));
    }
    let missing: Vec<_> = CONTROLLERS.into_iter().filter(|controller| !has(controller)).collect();
    (!missing.is_empty()).then(|| {
        format!(
            "the cgroup controllers {} are not delegated to this user; a {name} run by root works",
            missing.join(", ")
        )
    })
}

/// Podman's `GET /libpod/info`.
pub(super) mod podman {
    use serde::Deserialize;

    #[derive(Debug, Deserialize)]
    pub struct Description {
        pub host: Host,
    }

    #[derive(Debug, Deserialize)]
    #[serde(rename_all = "camelCase")]
    pub struct Host {
        pub cgroup_version: String,
        #[serde(default)]
        pub cgroup_controllers: Vec<String>,
        pub security: Security,
    }

    #[derive(Debug, Deserialize)]
    pub struct Security {
        pub rootless: bool,
    }

    impl Host {
        /// What it lacks for a node, in words.
        pub fn lacks(&self) -> Option<String> {
            let has = |controller: &str| self.cgroup_controllers.iter().any(|have| have == controller);
            let version = self.cgroup_version.trim_start_matches('v');
            if self.security.rootless { super::rootless_lacks(version, has, "Podman") } else { None }
        }
    }
}

/// Docker's `GET /info`.
pub(super) mod docker {
    use serde::Deserialize;

    #[derive(Debug, Deserialize)]
    #[serde(rename_all = "PascalCase")]
    pub struct Description {
        #[serde(rename = "OSType", default)]
        pub system: String,
        #[serde(default)]
        pub security_options: Option<Vec<String>>,
        /// Since 20.10.
        #[serde(default)]
        pub cgroup_version: String,
        #[serde(default)]
        pub memory_limit: bool,
        #[serde(default)]
        pub cpu_cfs_quota: bool,
        #[serde(default)]
        pub pids_limit: bool,
    }

    impl Description {
        /// Whether it runs as an ordinary user.
        pub fn is_rootless(&self) -> bool {
            self.security_options.iter().flatten().any(|option| option == "name=rootless")
        }

        /// What it lacks for a node, in words.
        pub fn lacks(&self) -> Option<String> {
            if self.system == "windows" {
                return Some("it runs Windows containers; a node needs Linux ones".to_owned());
            }
            let has = |controller: &str| match controller {
                "cpu" => self.cpu_cfs_quota,
                "memory" => self.memory_limit,
                _ => self.pids_limit,
            };
            if self.is_rootless() { super::rootless_lacks(&self.cgroup_version, has, "Docker") } else { None }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_rootless_podman_needs_delegated_controllers() {
        let lacks = |version: &str, controllers: &[&str], rootless: bool| {
            let host = serde_json::json!({
                "cgroupVersion": version, "cgroupControllers": controllers, "security": { "rootless": rootless },
            });
            serde_json::from_value::<podman::Host>(host).unwrap().lacks()
        };
        assert_eq!(lacks("v2", &["cpu", "io", "memory", "pids"], true), None);
        let words = lacks("v2", &["memory", "pids"], true).unwrap();
        assert!(words.starts_with("the cgroup controllers cpu are not delegated"), "{words}");
        let words = lacks("v1", &[], true).unwrap();
        assert!(words.starts_with("without root it needs cgroup v2, and this host has cgroup v1"), "{words}");
        assert_eq!(lacks("v1", &[], false), None, "as of a virtual machine's superuser");
    }

    #[test]
    fn a_docker_says_whose_it_is_and_what_it_can() {
        let read = |text: &str| serde_json::from_str::<docker::Description>(text).unwrap();
        let roots =
            read(r#"{"OSType":"linux","SecurityOptions":["name=seccomp,profile=default"],"CgroupVersion":"1"}"#);
        assert_eq!((roots.is_rootless(), roots.lacks()), (false, None));
        let users = r#"{"OSType":"linux","SecurityOptions":["name=seccomp,profile=default","name=rootless","name=cgroupns"],
            "CgroupVersion":"2","MemoryLimit":true,"CpuCfsQuota":false,"PidsLimit":true}"#;
        let users = read(users);
        assert!(users.is_rootless());
        let words = users.lacks().unwrap();
        assert!(words.starts_with("the cgroup controllers cpu are not delegated to this user; a Docker"), "{words}");
        let windows = read(r#"{"OSType":"windows","SecurityOptions":null}"#);
        assert_eq!(windows.lacks().unwrap(), "it runs Windows containers; a node needs Linux ones");
    }
}
