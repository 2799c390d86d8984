//! The order of events: which of two comes first, and which events of a list lie between two others.
//!
//! The position of an event is its index in the trace's events. Where two positions are compared, they are usually those
//! of different events, so that they are never equal; where they can be equal, the event itself is not before itself.

/// The position of an event.
pub(crate) trait Position: Copy {
    /// Returns whether the event happened before the other one.
    fn is_before(self, other: Self) -> bool;

    /// Returns whether the event happened after the other one.
    fn is_after(self, other: Self) -> bool {
        other.is_before(self)
    }
}

impl Position for usize {
    fn is_before(self, other: Self) -> bool {
        self < other
    }
}

/// Something that is known of one event.
pub(crate) trait Of {
    /// Returns the position of the event.
    fn event(&self) -> usize;
}

impl Of for usize {
    fn event(&self) -> usize {
        *self
    }
}

impl<T> Of for (usize, T) {
    fn event(&self) -> usize {
        self.0
    }
}

/// Returns the part of a list, which is in order, that happened before this event.
pub(crate) fn before<T: Of>(list: &[T], event: usize) -> &[T] {
    list.split_at(first_from(list, event)).0
}

/// Returns the part of a list, which is in order, that happened from this event (included) on.
pub(crate) fn since<T: Of>(list: &[T], event: usize) -> &[T] {
    list.split_at(first_from(list, event)).1
}

/// Returns the part of a list, which is in order, that happened from the one event (included) to the other (excluded).
pub(crate) fn between<T: Of>(list: &[T], from: usize, to: usize) -> &[T] {
    before(since(list, from), to)
}

fn first_from<T: Of>(list: &[T], event: usize) -> usize {
    list.partition_point(|item| item.event().is_before(event))
}
