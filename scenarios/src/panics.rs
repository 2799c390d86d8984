//! Panics of a script's thread become its error.
//!
//! Starlark's interpreter panics for a few values that are too large (`list(range(1 << 30))`), and a
//! world under development may. Neither is a reason to end the process, nor to write to its stderr:
//! the message belongs into the script's error.

use std::cell::RefCell;
use std::panic::{self, AssertUnwindSafe, PanicHookInfo};
use std::sync::Once;

thread_local! {
    /// On a thread inside [`caught`]: the message of its last panic.
    static CAUGHT: RefCell<Option<String>> = const { RefCell::new(None) };
}

/// Runs `body`; its panic comes back as a message with its place, and is not printed.
///
/// What `body` touched is thought of as lost: the caller hands it nothing that it uses afterwards.
pub(crate) fn caught<T>(body: impl FnOnce() -> T) -> Result<T, String> {
    install();
    CAUGHT.with(|message| *message.borrow_mut() = Some(String::new()));
    let outcome = panic::catch_unwind(AssertUnwindSafe(body));
    let message = CAUGHT.take().unwrap_or_default();
    outcome.map_err(|_| message)
}

/// Puts a hook before the present one, once, that keeps to threads inside [`caught`].
fn install() {
    static ONCE: Once = Once::new();
    ONCE.call_once(|| {
        let others = panic::take_hook();
        panic::set_hook(Box::new(move |info| {
            if !note(info) {
                others(info);
            }
        }));
    });
}

/// Keeps the message where this thread is inside [`caught`].
fn note(info: &PanicHookInfo<'_>) -> bool {
    let text = info.payload_as_str().unwrap_or("a panic without a message");
    let place =
        info.location().map(|at| format!(" ({}:{})", at.file().rsplit('/').next().unwrap_or_default(), at.line()));
    let noted = CAUGHT.try_with(|message| {
        let inside = message.borrow().is_some();
        if inside {
            *message.borrow_mut() = Some(format!("{text}{}", place.unwrap_or_default()));
        }
        inside
    });
    noted.unwrap_or(false)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_panic_comes_back_as_its_message() {
        let message = caught(|| panic!("too {}", "large")).map(|()| 0).unwrap_err();
        assert!(message.starts_with("too large (panics.rs:"), "{message}");
        assert_eq!(caught(|| 7), Ok(7));
    }

    #[test]
    fn a_panic_elsewhere_is_not_taken() {
        assert!(caught(|| std::thread::spawn(|| panic::resume_unwind(Box::new(1))).join().is_err()).unwrap());
        assert!(CAUGHT.take().is_none());
    }
}
