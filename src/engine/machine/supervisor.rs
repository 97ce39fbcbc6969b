//! The one process that owns a machine: it starts QEMU, tells the guest what it is, answers commands, and outlives them.
//!
//! A supervisor whose predecessor was killed takes over the QEMU that still runs.

use std::io::{Read, Seek, SeekFrom};
use std::net::{IpAddr, Ipv4Addr, TcpListener};
use std::path::{Path, PathBuf};
use std::time::{Duration, SystemTime};

use jiff::Timestamp;
use serde_json::json;
use tokio::io::{AsyncBufReadExt, AsyncWriteExt, BufReader, ReadHalf, WriteHalf};
use tokio::sync::{broadcast, mpsc, oneshot, watch};
use tokio::task::JoinSet;
use tokio::time::Instant;

use super::accelerator::{Candidate, Tried, candidates};
use super::arguments::{Accelerator, Architecture, MachineArguments, arguments};
use super::control::{self, Boot, BootNetwork, BootSsh, FromGuest, ToGuest};
use super::folder::{self, MachineFolder, MachineRecord, Meant, Places, Powered};
use super::forwards::{self, ForwardError};
use super::image_set::ImageSet;
use super::keys::Keys;
use super::qmp::{Qmp, QmpError, QmpEvent};
use super::random;
use super::wire::{self, Answer, PortTaken, Request, State, Status};
use crate::engine::{Labels, PortForward};
use crate::error::chain;
use crate::platform::{Channel, Connection, Listener, Platform};
use crate::process::{Foreground, Program};

/// How long QEMU may take to listen for commands.
const QEMU: Duration = Duration::from_secs(20);
/// How long it may take for one.
const COMMAND: Duration = Duration::from_secs(20);
/// How soon a guest that this host runs itself shows a sign of life: it takes less than a second.
const LIFE: Duration = Duration::from_secs(8);
/// The same for one that is translated.
const TRANSLATED_LIFE: Duration = Duration::from_mins(2);
/// How long a guest may take beyond the node's grace to stop.
const OFF: Duration = Duration::from_secs(25);
/// How often this host's clocks are compared.
const CLOCK: Duration = Duration::from_secs(2);
/// By how much they go apart when this host slept or its clock was set.
const JUMP: Duration = Duration::from_secs(1);
/// How often is tried to start a machine that ends by itself before it is ready.
const TRIES: u32 = 3;
/// How long those who wait for an answer get to hear it.
const LAST_WORDS: Duration = Duration::from_secs(2);
/// How often a socket that is about to be there is tried; QEMU has no way to tell.
const AGAIN: Duration = Duration::from_millis(5);
/// How many lines of the console a failure has.
const TAIL: usize = 15;

/// Exit status of a machine that was killed, as a container's is.
pub(super) const KILLED: i64 = 137;
/// Exit status of a machine that cannot go on.
const BROKEN: i64 = 1;

/// What a supervisor needs.
pub struct Supervised {
    /// The machine.
    pub folder: MachineFolder,
    /// Where machines are.
    pub places: Places,
    /// QEMU's programs, by their names.
    pub qemu: PathBuf,
    /// The environment that QEMU gets.
    pub environment: Vec<(String, String)>,
    /// The system.
    pub platform: &'static dyn Platform,
}

/// Why there is no supervision.
#[derive(Debug, thiserror::Error)]
pub enum SupervisorError {
    /// Another one runs.
    #[error("the machine has a supervisor already")]
    Held,
    /// There is no such machine.
    #[error("there is no such machine")]
    NoMachine,
    /// A file or a socket.
    #[error(transparent)]
    System(#[from] std::io::Error),
}

/// What a command has the supervisor do.
enum Order {
    Stop { grace: Duration },
    Kill,
    Pause(oneshot::Sender<Result<(), String>>),
    Unpause(oneshot::Sender<Result<(), String>>),
    SetPorts { ports: Vec<PortForward>, labels: Labels, told: oneshot::Sender<Answer> },
}

/// How a machine's run ended.
enum End {
    /// As somebody wanted.
    Meant,
    /// By itself, or in no way that was meant.
    Unmeant { reason: String },
    /// The host's own way to run it does not work.
    Lifeless,
}

/// Runs a machine until it is off.
pub async fn supervise(supervised: Supervised) -> Result<(), SupervisorError> {
    let Supervised { folder, platform, .. } = &supervised;
    let lock = std::fs::File::create(folder.lock())?;
    lock.try_lock().map_err(|_| SupervisorError::Held)?;
    let record: MachineRecord = folder::read(&folder.node())?.ok_or(SupervisorError::NoMachine)?;
    let listener = platform.listen(&folder.supervisor(*platform)?)?;
    let (status, _) = watch::channel(Status {
        state: State::Starting,
        process: None,
        version: None,
        accelerator: None,
        because: String::new(),
        ssh: None,
        phases: Vec::new(),
        taken: None,
    });
    let (orders, ordered) = mpsc::channel(16);
    let answering = tokio::spawn(answer(listener, status.subscribe(), orders));
    let mut machine = Machine { supervised: &supervised, record, status, ordered };
    let (code, reason) = machine.keep().await;
    machine.record.meant = Meant::Ended { code };
    let written = folder::write(&folder.node(), &machine.record);
    let removed = folder::remove(&folder.powered());
    machine.status.send_modify(|status| {
        status.state = State::Ended { code, reason };
        status.process = None;
    });
    drop(machine);
    // It ends once everybody who waited was answered.
    let _ = tokio::time::timeout(LAST_WORDS, answering).await;
    written?;
    removed?;
    drop(lock);
    Ok(())
}

/// Answers commands until the machine is off and everyone has heard it.
async fn answer(mut listener: Box<dyn Listener>, status: watch::Receiver<Status>, orders: mpsc::Sender<Order>) {
    let mut calls = JoinSet::new();
    let mut ended = status.clone();
    loop {
        tokio::select! {
            call = listener.accept() => match call {
                Ok(connection) => {
                    calls.spawn(take(connection, status.clone(), orders.clone()));
                }
                Err(error) => tracing::debug!(%error, "a call was lost"),
            },
            () = over(&mut ended) => break,
            Some(_) = calls.join_next() => {}
        }
    }
    while calls.join_next().await.is_some() {}
}

/// Waits until the machine is off.
async fn over(status: &mut watch::Receiver<Status>) {
    // A supervisor that is gone has none either.
    let _ = status.wait_for(|status| matches!(status.state, State::Ended { .. })).await;
}

async fn take(connection: Box<dyn Connection>, status: watch::Receiver<Status>, orders: mpsc::Sender<Order>) {
    let mut connection = BufReader::new(connection);
    let Some(request) = wire::receive::<Request>(&mut connection).await else { return };
    let answer = done(request, status, orders).await;
    if let Err(error) = wire::send(connection.get_mut(), &answer).await {
        tracing::debug!(%error, "who asked is gone");
    }
}

async fn done(request: Request, mut status: watch::Receiver<Status>, orders: mpsc::Sender<Order>) -> Answer {
    let is_over = |status: &Status| matches!(status.state, State::Ended { .. });
    let (reply, told) = oneshot::channel();
    let order = match request {
        Request::Status => return Answer::Status(status.borrow().clone()),
        Request::Ready => {
            let is_up = |status: &Status| matches!(status.state, State::Running | State::Paused);
            return settled(&mut status, |status| is_up(status) || is_over(status)).await;
        }
        Request::Stop { grace_millis } => Order::Stop { grace: Duration::from_millis(grace_millis) },
        Request::Kill => Order::Kill,
        Request::Pause => Order::Pause(reply),
        Request::Unpause => Order::Unpause(reply),
        Request::SetPorts { ports, labels } => {
            let (told, answer) = oneshot::channel();
            let _ = orders.send(Order::SetPorts { ports, labels, told }).await;
            return answer.await.unwrap_or_else(|_| Answer::Failed { reason: "the machine is off".to_owned() });
        }
    };
    let waits_for_end = matches!(order, Order::Stop { .. } | Order::Kill);
    // Where the machine is off, nobody takes orders, and the answer says so.
    let _ = orders.send(order).await;
    if waits_for_end {
        return settled(&mut status, is_over).await;
    }
    match told.await {
        Ok(Ok(())) => Answer::Status(status.borrow().clone()),
        Ok(Err(reason)) => Answer::Failed { reason },
        Err(_) => Answer::Failed { reason: "the machine is off".to_owned() },
    }
}

async fn settled(status: &mut watch::Receiver<Status>, is_so: impl FnMut(&Status) -> bool) -> Answer {
    match status.wait_for(is_so).await {
        Ok(status) => Answer::Status(status.clone()),
        Err(_) => Answer::Failed { reason: "the supervisor ended".to_owned() },
    }
}

/// The machine of a supervisor.
struct Machine<'a> {
    supervised: &'a Supervised,
    record: MachineRecord,
    status: watch::Sender<Status>,
    ordered: mpsc::Receiver<Order>,
}

/// A QEMU that runs.
struct Qemu {
    qmp: Qmp,
    events: broadcast::Receiver<QmpEvent>,
    control: ControlLines,
    to_guest: WriteHalf<Box<dyn Connection>>,
    /// None where it is the child of a supervisor before this one.
    child: Option<Foreground>,
    powered: Powered,
}

type ControlLines = BufReader<ReadHalf<Box<dyn Connection>>>;

impl Machine<'_> {
    /// Keeps it running until it is meant to be off; returns what its exit status is, and why where that was not meant.
    async fn keep(&mut self) -> (i64, Option<String>) {
        match self.take_over().await {
            Ok(Some(qemu)) => match self.run(qemu, true).await {
                End::Meant => return (0, None),
                End::Unmeant { reason } => tracing::debug!(reason, "it ended under a new supervisor"),
                End::Lifeless => {}
            },
            Ok(None) => {}
            Err(error) => tracing::debug!(%error, "what runs is not taken over"),
        }
        let tried_path = self.supervised.places.run.join("accelerators.json");
        let platform = self.supervised.platform;
        let mut tried = Tried::read(&tried_path, platform);
        let host = Architecture::parse(crate::artifact::host_architecture());
        let own = platform.accelerator().map(|name| match name {
            "hvf" => Accelerator::Hvf,
            "whpx" => Accelerator::Whpx,
            _ => Accelerator::Kvm,
        });
        let mut list = candidates(self.record.architecture, host, own, &tried).into_iter();
        let Some(mut candidate) = list.next() else { return (BROKEN, Some("nothing could run it".to_owned())) };
        let mut failures = 0;
        loop {
            let run = match self.power_on(&candidate).await {
                Ok(qemu) => self.run(qemu, false).await,
                Err(reason) => End::Unmeant { reason },
            };
            let was_ready = self.status.borrow().state == State::Running;
            let reason = match run {
                End::Meant => return (0, None),
                End::Lifeless => {
                    let words = format!("the machine showed no sign of life within {LIFE:?}");
                    if let Err(error) = tried.note(candidate.accelerator, &words, &tried_path) {
                        tracing::debug!(%error, "it will be tried again");
                    }
                    words
                }
                End::Unmeant { reason } => reason,
            };
            self.status.send_modify(|status| status.state = State::Starting);
            if self.status.borrow().taken.is_some() {
                return (BROKEN, Some(reason));
            }
            if candidate.accelerator != Accelerator::Tcg && !was_ready {
                // Whatever kept it from starting, translation works everywhere.
                if let Some(next) = list.next() {
                    candidate = Candidate { because: format!("{}: {reason}", candidate.accelerator.name()), ..next };
                    continue;
                }
            }
            failures = if was_ready { 0 } else { failures + 1 };
            if failures >= TRIES {
                return (BROKEN, Some(format!("{reason}{}", self.last_lines())));
            }
            tracing::info!(reason, "the machine is started again");
        }
    }

    /// The QEMU of a supervisor that is gone.
    async fn take_over(&self) -> Result<Option<Qemu>, String> {
        let folder = &self.supervised.folder;
        let text = |error: std::io::Error| error.to_string();
        let Some(powered) = folder::read::<Powered>(&folder.powered()).map_err(text)? else { return Ok(None) };
        if !powered.ready {
            // It may wait for what its supervisor has told it or not.
            self.supervised.platform.kill_group(powered.process).map_err(text)?;
            return Ok(None);
        }
        let qmp = folder.qmp(self.supervised.platform).map_err(text)?;
        let Ok(stream) = self.supervised.platform.call(&qmp).await else { return Ok(None) };
        let qmp = Qmp::connect(stream, COMMAND).await.map_err(|error| error.to_string())?;
        let paused = qmp.execute("query-status", json!({}), COMMAND).await.map_err(|error| error.to_string())?;
        self.status.send_modify(|status| {
            "it ran already".clone_into(&mut status.because);
            status.state = if paused["running"] == true { State::Running } else { State::Paused };
        });
        self.connected(qmp, None, powered).await.map(Some)
    }

    /// Starts QEMU; an error says in words why it does not run.
    async fn power_on(&self, candidate: &Candidate) -> Result<Qemu, String> {
        let Supervised { folder, places, platform, .. } = self.supervised;
        let text = |error: std::io::Error| error.to_string();
        let image = ImageSet::of(places, &self.record.image_id).map_err(|error| error.to_string())?;
        let program = self.supervised.qemu.with_file_name(self.record.architecture.program());
        let ssh = free_port().map_err(text)?;
        let (qmp, control) = (folder.qmp(*platform).map_err(text)?, folder.control(*platform).map_err(text)?);
        for channel in [&qmp, &control] {
            // What a killed QEMU left would be called in place of the new one.
            if let Channel::Socket(path) = channel {
                folder::remove(path).map_err(text)?;
            }
        }
        let list = arguments(&MachineArguments {
            name: self.record.name.clone(),
            architecture: self.record.architecture,
            accelerator: candidate.accelerator,
            cpu: None,
            cores: self.record.cores,
            memory_mib: self.record.memory_mib,
            kernel: image.kernel(),
            initramfs: image.initramfs(),
            system: image.system(),
            kernel_arguments: image.manifest.kernel_arguments.clone(),
            data: folder.disk(),
            console: folder.console(),
            log: folder.node_log(),
            qmp: qmp.clone(),
            control: control.clone(),
            ssh,
            ports: self.record.ports.clone(),
        });
        let log = std::fs::OpenOptions::new().append(true).create(true).open(folder.log()).map_err(text)?;
        let before = log.metadata().map_err(text)?.len();
        let qemu = Program::new(program).args(&list).envs(self.supervised.environment.iter().map(|(n, v)| (n, v)));
        let mut child = qemu.background(log).map_err(|error| chain(&error))?;
        let powered = Powered {
            process: child.id().unwrap_or_default(),
            ssh,
            accelerator: candidate.accelerator,
            since: Timestamp::now(),
            ready: false,
        };
        folder::write(&folder.powered(), &powered).map_err(text)?;
        self.status.send_modify(|status| {
            status.process = Some(powered.process);
            status.accelerator = Some(candidate.accelerator);
            status.because.clone_from(&candidate.because);
            status.ssh = Some(ssh);
            status.phases.clear();
            status.taken = None;
        });
        let connected = tokio::select! {
            connected = called(*platform, &qmp) => connected,
            ended = child.wait() => {
                let words = said_since(&folder.log(), before);
                self.status.send_modify(|status| status.taken = port_taken(&words));
                let code = ended.map_or_else(|error| error.to_string(), |code| code.to_string());
                return Err(format!("QEMU ended with {code}: {}", words.trim()));
            }
        };
        let qmp = Qmp::connect(connected.map_err(text)?, COMMAND).await.map_err(|error| error.to_string())?;
        let version = qmp.version().to_owned();
        self.status.send_modify(|status| status.version = Some(version));
        let qemu = self.connected(qmp, Some(child), powered).await?;
        // Nothing of what the guest says is lost from here on.
        qemu.qmp.execute("cont", json!({}), COMMAND).await.map_err(|error| error.to_string())?;
        Ok(qemu)
    }

    async fn connected(&self, qmp: Qmp, child: Option<Foreground>, powered: Powered) -> Result<Qemu, String> {
        let Supervised { folder, platform, .. } = self.supervised;
        let events = qmp.events();
        let control = folder.control(*platform).map_err(|error| error.to_string())?;
        let control = called(*platform, &control).await.map_err(|error| error.to_string())?;
        let (control, to_guest) = tokio::io::split(control);
        let (ssh, accelerator) = (powered.ssh, powered.accelerator);
        self.status.send_modify(|status| {
            status.ssh = Some(ssh);
            status.accelerator = Some(accelerator);
            status.process = Some(powered.process);
            status.version = Some(qmp.version().to_owned());
        });
        Ok(Qemu { qmp, events, control: BufReader::new(control), to_guest, child, powered })
    }

    /// Sees a machine through to its end.
    async fn run(&mut self, mut qemu: Qemu, boots_no_more: bool) -> End {
        let translated = qemu.powered.accelerator == Accelerator::Tcg;
        let mut sign =
            Some(Instant::now() + if translated { TRANSLATED_LIFE } else { LIFE }).filter(|_| !boots_no_more);
        let mut off: Option<Instant> = None;
        let mut clock = tokio::time::interval(CLOCK);
        let mut before = (SystemTime::now(), Instant::now());
        let mut line = Vec::new();
        let mut failure: Option<String> = None;
        loop {
            let deadline = [sign, off].into_iter().flatten().min();
            tokio::select! {
                read = qemu.control.read_until(b'\n', &mut line) => match read {
                    Ok(0) | Err(_) => return self.ended(qemu, off.is_some(), failure).await,
                    Ok(_) => {
                        let message = FromGuest::parse(&line);
                        line.clear();
                        let Some(message) = message else { continue };
                        sign = None;
                        if let Err(reason) = self.heard(&mut qemu, message).await {
                            failure = Some(reason);
                        }
                    }
                },
                event = qemu.events.recv() => match event {
                    Ok(event) if event.name == "GUEST_PANICKED" => failure = Some("its kernel panicked".to_owned()),
                    Ok(_) | Err(broadcast::error::RecvError::Lagged(_)) => {}
                    Err(broadcast::error::RecvError::Closed) => return self.ended(qemu, off.is_some(), failure).await,
                },
                Some(order) = self.ordered.recv() => {
                    if let Some(deadline) = self.obey(&mut qemu, order).await {
                        off = Some(deadline);
                    }
                }
                _ = clock.tick() => {
                    let now = (SystemTime::now(), Instant::now());
                    let passed = now.1 - before.1;
                    let shown = now.0.duration_since(before.0).unwrap_or_default();
                    if shown.abs_diff(passed) > JUMP && self.status.borrow().state == State::Running {
                        set_clock(&mut qemu).await;
                    }
                    before = now;
                }
                () = tokio::time::sleep_until(deadline.unwrap_or_else(Instant::now)), if deadline.is_some() => {
                    if off.is_some() {
                        tracing::info!("it did not stop in time");
                        quit(&qemu).await;
                        return self.ended(qemu, true, failure).await;
                    }
                    quit(&qemu).await;
                    let _ = self.ended(qemu, false, None).await;
                    if translated {
                        return End::Unmeant { reason: format!("the machine showed no sign of life within {TRANSLATED_LIFE:?}") };
                    }
                    return End::Lifeless;
                }
            }
        }
    }

    /// What a guest said; an error is why it cannot go on.
    async fn heard(&mut self, qemu: &mut Qemu, message: FromGuest) -> Result<(), String> {
        let phase = |name: &str, millis: u64| (name.to_owned(), millis);
        match message {
            FromGuest::Hello { version, .. } => {
                if version > control::VERSION {
                    return Err(format!(
                        "the machine speaks version {version} of its messages, this sandbar {}",
                        control::VERSION
                    ));
                }
                let boot = self.boot().map_err(|error| format!("the machine cannot be told what it is: {error}"))?;
                let sent = qemu.to_guest.write_all(boot.line().as_bytes()).await;
                sent.map_err(|error| format!("the machine cannot be told what it is: {error}"))?;
                self.status.send_modify(|status| status.phases.push(phase("hello", 0)));
            }
            FromGuest::Phase { name, millis } => {
                self.status.send_modify(|status| status.phases.push((name, millis)));
            }
            FromGuest::Ready { millis } => {
                qemu.powered.ready = true;
                if let Err(error) = folder::write(&self.supervised.folder.powered(), &qemu.powered) {
                    tracing::debug!(%error, "another supervisor would not take it over");
                }
                self.status.send_modify(|status| {
                    status.phases.push(phase("ready", millis));
                    status.state = State::Running;
                });
            }
            FromGuest::Failed { reason } => return Err(reason),
            FromGuest::Refused { name, reason } if name == "boot" => {
                return Err(format!("the machine does not take what it is told that it is: {reason}"));
            }
            FromGuest::Refused { name, reason } => tracing::warn!(name, reason, "the machine refused"),
            FromGuest::ClockSet | FromGuest::Stopped | FromGuest::Unknown => {}
        }
        Ok(())
    }

    fn boot(&self) -> Result<ToGuest, String> {
        let keys = Keys::read(&self.supervised.folder.keys()).map_err(|error| error.to_string())?;
        let unusable = |error: super::keys::KeysError| error.to_string();
        Ok(ToGuest::Boot(Box::new(Boot {
            time: Timestamp::now(),
            entropy: fresh()?,
            hostname: self.record.hostname.clone(),
            files: self.record.files.clone(),
            environment: self.record.environment.clone(),
            ssh: BootSsh {
                host_key: keys.host_pem().map_err(unusable)?,
                authorized_keys: vec![keys.client_public().map_err(unusable)?],
            },
            network: BootNetwork::of_qemu(),
            model: None,
        })))
    }

    /// Does as ordered; returns until when the machine has to be off then.
    async fn obey(&mut self, qemu: &mut Qemu, order: Order) -> Option<Instant> {
        let words = |error: QmpError| error.to_string();
        match order {
            Order::Kill => {
                self.status.send_modify(|status| status.state = State::Stopping);
                quit(qemu).await;
                Some(Instant::now() + COMMAND)
            }
            Order::Stop { grace } => {
                let paused = self.status.borrow().state == State::Paused;
                self.status.send_modify(|status| status.state = State::Stopping);
                if paused && let Err(error) = qemu.qmp.execute("cont", json!({}), COMMAND).await {
                    tracing::debug!(%error, "it cannot be thawed to be stopped");
                }
                let grace_millis = u64::try_from(grace.as_millis()).unwrap_or(u64::MAX);
                let stop = ToGuest::Stop { grace_millis }.line();
                if !qemu.powered.ready || qemu.to_guest.write_all(stop.as_bytes()).await.is_err() {
                    // Nothing runs in it yet that could be stopped in order.
                    quit(qemu).await;
                }
                Some(Instant::now() + grace + OFF)
            }
            Order::SetPorts { ports, labels, told } => {
                let _ = told.send(self.set_ports(qemu, ports, labels).await);
                None
            }
            Order::Pause(told) => {
                let paused = qemu.qmp.execute("stop", json!({}), COMMAND).await.map(drop).map_err(words);
                if paused.is_ok() {
                    self.status.send_modify(|status| status.state = State::Paused);
                }
                let _ = told.send(paused);
                None
            }
            Order::Unpause(told) => {
                let thawed = qemu.qmp.execute("cont", json!({}), COMMAND).await.map(drop).map_err(words);
                if thawed.is_ok() {
                    set_clock(qemu).await;
                    self.status.send_modify(|status| status.state = State::Running);
                }
                let _ = told.send(thawed);
                None
            }
        }
    }

    /// Has other ports lead into the machine, now and when it is started again.
    async fn set_ports(&mut self, qemu: &Qemu, ports: Vec<PortForward>, labels: Labels) -> Answer {
        match forwards::change(&qemu.qmp, &self.record.ports, &ports).await {
            Err(ForwardError::Taken(taken)) => return Answer::Taken(taken),
            Err(error) => return Answer::Failed { reason: error.to_string() },
            Ok(()) => {}
        }
        self.record.ports = ports;
        self.record.labels = labels;
        match folder::write(&self.supervised.folder.node(), &self.record) {
            Ok(()) => Answer::Status(self.status.borrow().clone()),
            Err(error) => Answer::Failed { reason: format!("its ports are changed until it is stopped: {error}") },
        }
    }

    /// What the end of QEMU means, once it is really gone.
    async fn ended(&self, mut qemu: Qemu, meant: bool, failure: Option<String>) -> End {
        let gone = async {
            match &mut qemu.child {
                Some(child) => drop(child.wait().await),
                // The connection is the sign of life of a process that is nobody's child.
                None => while !matches!(qemu.events.recv().await, Err(broadcast::error::RecvError::Closed)) {},
            }
        };
        if tokio::time::timeout(COMMAND, gone).await.is_err()
            && let Err(error) = self.supervised.platform.kill_group(qemu.powered.process)
        {
            tracing::debug!(%error, "QEMU was not killed");
        }
        if let Err(error) = folder::remove(&self.supervised.folder.powered()) {
            tracing::debug!(%error, "it is said to run");
        }
        match failure {
            _ if meant => End::Meant,
            Some(reason) => End::Unmeant { reason },
            None => End::Unmeant { reason: "the machine went off by itself".to_owned() },
        }
    }

    /// The end of its console, as an error has it.
    fn last_lines(&self) -> String {
        let console = fs_err::read(self.supervised.folder.console()).unwrap_or_default();
        let console = String::from_utf8_lossy(&console);
        let lines: Vec<&str> = console.lines().map(str::trim_end).filter(|line| !line.is_empty()).collect();
        let tail = &lines[lines.len().saturating_sub(TAIL)..];
        if tail.is_empty() { String::new() } else { format!("; the end of its console:\n{}", tail.join("\n")) }
    }
}

fn fresh() -> Result<String, String> {
    let mut entropy = [0; control::ENTROPY];
    random::fill(&mut entropy).map_err(|error| error.to_string())?;
    Ok(control::entropy(&entropy))
}

/// Tells a guest what time it is.
async fn set_clock(qemu: &mut Qemu) {
    let Ok(entropy) = fresh() else { return };
    let message = ToGuest::Clock { time: Timestamp::now(), entropy }.line();
    if let Err(error) = qemu.to_guest.write_all(message.as_bytes()).await {
        tracing::debug!(%error, "its clock is not set");
    }
}

/// Ends QEMU at once.
async fn quit(qemu: &Qemu) {
    // It may be gone already.
    if let Err(error) = qemu.qmp.execute("quit", json!({}), COMMAND).await {
        tracing::debug!(%error, "QEMU ended before it was told to");
    }
}

/// Connects to what is about to listen.
async fn called(platform: &dyn Platform, channel: &Channel) -> std::io::Result<Box<dyn Connection>> {
    let begun = Instant::now();
    loop {
        match platform.call(channel).await {
            Err(_) if begun.elapsed() < QEMU => tokio::time::sleep(AGAIN).await,
            called => return called,
        }
    }
}

/// A port that nobody has; QEMU opens it a moment later, and ends where somebody was quicker.
fn free_port() -> std::io::Result<u16> {
    Ok(TcpListener::bind((Ipv4Addr::LOCALHOST, 0))?.local_addr()?.port())
}

/// What was written to a file since it was that long.
fn said_since(path: &Path, before: u64) -> String {
    let mut text = String::new();
    let read = std::fs::File::open(path).and_then(|mut file| {
        file.seek(SeekFrom::Start(before))?;
        file.take(1 << 16).read_to_string(&mut text)
    });
    if let Err(error) = read {
        tracing::debug!(%error, "what QEMU said is lost");
    }
    text
}

/// The port that QEMU's words say it could not open: `… forwarding rule 'tcp:127.0.0.1:443-:443'`.
fn port_taken(words: &str) -> Option<PortTaken> {
    let rule = words.split("forwarding rule 'tcp:").nth(1)?.split('\'').next()?;
    let (address, port) = rule.rsplit_once("-:").map_or(rule, |(host, _)| host).rsplit_once(':')?;
    let address: IpAddr = address.trim_matches(['[', ']']).parse().ok()?;
    Some(PortTaken { address, port: port.parse().ok()? })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_port_that_is_taken_is_found_in_qemus_words() {
        let taken = |words: &str| port_taken(words).map(|taken| (taken.address.to_string(), taken.port));
        let words = "qemu-system-x86_64: -netdev user,id=net,hostfwd=…: Could not set up host forwarding rule \
                     'tcp:127.0.0.1:443-:443'\n";
        assert_eq!(taken(words), Some(("127.0.0.1".to_owned(), 443)));
        assert_eq!(taken("… forwarding rule 'tcp:[::1]:80-:80'"), Some(("::1".to_owned(), 80)));
        assert_eq!(taken("qemu-system-x86_64: -m 99999G: out of memory"), None);
    }
}
