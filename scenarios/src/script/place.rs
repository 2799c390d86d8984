//! The place in one of a script's files that is being executed.

use std::cell::{Cell, RefCell};
use std::ops::Range;

use starlark::codemap::{CodeMap, FileSpan, FileSpanRef, Span};
use stickler_runner::Diagnostic;

use crate::Scenario;

thread_local! {
    /// The statement that the script of this thread is executing, as the positions of its first and last byte. It is
    /// kept here because an allocator has no evaluator to ask.
    static STATEMENT: Cell<(u32, u32)> = const { Cell::new((0, 0)) };

    /// The file that contains the statement; `None` before the first statement.
    static FILE: RefCell<Option<CodeMap>> = const { RefCell::new(None) };
}

/// A place in a file of a script.
#[derive(Clone)]
pub(super) struct Place {
    /// The file; `None` stands for the beginning of the script's own file.
    file: Option<CodeMap>,
    pub(super) bytes: Range<usize>,
}

impl Place {
    /// Returns the place of an expression.
    pub(super) fn of(span: &FileSpan) -> Self {
        Self { file: Some(span.file.clone()), bytes: bytes(span.span) }
    }

    /// Returns the place of the statement that the script of this thread is executing.
    pub(super) fn statement() -> Self {
        let (start, end) = STATEMENT.get();
        Self { file: FILE.with_borrow(Clone::clone), bytes: start as usize..end as usize }
    }

    /// Returns the name and the text of the file that contains the place; `None` stands for the script's own file.
    pub(super) fn file(&self) -> Option<(&str, &str)> {
        self.file.as_ref().map(|file| (file.filename(), file.source()))
    }

    /// Returns the text of the file that contains the place.
    pub(super) fn text(&self) -> &str {
        self.file.as_ref().map_or("", CodeMap::source)
    }

    /// Returns a place in the same file, at these bytes.
    pub(super) fn with_bytes(self, bytes: Range<usize>) -> Self {
        Self { bytes, ..self }
    }

    /// Returns a message about this place of a script.
    pub(super) fn diagnostic(self, scenario: &Scenario, message: String, actual: Option<String>) -> Diagnostic {
        match &self.file {
            Some(file) => Diagnostic::new(file.filename(), file.source(), self.bytes, message, actual),
            None => scenario.diagnostic(self.bytes, message, actual),
        }
    }
}

/// Forgets the place of an earlier script on this thread.
pub(crate) fn begin() {
    STATEMENT.set((0, 0));
    FILE.set(None);
}

/// Records the statement that the script of this thread begins to execute.
pub(super) fn note(at: FileSpanRef<'_>) {
    STATEMENT.set((at.span.begin().get(), at.span.end().get()));
    FILE.with_borrow_mut(|file| {
        if file.as_ref().is_none_or(|file| file.id() != at.file.id()) {
            *file = Some(at.file.clone());
        }
    });
}

/// Returns the bytes of a span.
pub(crate) fn bytes(span: Span) -> Range<usize> {
    span.begin().get() as usize..span.end().get() as usize
}
