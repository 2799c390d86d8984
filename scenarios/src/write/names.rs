//! The names of a script's variables.

use std::collections::BTreeSet;

/// The names that the variable of a client, a request or a token must not have: keywords, functions, which would become
/// inaccessible, and loop variables. A test of the script language finds a function that is missing here.
#[rustfmt::skip]
pub(crate) const RESERVED: [&str; 105] = [
    "False", "None", "True", "abs", "advance", "all", "and", "answer", "any", "app_log", "as", "assert", "async",
    "await", "await_checks", "bool", "break", "browser", "bytes", "bytes_of", "chr", "class", "client", "configure",
    "continue", "controller", "counts", "crash", "crowd", "curl", "curl_negotiate", "def", "del", "dict", "dir",
    "drain", "elif", "else", "enumerate", "except", "expect", "fail", "finally", "float", "for", "from", "getattr",
    "global", "hang", "hasattr", "hash", "hold", "if", "import", "in", "int", "is", "lambda", "len", "list", "load",
    "logon_log", "max", "member", "min", "nonlocal", "not", "or", "ord", "padded", "partner", "pass", "power_loss", "print",
    "promises", "raise", "range", "release", "repr", "request", "reset", "restart", "resume", "return", "reversed",
    "rogue", "server", "set", "site", "sorted", "start_crowd", "str", "struct", "tracked", "trusted_header", "try",
    "tuple", "type", "undrain", "wait_all", "while", "windows_authentication", "with", "yield", "zip",
];

/// Gives each variable a unique name.
#[derive(Default)]
pub(super) struct Names {
    taken: BTreeSet<String>,
}

impl Names {
    /// Returns an unused name for a variable, similar to the wanted one, which may contain any letters, digits, `-` and
    /// `_`.
    pub(super) fn fresh(&mut self, wanted: &str) -> String {
        let mut name: String = wanted.chars().map(|c| if c == '-' { '_' } else { c }).collect();
        if name.starts_with(|c: char| c.is_ascii_digit()) || name.chars().all(|c| c == '_') {
            name.insert_str(0, "client_");
        }
        if RESERVED.contains(&name.as_str()) {
            name.push_str("_client");
        }
        let base = name.clone();
        let mut number = 1;
        while !self.taken.insert(name.clone()) {
            number += 1;
            name = format!("{base}_{number}");
        }
        name
    }
}
