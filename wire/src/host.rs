//! A host that can be switched off.

use std::future::Future;
use std::io;
use std::net::SocketAddr;
use std::sync::{Arc, Mutex, PoisonError};

use stickler_net::{Net, TokioListener, TokioNet};
use tokio::task::AbortHandle;

/// This machine's sockets, as one part of a site has them: all its tasks can be ended, and its sockets with them.
#[derive(Debug, Clone, Default)]
pub(crate) struct Host(Arc<Mutex<Tasks>>);

#[derive(Debug, Default)]
struct Tasks {
    off: bool,
    running: Vec<AbortHandle>,
}

impl Host {
    /// Ends all of it, now and for good, as a loss of power would; but the system closes its sockets.
    pub(crate) fn switch_off(&self) {
        let mut tasks = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        tasks.off = true;
        for task in tasks.running.drain(..) {
            task.abort();
        }
    }
}

impl Net for Host {
    type Stream = <TokioNet as Net>::Stream;
    type Listener = TokioListener;

    async fn connect(&self, peer: SocketAddr) -> io::Result<Self::Stream> {
        TokioNet.connect(peer).await
    }

    async fn bind(&self, addr: SocketAddr) -> io::Result<TokioListener> {
        TokioNet.bind(addr).await
    }

    fn spawn(&self, task: impl Future<Output = ()> + Send + 'static) -> AbortHandle {
        let handle = TokioNet.spawn(task);
        let mut tasks = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        if tasks.off {
            handle.abort();
        } else {
            // What has ended is not kept, so that there are as many as run.
            tasks.running.retain(|task| !task.is_finished());
            tasks.running.push(handle.clone());
        }
        handle
    }
}

#[cfg(test)]
mod tests {
    use tokio::sync::oneshot;

    use super::*;

    #[tokio::test]
    async fn switched_off_it_ends_what_runs_and_what_starts_later() {
        let host = Host::default();
        let (before, ended) = oneshot::channel::<()>();
        host.spawn(async move {
            let _before = before;
            std::future::pending::<()>().await;
        });
        host.spawn(async {});
        tokio::task::yield_now().await;
        host.switch_off();
        assert!(ended.await.is_err(), "dropped, not sent");
        let (after, ended) = oneshot::channel::<()>();
        host.spawn(async move {
            let _after = after;
            std::future::pending::<()>().await;
        });
        assert!(ended.await.is_err(), "dropped, not sent");
        assert!(host.0.lock().unwrap().running.is_empty());
    }
}
