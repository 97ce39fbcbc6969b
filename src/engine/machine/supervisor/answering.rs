//! What a supervisor does for those who call it.

use std::time::Duration;

use tokio::io::BufReader;
use tokio::sync::{mpsc, oneshot, watch};
use tokio::task::JoinSet;

use super::Order;
use crate::engine::machine::wire::{self, Answer, Request, State, Status};
use crate::platform::{Connection, Listener};

/// Answers commands until the machine is off and everyone has heard it.
pub(super) async fn answer(
    mut listener: Box<dyn Listener>,
    status: watch::Receiver<Status>,
    orders: mpsc::Sender<Order>,
) {
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
        Request::Keep => Order::Keep(reply),
        Request::Kill => Order::Kill,
        Request::Pause => Order::Pause(reply),
        Request::Unpause => Order::Unpause(reply),
        Request::SetPorts { ports, labels } => {
            let (told, answer) = oneshot::channel();
            let _ = orders.send(Order::SetPorts { ports, labels, told }).await;
            return answer.await.unwrap_or_else(|_| Answer::Failed { reason: "the machine is off".to_owned() });
        }
    };
    let (waits_for_end, is_kept) = (matches!(order, Order::Stop { .. } | Order::Kill), matches!(order, Order::Keep(_)));
    // Where the machine is off, nobody takes orders, and the answer says so.
    let _ = orders.send(order).await;
    if waits_for_end {
        return settled(&mut status, is_over).await;
    }
    match told.await {
        Ok(Ok(())) if is_kept => settled(&mut status, is_over).await,
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
