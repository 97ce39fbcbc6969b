//! The trait [`Engine`], method by method.

use std::net::IpAddr;
use std::path::{Path, PathBuf};
use std::time::Duration;

use async_trait::async_trait;
use tokio::io::{AsyncReadExt, AsyncWriteExt};

use super::behaviour::{Behaviour, Keep};
use super::checks::{broken, check_ours, check_spec, exists, foreign, is_ours, missing, ours, refused, running};
use super::state::{Network, Node, Run, State};
use super::{FakeEngine, check, end, free_subnet, node, program, settle, state, store};
use crate::engine::{
    Engine, EngineError, EngineInfo, ExecRequest, ExecSession, ImageInfo, Keeping, Kept, LABEL_CONTRACT, Labels,
    NodeSpec, NodeState, NodeStats, PortForward, Purpose, Reader, Resource, ResourceKind, Started,
};
use crate::platform::look::listen;

/// Folders that every image has; a fake one has no content.
const IMAGE_FOLDERS: [&str; 6] = ["/", "/etc", "/run", "/tmp", "/usr", "/var"];

#[async_trait]
impl Engine for FakeEngine {
    fn info(&self) -> &EngineInfo {
        &self.info
    }

    async fn create_network(&self, name: &str, labels: &Labels) -> Result<(), EngineError> {
        self.call("create_network", true, |state, _| {
            check_ours("create the network", labels)?;
            match state.networks.get(name) {
                Some(other) if is_ours(&other.labels) => Err(exists("network", name)),
                Some(_) => Err(foreign("network", name)),
                None => {
                    let network = Network { labels: labels.clone(), subnet: free_subnet(state) };
                    state.networks.insert(name.to_owned(), network);
                    Ok(())
                }
            }
        })
        .await
    }

    async fn create_volume(&self, name: &str, labels: &Labels) -> Result<(), EngineError> {
        self.call("create_volume", true, |state, _| {
            check_ours("create the volume", labels)?;
            match state.volumes.get(name) {
                Some(other) if is_ours(other) => Ok(()),
                Some(_) => Err(foreign("volume", name)),
                None => {
                    fs_err::create_dir_all(self.folder.volume(name)).map_err(|error| broken(&error))?;
                    state.volumes.insert(name.to_owned(), labels.clone());
                    Ok(())
                }
            }
        })
        .await
    }

    async fn create_node(&self, spec: &NodeSpec) -> Result<(), EngineError> {
        self.call("create_node", true, |state, _| {
            check_ours("create the node", &spec.labels)?;
            check_spec(spec)?;
            let name = &spec.name;
            match state.nodes.get(name) {
                Some(other) if is_ours(&other.labels) => return Err(exists("node", name)),
                Some(_) => return Err(foreign("node", name)),
                None => {}
            }
            if spec.purpose == Purpose::Node {
                let network = state.networks.get(name).ok_or_else(|| missing("network", name))?;
                if !is_ours(&network.labels) {
                    return Err(foreign("network", name));
                }
            }
            let volume = state.volumes.get(name).ok_or_else(|| missing("volume", name))?;
            if !is_ours(volume) {
                return Err(foreign("volume", name));
            }
            let image = store::find(&state.images, &spec.image).ok_or_else(|| missing("image", &spec.image))?;
            let node = Node {
                hostname: spec.hostname.clone(),
                labels: spec.labels.clone(),
                image_id: image.id.clone(),
                purpose: spec.purpose.clone(),
                ports: spec.ports.clone(),
                environment: spec.environment.clone(),
                memory_bytes: spec.memory_bytes,
                created: state::rfc3339(state::now_millis()),
                run: Run::Created,
                started_millis: 0,
                starts: 0,
                kept: None,
            };
            fs_err::create_dir_all(self.folder.node_root(name).join("etc")).map_err(|error| broken(&error))?;
            for (path, mode, content) in &spec.files {
                let place = self.place(name, &path.to_string_lossy())?;
                place_file(&place, *mode, content).map_err(|error| broken(&error))?;
            }
            state.nodes.insert(name.clone(), node);
            Ok(())
        })
        .await
    }

    async fn start_node(&self, name: &str) -> Result<Started, EngineError> {
        self.call("start_node", true, |state, behaviour| {
            let node = ours(&state.nodes, name)?;
            match node.run {
                Run::Running => return Ok(Started::default()),
                Run::Paused => return Err(refused("start the node", "it is paused")),
                Run::Gone => return Err(refused("start the node", "it runs already, and it does not")),
                Run::Created | Run::Exited(_) => {}
            }
            for port in &node.ports {
                let taken = || EngineError::PortTaken { port: port.host_port, address: port.host_address };
                let clashes = |other: &Node| {
                    let runs = matches!(other.run, Run::Running | Run::Paused);
                    let same = |p: &PortForward| {
                        let all = p.host_address.is_unspecified() || port.host_address.is_unspecified();
                        p.host_port == port.host_port && (all || p.host_address == port.host_address)
                    };
                    runs && other.ports.iter().any(same)
                };
                if behaviour.held_ports.contains(&port.host_port) || state.nodes.values().any(clashes) {
                    return Err(taken());
                }
                // The listener goes at once: the fake forwards nothing, it only has to see what the host holds.
                if let Err(error) = listen(port.host_address, port.host_port) {
                    return Err(match error.kind() {
                        std::io::ErrorKind::AddrInUse => taken(),
                        _ => refused(
                            "start the node",
                            &format!("bind {}:{}: {error}", port.host_address, port.host_port),
                        ),
                    });
                }
            }
            if let Purpose::Check { command } = &node.purpose {
                let ran = check::run(&self.folder, name, command, behaviour).map_err(|error| broken(&error))?;
                if let Some(node) = state.nodes.get_mut(name) {
                    (node.run, node.started_millis, node.starts) = (ran, state::now_millis(), node.starts + 1);
                }
                return Ok(Started::default());
            }
            let started = state::now_millis();
            let mut unfit = None;
            if let Some(node) = state.nodes.get_mut(name) {
                node.run = Run::Running;
                let dropped = node.kept.take().and(behaviour.kept_is_unfit.as_deref());
                unfit = dropped.map(|reason| format!("the machine's kept state is dropped: {reason}"));
                node.started_millis = started;
                node.starts += 1;
            }
            node::first_process_started(&self.folder, name, behaviour).map_err(|error| broken(&error))?;
            Ok(Started { note: unfit })
        })
        .await
    }

    async fn keep_node(&self, name: &str) -> Result<Keeping, EngineError> {
        self.call("keep_node", true, |state, behaviour| {
            running(&state.nodes, name)?;
            let bytes = match &behaviour.keep {
                Keep::Unsupported => return Ok(Keeping::Unsupported),
                Keep::Refused(reason) => return Ok(Keeping::Refused { reason: reason.clone() }),
                Keep::Kept(bytes) => *bytes,
            };
            let kept = Kept { bytes, since: jiff::Timestamp::now() };
            if let Some(node) = state.nodes.get_mut(name) {
                (node.run, node.kept) = (Run::Exited(0), Some(kept));
            }
            Ok(Keeping::Kept(kept))
        })
        .await
    }

    async fn stop_node(&self, name: &str, _grace: Duration) -> Result<(), EngineError> {
        self.call("stop_node", true, |state, behaviour| {
            ours(&state.nodes, name)?;
            if let Some(node) = state.nodes.get_mut(name) {
                match node.run {
                    Run::Running | Run::Paused => node.run = Run::Exited(behaviour.node.exit_code),
                    Run::Gone => return Err(refused("stop the node", "nobody says that it ended")),
                    Run::Created | Run::Exited(_) => {}
                }
                node.kept = None;
            }
            Ok(())
        })
        .await
    }

    async fn kill_node(&self, name: &str, signal: &str) -> Result<(), EngineError> {
        self.call("kill_node", true, |state, behaviour| {
            let node = running(&state.nodes, name)?;
            let (before, exit) = (node.run, behaviour.node.exit_code);
            let after = match signal.trim_start_matches("SIG") {
                "KILL" => Run::Exited(137),
                "TERM" | "INT" => Run::Exited(exit),
                "HUP" | "USR1" | "USR2" | "CHLD" | "CONT" | "WINCH" => before,
                other => return Err(refused("send the signal", &format!("invalid signal: {other}"))),
            };
            if let Some(node) = state.nodes.get_mut(name) {
                node.run = after;
            }
            Ok(())
        })
        .await
    }

    async fn pause_node(&self, name: &str) -> Result<(), EngineError> {
        self.call("pause_node", true, |state, _| {
            running(&state.nodes, name)?;
            if let Some(node) = state.nodes.get_mut(name) {
                node.run = Run::Paused;
            }
            Ok(())
        })
        .await
    }

    async fn unpause_node(&self, name: &str) -> Result<(), EngineError> {
        self.call("unpause_node", true, |state, _| {
            if ours(&state.nodes, name)?.run != Run::Paused {
                return Err(refused("unpause the node", "it is not paused"));
            }
            if let Some(node) = state.nodes.get_mut(name) {
                node.run = Run::Running;
            }
            Ok(())
        })
        .await
    }

    async fn remove(&self, kind: &ResourceKind, name: &str) -> Result<(), EngineError> {
        self.call("remove", true, |state, _| {
            let (what, labels) = match kind {
                ResourceKind::Node => ("node", state.nodes.get(name).map(|node| node.labels.clone())),
                ResourceKind::Volume => ("volume", state.volumes.get(name).cloned()),
                ResourceKind::Network => ("network", state.networks.get(name).map(|network| network.labels.clone())),
            };
            match labels {
                None => return Ok(()),
                Some(labels) if !is_ours(&labels) => return Err(foreign(what, name)),
                Some(_) => {}
            }
            let in_use = state.nodes.get(name).is_some_and(|node| is_ours(&node.labels));
            let gone = match kind {
                ResourceKind::Node => {
                    state.nodes.remove(name);
                    fs_err::remove_dir_all(self.folder.path().join("nodes").join(name))
                }
                _ if in_use => return Err(refused(&format!("remove the {what}"), "it is in use by the node")),
                ResourceKind::Volume => {
                    state.volumes.remove(name);
                    fs_err::remove_dir_all(self.folder.volume(name))
                }
                ResourceKind::Network => {
                    state.networks.remove(name);
                    Ok(())
                }
            };
            match gone {
                Err(error) if error.kind() != std::io::ErrorKind::NotFound => Err(broken(&error)),
                _ => Ok(()),
            }
        })
        .await
    }

    async fn inspect_node(&self, name: &str) -> Result<Option<NodeState>, EngineError> {
        self.call("inspect_node", false, |state, _| match ours(&state.nodes, name) {
            Ok(node) => Ok(Some(node_state(name, node))),
            Err(EngineError::NotFound { .. }) => Ok(None),
            Err(error) => Err(error),
        })
        .await
    }

    async fn describe(&self, kind: &ResourceKind, name: &str) -> Result<Option<serde_json::Value>, EngineError> {
        self.call("describe", false, |state, behaviour| {
            let (what, labels, mut described) = match kind {
                ResourceKind::Node => match state.nodes.get(name) {
                    Some(node) => ("node", &node.labels, serde_json::json!(node)),
                    None => return Ok(None),
                },
                ResourceKind::Volume => match state.volumes.get(name) {
                    Some(labels) => ("volume", labels, serde_json::json!({ "labels": labels })),
                    None => return Ok(None),
                },
                ResourceKind::Network => match state.networks.get(name) {
                    Some(network) => ("network", &network.labels, serde_json::json!(network)),
                    None => return Ok(None),
                },
            };
            if !is_ours(labels) {
                return Err(foreign(what, name));
            }
            if *kind == ResourceKind::Node {
                described["Env"] = serde_json::json!(behaviour.added_environment);
            }
            Ok(Some(described))
        })
        .await
    }

    async fn list_nodes(&self) -> Result<Vec<NodeState>, EngineError> {
        self.call("list_nodes", false, |state, _| {
            let ours = state.nodes.iter().filter(|(_, node)| is_ours(&node.labels));
            Ok(ours.map(|(name, node)| node_state(name, node)).collect())
        })
        .await
    }

    async fn list_resources(&self) -> Result<Vec<Resource>, EngineError> {
        self.call("list_resources", false, |state, _| {
            let resource = |kind: ResourceKind, name: &String, labels: &Labels| Resource {
                kind,
                name: name.clone(),
                labels: labels.clone(),
            };
            let nodes = state.nodes.iter().map(|(name, node)| resource(ResourceKind::Node, name, &node.labels));
            let volumes = state.volumes.iter().map(|(name, labels)| resource(ResourceKind::Volume, name, labels));
            let networks =
                state.networks.iter().map(|(name, network)| resource(ResourceKind::Network, name, &network.labels));
            Ok(nodes.chain(volumes).chain(networks).filter(|resource| is_ours(&resource.labels)).collect())
        })
        .await
    }

    async fn exec(&self, name: &str, mut request: ExecRequest) -> Result<ExecSession, EngineError> {
        let operation = node::operation(&request.command);
        let after = self.begin(&operation, false).await?;
        let check = |state: &mut State, behaviour: &Behaviour| {
            settle(state, behaviour);
            match running(&state.nodes, name)?.run {
                Run::Paused => Err(refused("run a program in the node", "it is paused")),
                _ => Ok(running(&state.nodes, name)?.environment.clone()),
            }
        };
        let environment = self.folder.look(check).map_err(|error| broken(&error))??;
        let of_node = environment.into_iter().map(|(key, value)| format!("{key}={value}"));
        request.environment = of_node.chain(request.environment).collect();
        if request.command.is_empty() {
            return Err(refused("run a program in the node", "no program given"));
        }
        let session = program::start(&self.folder, name, request, &self.programs);
        end(&operation, after)?;
        Ok(session)
    }

    async fn copy_in(&self, name: &str, directory: &str, mut archive: Reader) -> Result<(), EngineError> {
        let place = self.place(name, directory)?;
        let mut bytes = Vec::new();
        archive.read_to_end(&mut bytes).await.map_err(|error| refused("copy into the node", &error.to_string()))?;
        self.call("copy_in", true, |state, _| {
            ours(&state.nodes, name)?;
            let of_image = IMAGE_FOLDERS.contains(&directory);
            if !place.is_dir() && !of_image {
                return Err(missing("path", directory));
            }
            tar::Archive::new(bytes.as_slice())
                .unpack(&place)
                .map_err(|error| refused("copy into the node", &error.to_string()))
        })
        .await
    }

    async fn copy_out(&self, name: &str, path: &str) -> Result<Reader, EngineError> {
        let place = self.place(name, path)?;
        self.call("copy_out", false, |state, _| {
            ours(&state.nodes, name)?;
            let entry = Path::new(path).file_name().map_or_else(|| ".".into(), PathBuf::from);
            let mut builder = tar::Builder::new(Vec::new());
            let added = match fs_err::symlink_metadata(&place) {
                Ok(metadata) if metadata.is_dir() => builder.append_dir_all(entry, &place),
                Ok(_) => builder.append_path_with_name(&place, entry),
                Err(_) => return Err(missing("path", path)),
            };
            let archive = added.and_then(|()| builder.into_inner()).map_err(|error| broken(&error))?;
            Ok(Box::pin(std::io::Cursor::new(archive)) as Reader)
        })
        .await
    }

    async fn logs(&self, name: &str, follow: bool, tail: Option<u32>) -> Result<Reader, EngineError> {
        let text = self
            .call("logs", false, |state, _| {
                ours(&state.nodes, name)?;
                Ok(fs_err::read_to_string(self.folder.node_log(name)).unwrap_or_default())
            })
            .await?;
        let lines: Vec<&str> = text.lines().collect();
        let keep = tail.map_or(lines.len(), |tail| lines.len().min(tail as usize));
        let mut shown = lines[lines.len() - keep..].join("\n");
        if keep > 0 {
            shown.push('\n');
        }
        if !follow {
            return Ok(Box::pin(std::io::Cursor::new(shown.into_bytes())));
        }
        let (mut writer, reader) = tokio::io::duplex(64 * 1024);
        let (folder, name) = (self.folder.clone(), name.to_owned());
        tokio::spawn(async move {
            let mut seen = text.len();
            while writer.write_all(shown.as_bytes()).await.is_ok() {
                let ended = program::node_ended(&folder, &name).await;
                let all = fs_err::read_to_string(folder.node_log(&name)).unwrap_or_default();
                all.get(seen..).unwrap_or_default().clone_into(&mut shown);
                seen = all.len();
                if ended && shown.is_empty() {
                    break;
                }
            }
        });
        Ok(Box::pin(reader))
    }

    async fn stats(&self, name: &str) -> Result<NodeStats, EngineError> {
        self.call("stats", false, |state, _| {
            let node = running(&state.nodes, name)?;
            let millis = state::now_millis().saturating_sub(node.started_millis);
            Ok(NodeStats { memory_bytes: 200 << 20, cpu_nanos: millis * 10_000 })
        })
        .await
    }

    async fn inspect_image(&self, reference: &str) -> Result<Option<ImageInfo>, EngineError> {
        self.call("inspect_image", false, |state, _| {
            Ok(store::find(&state.images, reference).cloned().map(ImageInfo::from))
        })
        .await
    }

    async fn export_image(&self, reference: &str) -> Result<Reader, EngineError> {
        self.call("export_image", false, |state, _| {
            let image = store::find(&state.images, reference).ok_or_else(|| missing("image", reference))?;
            let archive = fs_err::read(self.folder.image_archive(&image.id))
                .map_err(|error| refused("export the image", &error.to_string()))?;
            Ok(Box::pin(std::io::Cursor::new(archive)) as Reader)
        })
        .await
    }

    async fn import_image(&self, mut archive: Reader) -> Result<Vec<String>, EngineError> {
        let mut bytes = Vec::new();
        archive.read_to_end(&mut bytes).await.map_err(|error| refused("import the image", &error.to_string()))?;
        self.call("import_image", true, |state, _| {
            store::import(&self.folder, state, &bytes).map_err(|words| refused("import the image", &words))
        })
        .await
    }

    async fn pull_image(&self, reference: &str, progress: &(dyn Fn(String) + Sync)) -> Result<(), EngineError> {
        progress(format!("Trying to pull {reference}..."));
        self.call("pull_image", true, |state, behaviour| {
            let id = behaviour.registry.get(reference);
            let id = id.ok_or_else(|| refused("pull the image", &format!("{reference}: manifest unknown")))?;
            let image = ImageInfo {
                id: id.clone(),
                names: vec![reference.to_owned()],
                labels: [(LABEL_CONTRACT.to_owned(), behaviour.node.contract_version.to_string())].into(),
                diff_ids: Vec::new(),
                architecture: behaviour.node.architecture.clone(),
                size_bytes: 1,
            };
            state.images.push(image.into());
            Ok(())
        })
        .await
    }

    async fn architecture(&self) -> Result<String, EngineError> {
        self.call("architecture", false, |_, behaviour| Ok(behaviour.node.architecture.clone())).await
    }

    async fn subnets(&self) -> Result<Vec<String>, EngineError> {
        self.call("subnets", false, |state, behaviour| {
            let own = state.networks.values().map(|network| network.subnet.clone());
            Ok(own.chain(behaviour.foreign_subnets.iter().cloned()).collect())
        })
        .await
    }
}

fn node_state(name: &str, node: &Node) -> NodeState {
    let runs = matches!(node.run, Run::Running | Run::Paused);
    NodeState {
        name: name.to_owned(),
        labels: node.labels.clone(),
        run: node.run.into(),
        ports: node.ports.clone(),
        image_id: node.image_id.clone(),
        created: node.created.clone(),
        address: runs.then_some(IpAddr::from([10, 89, 0, 2])),
        kept: node.kept,
    }
}

/// Writes a file with its mode, and the folders above it.
fn place_file(place: &Path, mode: u32, content: &[u8]) -> std::io::Result<()> {
    let (Some(folder), Some(name)) = (place.parent(), place.file_name()) else {
        return Err(std::io::ErrorKind::InvalidInput.into());
    };
    fs_err::create_dir_all(folder)?;
    let mut header = tar::Header::new_gnu();
    header.set_size(content.len() as u64);
    header.set_mode(mode);
    // An archive knows modes on every platform, as far as the platform does.
    let mut archive = tar::Builder::new(Vec::new());
    archive.append_data(&mut header, name, content)?;
    tar::Archive::new(archive.into_inner()?.as_slice()).unpack(folder)
}
