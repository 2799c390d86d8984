//! The changes to a request's header section before a backend sees it.

use http::header::AUTHORIZATION;
use http::{HeaderName, HeaderValue};

use super::super::error::RuleError;
use super::Composed;
use super::rules::{Credentials, Rules};
use crate::{Decision, Edit, RequestHead, Route, Text};

const FORWARDED_FOR: HeaderName = HeaderName::from_static("x-forwarded-for");

/// The edits that the rules ask for, with the names of header fields already checked.
#[derive(Debug)]
pub(super) struct RequestEdits {
    /// The header field that names the client's connection, and whether it replaces the value that the client sent.
    client_id: Option<(HeaderName, bool)>,
    forwarded_for: bool,
    /// The header field that is removed.
    scrub: Option<HeaderName>,
    /// Whether credentials are removed.
    hides_credentials: bool,
}

impl RequestEdits {
    /// Checks the names in the rules.
    ///
    /// # Errors
    /// A name is not a valid field name.
    pub(super) fn new(rules: &Rules) -> Result<Self, RuleError> {
        let name =
            |name: &Text| HeaderName::from_bytes(name.as_bytes()).map_err(|_| RuleError::HeaderName(name.clone()));
        let client_id = rules.client_id.as_ref().map(|rule| Ok((name(&rule.name)?, rule.overwrite))).transpose()?;
        let scrub = rules.scrub.as_ref().map(name).transpose()?;
        let hides_credentials = rules.credentials == Credentials::NotPassedOn;
        Ok(Self { client_id, forwarded_for: rules.forwarded_for, scrub, hides_credentials })
    }

    /// Appends the edits for this request. Applying them again for a retry changes nothing more.
    fn append_to(&self, edits: &mut Vec<Edit>, head: &RequestHead<'_>) {
        edits.extend(self.scrub.clone().filter(|name| head.headers.contains_key(name)).map(Edit::Remove));
        if self.hides_credentials && head.headers.contains_key(AUTHORIZATION) {
            edits.push(Edit::Remove(AUTHORIZATION));
        }
        if let Some((name, overwrite)) = &self.client_id
            && (*overwrite || !head.headers.contains_key(name))
            && let Ok(value) = HeaderValue::try_from(head.client.to_string())
        {
            edits.push(Edit::Set(name.clone(), value));
        }
        if self.forwarded_for {
            edits.extend(forwarded_for(head).map(|value| Edit::Set(FORWARDED_FOR, value)));
        }
    }
}

/// Returns the value of `X-Forwarded-For`: all existing entries on one line, followed by the client's address. `None`
/// if that address is the last entry already.
fn forwarded_for(head: &RequestHead<'_>) -> Option<HeaderValue> {
    let client = head.client.ip().to_canonical().to_string();
    let before: Vec<&[u8]> = head.headers.get_all(FORWARDED_FOR).iter().map(HeaderValue::as_bytes).collect();
    let last = before.last().and_then(|line| line.rsplit(|&byte| byte == b',').next()).map(<[u8]>::trim_ascii);
    if last == Some(client.as_bytes()) && before.len() == 1 {
        return None;
    }
    let mut line = before.join(&b", "[..]);
    if !line.is_empty() {
        line.extend_from_slice(b", ");
    }
    line.extend_from_slice(client.as_bytes());
    HeaderValue::from_bytes(&line).ok()
}

impl Composed {
    /// Adds the request's edits to the decision if the request goes to a backend.
    pub(super) fn edit_request(&self, decision: &mut Decision<Route>, head: &RequestHead<'_>) {
        if matches!(decision.verdict, Route::Open(_) | Route::Reuse(_) | Route::Pinned(_)) {
            self.request_edits.append_to(&mut decision.edits, head);
            decision.edits.extend(self.cookies.as_ref().and_then(|jar| jar.hide(head.headers)));
        }
    }
}
