//! What happens while a machine runs.

use std::time::{Duration, SystemTime};

use jiff::Timestamp;
use serde_json::json;
use tokio::io::{AsyncBufReadExt, AsyncWriteExt};
use tokio::sync::{broadcast, oneshot};
use tokio::time::Instant;

use super::{COMMAND, End, KILLED, LIFE, Machine, Order, Qemu};
use crate::engine::machine::arguments::Accelerator;
use crate::engine::machine::control::{self, Boot, BootNetwork, BootSsh, FromGuest, Identity, Moment, ToGuest, Whose};
use crate::engine::machine::folder;
use crate::engine::machine::forwards::{self, ForwardError};
use crate::engine::machine::kept::{self, Draft};
use crate::engine::machine::keys::{Keys, KeysError};
use crate::engine::machine::qmp::QmpError;
use crate::engine::machine::random;
use crate::engine::machine::speed::{Kind, Speeds};
use crate::engine::machine::wire::{Answer, State};
use crate::engine::{Labels, PortForward};

/// The same for one that is translated.
const TRANSLATED_LIFE: Duration = Duration::from_mins(2);
/// How long a guest may take beyond the node's grace to stop.
const OFF: Duration = Duration::from_secs(25);
/// How often this host's clocks are compared.
const CLOCK: Duration = Duration::from_secs(2);
/// How long after a machine went on from a state that is removed, so that it does not take a core from the machine's first moments.
const FIRST_MOMENTS: Duration = Duration::from_secs(10);
/// By how much they go apart when this host slept or its clock was set.
const JUMP: Duration = Duration::from_secs(1);

/// What an order has led to.
enum Obeyed {
    /// The machine goes on.
    GoesOn,
    /// It has to be off by then, and its exit status is that.
    EndsBy(Instant, i64),
    /// Its state is written, and it stands still; who asked for that wants to hear it.
    Saved(Box<Draft>, oneshot::Sender<Result<(), String>>),
}

impl Machine<'_> {
    /// Sees a machine through to its end.
    pub(super) async fn run(&mut self, mut qemu: Qemu, boots_no_more: bool) -> End {
        let translated = qemu.powered.accelerator == Accelerator::Tcg;
        let begun = Instant::now();
        let patience = if translated { self.speeds().scaled(TRANSLATED_LIFE, self.kind(&qemu)) } else { LIFE };
        let mut sign = Some(begun + patience).filter(|_| !boots_no_more);
        let mut off: Option<(Instant, i64)> = None;
        let mut used = Some(begun + FIRST_MOMENTS).filter(|_| boots_no_more);
        let mut clock = tokio::time::interval(CLOCK);
        let mut before = (SystemTime::now(), Instant::now());
        let mut line = Vec::new();
        let mut failure: Option<String> = None;
        loop {
            let deadline = [sign, off.map(|(by, _)| by)].into_iter().flatten().min();
            let meant = off.map(|(_, code)| code);
            tokio::select! {
                read = qemu.control.read_until(b'\n', &mut line) => match read {
                    Ok(0) | Err(_) => return self.ended(qemu, meant, failure).await,
                    Ok(_) => {
                        let message = FromGuest::parse(&line);
                        line.clear();
                        let Some(message) = message else { continue };
                        sign = None;
                        if let FromGuest::Hello { .. } = &message {
                            self.note_hello(&qemu, begun.elapsed());
                        }
                        if let Err(reason) = self.heard(&mut qemu, message).await {
                            failure = Some(reason);
                        }
                    }
                },
                event = qemu.events.recv() => match event {
                    Ok(event) if event.name == "GUEST_PANICKED" => failure = Some("its kernel panicked".to_owned()),
                    Ok(_) | Err(broadcast::error::RecvError::Lagged(_)) => {}
                    Err(broadcast::error::RecvError::Closed) => return self.ended(qemu, meant, failure).await,
                },
                Some(order) = self.ordered.recv() => match self.obey(&mut qemu, order).await {
                    Obeyed::GoesOn => {}
                    Obeyed::EndsBy(deadline, code) => off = Some((deadline, code)),
                    Obeyed::Saved(draft, told) => {
                        let sealed = self.seal(qemu, *draft).await;
                        // Whoever asked may be gone.
                        let _ = told.send(sealed);
                        return End::Meant { code: 0 };
                    }
                },
                _ = clock.tick() => {
                    let now = (SystemTime::now(), Instant::now());
                    if went_apart(before, now) && self.status.borrow().state == State::Running {
                        set_clock(&mut qemu).await;
                    }
                    before = now;
                    if used.take_if(|until| *until <= now.1).is_some() {
                        self.clear_used();
                    }
                }
                () = tokio::time::sleep_until(deadline.unwrap_or_else(Instant::now)), if deadline.is_some() => {
                    if off.is_some() {
                        tracing::info!("it did not stop in time");
                        quit(&qemu).await;
                        return self.ended(qemu, Some(KILLED), failure).await;
                    }
                    quit(&qemu).await;
                    let _ = self.ended(qemu, None, None).await;
                    if translated {
                        return End::Unmeant { reason: format!("the machine showed no sign of life within {patience:?}") };
                    }
                    return End::Lifeless;
                }
            }
        }
    }

    /// Removes the state that the machine went on from, beside everything else.
    fn clear_used(&self) {
        let files = self.supervised.folder.kept();
        tokio::task::spawn_blocking(move || {
            if let Err(error) = kept::clear(&files) {
                tracing::warn!(%error, "a state that was used stays");
            }
        });
    }

    fn speeds(&self) -> Speeds {
        Speeds::read(&self.supervised.places, self.supervised.platform)
    }

    fn kind<'a>(&self, qemu: &'a Qemu) -> Kind<'a> {
        Kind { architecture: self.record.architecture, qemu: qemu.qmp.version(), cores: self.record.cores }
    }

    /// The first word of a machine says how fast this host is.
    fn note_hello(&self, qemu: &Qemu, took: Duration) {
        let millis = u64::try_from(took.as_millis()).unwrap_or(u64::MAX);
        tracing::info!(millis, "the machine says hello");
        self.status.send_modify(|status| status.phases.push(("hello".to_owned(), millis)));
        if qemu.powered.accelerator == Accelerator::Tcg
            && let Err(error) = self.speeds().note_hello(self.kind(qemu), took, &self.supervised.places)
        {
            tracing::debug!(%error, "how fast this host is, is forgotten");
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
                let parks = version >= control::PARKS && self.makes_template(qemu.powered.accelerator);
                let boot = self.boot(parks);
                self.tell(qemu, boot).await?;
            }
            FromGuest::Parked { millis } => {
                self.status.send_modify(|status| status.phases.push(phase("parked", millis)));
                self.make_template(qemu).await?;
                self.tell_identity(qemu).await?;
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
            FromGuest::ClockSet | FromGuest::Shrunk | FromGuest::Stopped | FromGuest::Unknown => {}
        }
        Ok(())
    }

    /// Tells a guest that waits for it whose it is.
    pub(super) async fn tell_identity(&mut self, qemu: &mut Qemu) -> Result<(), String> {
        let identity = self.identity().map(|identity| ToGuest::Identity(Box::new(identity)));
        self.tell(qemu, identity).await
    }

    /// Tells a guest what it is.
    async fn tell(&mut self, qemu: &mut Qemu, what: Result<ToGuest, String>) -> Result<(), String> {
        let told = async {
            // It writes to its disk from then on.
            self.touch()?;
            let sent = qemu.to_guest.write_all(what?.line().as_bytes()).await;
            sent.map_err(|error| error.to_string())
        };
        told.await.map_err(|error| format!("the machine cannot be told what it is: {error}"))
    }

    /// Notes that its disk is about to be written to.
    fn touch(&mut self) -> Result<(), String> {
        if !std::mem::take(&mut self.record.untouched) {
            return Ok(());
        }
        folder::write(&self.supervised.folder.node(), &self.record).map_err(|error| error.to_string())
    }

    /// What a machine is that is switched on; one that parks is not told yet whose it is.
    fn boot(&self, parks: bool) -> Result<ToGuest, String> {
        let hardware = self.record.hardware.as_ref();
        let whose =
            if parks { Whose::Nobodys { park: true, moment: moment()? } } else { Whose::Known(self.identity()?) };
        Ok(ToGuest::Boot(Box::new(Boot {
            whose,
            environment: self.record.environment.clone(),
            network: BootNetwork {
                link: hardware.map(|hardware| hardware.link.clone()).filter(|link| !link.is_unlimited()),
                ..BootNetwork::of_qemu()
            },
            model: hardware.and_then(|hardware| hardware.model.clone()),
            emulate_binaries: self.record.emulate_binaries,
        })))
    }

    /// What makes it this cluster's.
    fn identity(&self) -> Result<Identity, String> {
        let keys = Keys::read(&self.supervised.folder.keys()).map_err(|error| error.to_string())?;
        let unusable = |error: KeysError| error.to_string();
        Ok(Identity {
            moment: moment()?,
            hostname: self.record.hostname.clone(),
            files: self.record.files.clone(),
            ssh: BootSsh {
                host_key: keys.host_pem().map_err(unusable)?,
                authorized_keys: vec![keys.client_public().map_err(unusable)?],
            },
        })
    }

    /// Does as ordered.
    async fn obey(&mut self, qemu: &mut Qemu, order: Order) -> Obeyed {
        let words = |error: QmpError| error.to_string();
        match order {
            Order::Kill => {
                self.status.send_modify(|status| status.state = State::Stopping);
                quit(qemu).await;
                Obeyed::EndsBy(Instant::now() + COMMAND, KILLED)
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
                Obeyed::EndsBy(Instant::now() + grace + OFF, 0)
            }
            Order::Keep(told) => match self.save(qemu).await {
                Ok(draft) => Obeyed::Saved(Box::new(draft), told),
                Err(reason) => {
                    let _ = told.send(Err(reason));
                    Obeyed::GoesOn
                }
            },
            Order::Pause(told) => {
                let paused = qemu.qmp.execute("stop", json!({}), COMMAND).await.map(drop).map_err(words);
                if paused.is_ok() {
                    self.status.send_modify(|status| status.state = State::Paused);
                }
                let _ = told.send(paused);
                Obeyed::GoesOn
            }
            Order::SetPorts { ports, labels, told } => {
                let _ = told.send(self.set_ports(qemu, ports, labels).await);
                Obeyed::GoesOn
            }
            Order::Unpause(told) => {
                let thawed = qemu.qmp.execute("cont", json!({}), COMMAND).await.map(drop).map_err(words);
                if thawed.is_ok() {
                    set_clock(qemu).await;
                    self.status.send_modify(|status| status.state = State::Running);
                }
                let _ = told.send(thawed);
                Obeyed::GoesOn
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

    /// What the end of QEMU means, once it is really gone; `meant` is the exit status of one that was meant.
    pub(super) async fn ended(&self, mut qemu: Qemu, meant: Option<i64>, failure: Option<String>) -> End {
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
        match (meant, failure) {
            (Some(code), _) => End::Meant { code },
            (None, Some(reason)) => End::Unmeant { reason },
            (None, None) => End::Unmeant { reason: "the machine went off by itself".to_owned() },
        }
    }
}

/// Whether this host slept, or its clock was set, between two looks at the time of day and at the time that it ran.
fn went_apart(before: (SystemTime, Instant), now: (SystemTime, Instant)) -> bool {
    let ran = now.1 - before.1;
    match now.0.duration_since(before.0) {
        Ok(shown) => shown.abs_diff(ran) > JUMP,
        // The time of day went back.
        Err(back) => back.duration() + ran > JUMP,
    }
}

/// Now, and randomness.
fn moment() -> Result<Moment, String> {
    let mut entropy = [0; control::ENTROPY];
    random::fill(&mut entropy).map_err(|error| error.to_string())?;
    Ok(Moment { time: Timestamp::now(), entropy: control::entropy(&entropy) })
}

/// Tells a guest what time it is.
pub(super) async fn set_clock(qemu: &mut Qemu) {
    let Ok(moment) = moment() else { return };
    if let Err(error) = qemu.to_guest.write_all(ToGuest::Clock(moment).line().as_bytes()).await {
        tracing::debug!(%error, "its clock is not set");
    }
}

/// Waits for what a guest says once it has done what it was told by a message of that type; an error is why it does not.
pub(super) async fn answered(qemu: &mut Qemu, told: &str, answer: &FromGuest) -> Result<(), String> {
    let mut line = Vec::new();
    loop {
        line.clear();
        match qemu.control.read_until(b'\n', &mut line).await {
            Ok(0) | Err(_) => return Err("the machine ended".to_owned()),
            Ok(_) => {}
        }
        match FromGuest::parse(&line) {
            Some(said) if said == *answer => return Ok(()),
            Some(FromGuest::Refused { name, reason }) if name == told => {
                return Err(format!("the machine refused: {reason}"));
            }
            // The end of a line that was begun before, or something that nobody waits for.
            _ => {}
        }
    }
}

/// Ends QEMU at once.
pub(super) async fn quit(qemu: &Qemu) {
    // It may be gone already.
    if let Err(error) = qemu.qmp.execute("quit", json!({}), COMMAND).await {
        tracing::debug!(%error, "QEMU ended before it was told to");
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_host_that_slept_is_told_from_one_that_was_busy() {
        let before = (SystemTime::now(), Instant::now());
        let later = |shown: u64, ran: u64| {
            went_apart(before, (before.0 + Duration::from_millis(shown), before.1 + Duration::from_millis(ran)))
        };
        assert!(!later(2000, 2000));
        assert!(!later(2900, 2000), "a clock that is slewed");
        assert!(!later(60_000, 60_000), "a host that had no time for this process");
        assert!(later(3_600_000, 2000), "an hour of sleep");
        assert!(later(0, 2000), "a clock that was set back a little");
        assert!(went_apart((before.0 + Duration::from_mins(1), before.1), (before.0, before.1)), "and by a minute");
    }
}
