//! A thread with its own runtime.

use std::future::Future;
use std::sync::mpsc;
use std::thread::JoinHandle;

use tokio::sync::oneshot;

/// Serves on a separate thread until it is dropped.
#[derive(Debug)]
pub(super) struct Background {
    stop: Option<oneshot::Sender<()>>,
    thread: Option<JoinHandle<()>>,
}

impl Background {
    /// Returns the result of `setup`. Tasks that it starts continue until the returned value is dropped.
    ///
    /// # Panics
    /// The thread or the runtime cannot be created, or `setup` panics.
    pub(super) fn start<T: Send + 'static>(setup: impl Future<Output = T> + Send + 'static) -> (Self, T) {
        let (stop, stopped) = oneshot::channel();
        let (ready, result) = mpsc::channel();
        let thread = std::thread::spawn(move || {
            runtime().block_on(async {
                // The receiver exists, or its thread has panicked.
                let _ = ready.send(setup.await);
                let _ = stopped.await;
            });
        });
        let result = result.recv().expect("the setup does not panic");
        (Self { stop: Some(stop), thread: Some(thread) }, result)
    }
}

impl Drop for Background {
    fn drop(&mut self) {
        drop(self.stop.take());
        if let Some(thread) = self.thread.take() {
            // The thread may have panicked, which it has reported.
            let _ = thread.join();
        }
    }
}

/// Returns a runtime on the current thread.
///
/// # Panics
/// The system cannot provide a runtime.
pub(super) fn runtime() -> tokio::runtime::Runtime {
    tokio::runtime::Builder::new_current_thread().enable_all().build().expect("the system gives a runtime")
}
