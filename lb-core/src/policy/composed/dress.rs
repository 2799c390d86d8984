//! What is changed in a request's header section before a backend sees it.

use http::{HeaderName, HeaderValue};

use super::super::error::RuleError;
use super::Composed;
use super::rules::Rules;
use crate::{Decision, Edit, RequestHead, Route};

const FORWARDED_FOR: HeaderName = HeaderName::from_static("x-forwarded-for");

/// Names of fields, checked.
#[derive(Debug)]
pub(super) struct Dress {
    client_id: Option<(HeaderName, bool)>,
    forwarded_for: bool,
    scrub: Option<HeaderName>,
    hides_cookie: bool,
}

impl Dress {
    /// # Errors
    /// A name cannot be a field's.
    pub(super) fn new(rules: &Rules, hides_cookie: bool) -> Result<Self, RuleError> {
        let name =
            |name: &'static str| HeaderName::from_bytes(name.as_bytes()).map_err(|_| RuleError::HeaderName(name));
        let client_id = rules.client_id.map(|rule| Ok((name(rule.name)?, rule.overwrite))).transpose()?;
        let scrub = rules.scrub.map(name).transpose()?;
        Ok(Self { client_id, forwarded_for: rules.forwarded_for, scrub, hides_cookie })
    }

    const fn does_nothing(&self) -> bool {
        self.client_id.is_none() && !self.forwarded_for && self.scrub.is_none() && !self.hides_cookie
    }

    /// The edits for this request. Made again for a retry, they change nothing more.
    fn edits(&self, head: &RequestHead<'_>, edits: &mut Vec<Edit>) {
        edits.extend(self.scrub.clone().filter(|name| head.headers.contains_key(name)).map(Edit::Remove));
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

/// All entries so far, on one line, and the client's address; `None` where it is the last entry already.
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
    /// Adds what is changed in a request that goes to a backend.
    pub(super) fn dress(&self, decision: &mut Decision<Route>, head: &RequestHead<'_>) {
        if self.dress.does_nothing() || !matches!(decision.verdict, Route::Open(_) | Route::Reuse(_) | Route::Pinned(_))
        {
            return;
        }
        self.dress.edits(head, &mut decision.edits);
        decision.edits.extend(self.cookies.as_ref().and_then(|jar| jar.hide(head.headers)));
    }
}
