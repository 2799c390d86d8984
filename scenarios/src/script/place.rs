//! Where a script is: a place in one of its files.

use std::cell::{Cell, RefCell};
use std::ops::Range;

use starlark::codemap::{CodeMap, FileSpan, FileSpanRef, Span};
use stickler_runner::Diagnostic;

use crate::Scenario;

thread_local! {
    /// The statement that this thread's script is at: its first and last byte. An allocator has no
    /// evaluator to ask.
    static STATEMENT: Cell<(u32, u32)> = const { Cell::new((0, 0)) };

    /// The file that the statement stands in; `None` before the first one.
    static FILE: RefCell<Option<CodeMap>> = const { RefCell::new(None) };
}

/// A place in a file of a script.
#[derive(Clone)]
pub(super) struct Place {
    /// `None`: the beginning of the script's own file.
    file: Option<CodeMap>,
    pub(super) bytes: Range<usize>,
}

impl Place {
    /// The place of an expression.
    pub(super) fn of(span: &FileSpan) -> Self {
        Self { file: Some(span.file.clone()), bytes: bytes(span.span) }
    }

    /// The place of the statement that this thread's script is at.
    pub(super) fn statement() -> Self {
        let (start, end) = STATEMENT.get();
        Self { file: FILE.with_borrow(Clone::clone), bytes: start as usize..end as usize }
    }

    /// The text of the file that the place is in.
    pub(super) fn text(&self) -> &str {
        self.file.as_ref().map_or("", CodeMap::source)
    }

    /// The same file, other bytes.
    pub(super) fn with_bytes(self, bytes: Range<usize>) -> Self {
        Self { bytes, ..self }
    }

    /// A message about this place of a script.
    pub(super) fn diagnostic(self, scenario: &Scenario, message: String, actual: Option<String>) -> Diagnostic {
        match &self.file {
            Some(file) => Diagnostic::new(file.filename(), file.source(), self.bytes, message, actual),
            None => scenario.diagnostic(self.bytes, message, actual),
        }
    }
}

/// Forgets where an earlier script of this thread was.
pub(crate) fn begin() {
    STATEMENT.set((0, 0));
    FILE.set(None);
}

/// Notes the statement that this thread's script comes to.
pub(super) fn note(at: FileSpanRef<'_>) {
    STATEMENT.set((at.span.begin().get(), at.span.end().get()));
    FILE.with_borrow_mut(|file| {
        if file.as_ref().is_none_or(|file| file.id() != at.file.id()) {
            *file = Some(at.file.clone());
        }
    });
}

/// The bytes of a span.
pub(crate) fn bytes(span: Span) -> Range<usize> {
    span.begin().get() as usize..span.end().get() as usize
}
