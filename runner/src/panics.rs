//! Turns panics of the code under test into errors with their place.
//!
//! A balancer under development may panic, and Starlark's interpreter panics for a few values that are too large
//! (`list(range(1 << 30))`). Neither is a reason to end the process, or to write to its stderr.

use std::cell::RefCell;
use std::panic::{self, AssertUnwindSafe, PanicHookInfo};
use std::sync::Once;

thread_local! {
    /// The text of the last panic, on a thread inside [`caught`].
    static CAUGHT: RefCell<Option<String>> = const { RefCell::new(None) };
}

/// Runs `body`, which may call this function as well.
///
/// # Errors
/// If `body` panicked, the error is the message of the panic with its file, line and column. Everything that `body` has
/// used is in an unknown state, so the caller must not use it afterwards.
pub fn caught<T>(body: impl FnOnce() -> T) -> Result<T, String> {
    install();
    let outer = CAUGHT.replace(Some(String::new()));
    let outcome = panic::catch_unwind(AssertUnwindSafe(body));
    let text = CAUGHT.replace(outer).unwrap_or_default();
    outcome.map_err(|_| text)
}

/// Installs a hook in front of the current one, once. It acts only on threads inside [`caught`].
fn install() {
    static ONCE: Once = Once::new();
    ONCE.call_once(|| {
        let present = panic::take_hook();
        panic::set_hook(Box::new(move |info| {
            // A backtrace would be made and printed under locks, where a thread without memory would stop permanently.
            if !is_noted(info) {
                present(info);
            }
        }));
    });
}

/// Records the text of a panic if this thread is inside [`caught`], and returns whether it did.
fn is_noted(info: &PanicHookInfo<'_>) -> bool {
    let message = info.payload_as_str().unwrap_or("a panic without a message");
    let place = info.location().map(|location| format!(" ({location})")).unwrap_or_default();
    let noted = CAUGHT.try_with(|text| {
        let inside = text.borrow().is_some();
        if inside {
            *text.borrow_mut() = Some(format!("{message}{place}"));
        }
        inside
    });
    noted.unwrap_or(false)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_panic_comes_back_as_its_message_with_its_place() {
        let text = caught(|| panic!("too {}", "large")).map(|()| 0).unwrap_err();
        let place = text.strip_prefix("too large (").and_then(|rest| rest.strip_suffix(')')).unwrap();
        let mut parts = place.rsplitn(3, ':');
        assert!(parts.next().unwrap().parse::<u32>().is_ok() && parts.next().unwrap().parse::<u32>().is_ok());
        assert!(parts.next().unwrap().ends_with("panics.rs"), "{text}");
        assert_eq!(caught(|| 7), Ok(7));
    }

    #[test]
    fn the_inner_of_two_takes_a_panic_and_the_outer_goes_on() {
        let outer = caught(|| {
            assert!(caught(|| panic!("inner")).is_err_and(|text: String| text.starts_with("inner (")));
            panic!("outer");
        });
        assert!(outer.is_err_and(|text: String| text.starts_with("outer (")));
    }

    #[test]
    fn a_panic_elsewhere_is_not_taken() {
        assert!(caught(|| std::thread::spawn(|| panic::resume_unwind(Box::new(1))).join().is_err()).unwrap());
        assert!(CAUGHT.take().is_none());
    }
}
