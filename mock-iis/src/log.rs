//! The W3C extended log: one line for each request that IIS has answered. The module is pure.
//!
//! Requests that http.sys itself answers, because their head is malformed or too long, are not logged here. On Windows
//! they are in the HTTPERR log.

use std::fmt;
use std::net::SocketAddr;

use stickler_model::Principal;

use crate::calendar::Timestamp;

/// The header line that names the columns.
pub const FIELDS: &str = "#Fields: date time s-ip cs-method cs-uri-stem cs-uri-query s-port cs-username c-ip \
                          cs(User-Agent) sc-status sc-substatus sc-win32-status time-taken";

/// One request. `Display` writes its line, without the newline.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Entry {
    /// The time at which the request was answered, in seconds since 1970-01-01 UTC.
    pub unix_seconds: u64,
    /// The server's end of the connection (`s-ip`, `s-port`).
    pub server: SocketAddr,
    /// The other end as the server sees it (`c-ip`). Behind source NAT this is the balancer.
    pub client: SocketAddr,
    /// The method (`cs-method`).
    pub method: String,
    /// The path (`cs-uri-stem`).
    pub stem: String,
    /// The query (`cs-uri-query`).
    pub query: Option<String>,
    /// The user (`cs-username`); `None` for an anonymous request and for an incomplete handshake.
    pub user: Option<Principal>,
    /// The user agent (`cs(User-Agent)`).
    pub agent: Option<String>,
    /// The status (`sc-status`).
    pub status: u16,
    /// The substatus (`sc-substatus`).
    pub substatus: u16,
    /// The Windows error (`sc-win32-status`).
    pub win32: u32,
    /// The time from the request's head to the answer's head, in milliseconds (`time-taken`).
    pub time_taken: u64,
}

impl fmt::Display for Entry {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(
            f,
            "{} {} {} {} {} {} {} {} {} {} {} {} {}",
            Timestamp(self.unix_seconds),
            self.server.ip(),
            Field(Some(&self.method)),
            Field(Some(&self.stem)),
            Field(self.query.as_deref()),
            self.server.port(),
            Field(self.user.as_ref().map(Principal::as_str)),
            self.client.ip(),
            Field(self.agent.as_deref()),
            self.status,
            self.substatus,
            self.win32,
            self.time_taken,
        )
    }
}

/// A text column: `-` if there is no text. Spaces and control characters, which would break the line, become `+`.
struct Field<'a>(Option<&'a str>);

impl fmt::Display for Field<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.0 {
            None | Some("") => f.write_str("-"),
            Some(text) => text.split(|c: char| c == ' ' || c.is_control()).enumerate().try_for_each(|(index, part)| {
                f.write_str(if index == 0 { "" } else { "+" }).and_then(|()| f.write_str(part))
            }),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_text_column_cannot_break_the_line() {
        assert_eq!(Field(Some("a b\r\nc")).to_string(), "a+b++c");
        assert_eq!(Field(None).to_string(), "-");
    }
}
