//! The functions that a script calls.

#![expect(
    clippy::too_many_arguments,
    clippy::unnecessary_wraps,
    reason = "a script's function has as many named arguments as it needs, and Starlark wants a Result of each"
)]

use std::time::Duration;

use starlark::environment::GlobalsBuilder;
use starlark::eval::Evaluator;
use starlark::starlark_module;
use starlark::values::Value;
use starlark::values::dict::UnpackDictEntries;
use starlark::values::float::UnpackFloat;
use starlark::values::list_or_tuple::UnpackListOrTuple;
use starlark::values::none::{NoneOr, NoneType};
use starlark::values::structs::AllocStruct;
use stickler_model::action::Fault;
use stickler_model::topology::{
    self, IisVersion, LinkSpec, Provider, Rogue, Tracked, TrackedBy, TrackedCheck, UserSpec,
};
use stickler_model::{ClientSpec, Identity, Name, Principal, Profile, Topology};

use super::errors::ScriptError;
use super::session::Session;
use super::values::{Acceptor, Body, Client, Pending, Response};
use crate::directory::{self, MAX_BACKENDS};

/// Longest time that one `advance` lets pass: a leap year, in seconds.
const MAX_ADVANCE: u64 = 366 * 24 * 60 * 60;

/// Longest latency or jitter, in microseconds.
const MAX_LATENCY: u64 = 10_000_000;

/// Longest body of `bytes_of`, in bytes.
const MAX_BODY: u64 = 1 << 30;

#[starlark_module]
pub(super) fn functions(builder: &mut GlobalsBuilder) {
    /// Describes the site; before the first client, and once. What is not given stays as it is:
    /// two backends, the standard directory, no lockout, 250 us of latency each way, no jitter.
    fn site<'v>(
        #[starlark(require = named, default = 2)] backends: i64,
        #[starlark(require = named)] users: Option<UnpackDictEntries<String, String>>,
        #[starlark(require = named)] forbidden: Option<UnpackListOrTuple<String>>,
        #[starlark(require = named, default = NoneOr::None)] lockout: NoneOr<i64>,
        #[starlark(require = named, default = 250)] latency_us: i64,
        #[starlark(require = named, default = 0)] jitter_us: i64,
        #[starlark(require = named)] providers: Option<UnpackListOrTuple<String>>,
        #[starlark(require = named, default = "iis10")] iis: &str,
        #[starlark(require = named)] acceptor: Option<&'v Acceptor>,
        #[starlark(require = named)] servers: Option<UnpackDictEntries<String, &'v Acceptor>>,
        #[starlark(require = named)] front: Option<String>,
        eval: &mut Evaluator<'v, '_, '_>,
    ) -> starlark::Result<NoneType> {
        let site = Site {
            backends: in_range("backends", backends, 1, MAX_BACKENDS.into())? as u32,
            users: users.map(|users| users.entries).unwrap_or_default(),
            forbidden: forbidden.map(|names| names.items).unwrap_or_default(),
            lockout: lockout
                .into_option()
                .map(|count| in_range("lockout", count, 1, 999))
                .transpose()?
                .map(|count| count as u32),
            link: LinkSpec {
                latency: microseconds("latency_us", latency_us)?,
                jitter: microseconds("jitter_us", jitter_us)?,
            },
            providers: providers
                .map(|names| names.items.iter().map(|name| one_of("provider", name, &PROVIDERS)).collect())
                .transpose()?,
            version: one_of("version of IIS", iis, &VERSIONS)?,
            acceptor: acceptor.map(|acceptor| acceptor.0.clone()).unwrap_or_default(),
            servers: servers
                .map(|servers| servers.entries)
                .unwrap_or_default()
                .into_iter()
                .map(|(name, acceptor)| (name, acceptor.0.clone()))
                .collect(),
            front,
        };
        let mut checked = Ok(());
        Session::of(eval).set_site(|topology| checked = site.apply(topology))?;
        Ok(checked.map(|()| NoneType)?)
    }

    /// Adds a client that behaves as `curl --ntlm`. `user` is a name of the directory, the client's
    /// own if unsaid, or None for nobody; `password` is the directory's if unsaid. With `cookies` it
    /// has a cookie jar. `at` is a client whose host, and address, it shares; `port` the port that it
    /// connects from.
    fn curl<'v>(
        name: &str,
        #[starlark(require = named)] user: Option<NoneOr<String>>,
        #[starlark(require = named)] password: Option<String>,
        #[starlark(require = named, default = false)] cookies: bool,
        #[starlark(require = named)] at: Option<&'v Client>,
        #[starlark(require = named)] port: Option<i64>,
        eval: &mut Evaluator<'v, '_, '_>,
    ) -> starlark::Result<Client> {
        let profile = Profile { cookies, ..Profile::CURL };
        Ok(add_client(eval, name, profile, user, password, seat(at, port)?)?)
    }

    /// Adds a client that behaves as a browser.
    fn browser<'v>(
        name: &str,
        #[starlark(require = named)] user: Option<NoneOr<String>>,
        #[starlark(require = named)] password: Option<String>,
        #[starlark(require = named, default = false)] close_after_first_401: bool,
        #[starlark(require = named, default = true)] cookies: bool,
        #[starlark(require = named)] at: Option<&'v Client>,
        #[starlark(require = named)] port: Option<i64>,
        eval: &mut Evaluator<'v, '_, '_>,
    ) -> starlark::Result<Client> {
        let profile = Profile { close_after_first_401, cookies, ..Profile::BROWSER };
        Ok(add_client(eval, name, profile, user, password, seat(at, port)?)?)
    }

    /// For `site(acceptor=)` and `site(servers=)`: a server that looks users up in a table of its own, by the
    /// connection's other end or by the value of `header`; `check` is `nothing`, `address` or `token`.
    fn tracked(
        #[starlark(require = named)] header: Option<String>,
        #[starlark(require = named, default = "nothing")] check: &str,
    ) -> starlark::Result<Acceptor> {
        let by = header.map_or(TrackedBy::Peer, TrackedBy::Header);
        let check = one_of("check", check, &CHECKS)?;
        Ok(Acceptor(topology::Acceptor::Tracked(Tracked { by, check })))
    }

    /// A server that takes the user from this request header, which the balancer sets.
    fn trusted_header(name: String) -> starlark::Result<Acceptor> {
        Ok(Acceptor(topology::Acceptor::TrustedHeader(name)))
    }

    /// A server that misbehaves: `garbage`, `half-head`, `half-body`, `wrong-length`, `header-flood`, `silent` or
    /// `closes`.
    fn rogue(how: &str) -> starlark::Result<Acceptor> {
        Ok(Acceptor(topology::Acceptor::Rogue(one_of("way to misbehave", how, &ROGUES)?)))
    }

    /// What the balancer declares about itself: `checks` (with `interval`, `timeout`, `notice_down` and `notice_up` in
    /// seconds, `logs_on`), `persistence` in seconds, `cookie`, `trusted_header`; None where it declares nothing.
    fn promises<'v>(eval: &mut Evaluator<'v, '_, '_>) -> starlark::Result<Value<'v>> {
        let promises = Session::of(eval).promises()?;
        let heap = eval.heap();
        let none = Value::new_none();
        let text = |text: Option<String>| text.map_or(none, |text| heap.alloc(text));
        let checks = promises.checks.map_or(none, |checks| {
            let seconds = |time: Duration| heap.alloc(time.as_secs_f64());
            heap.alloc(AllocStruct([
                ("interval", seconds(checks.interval)),
                ("timeout", seconds(checks.timeout)),
                ("notice_down", seconds(checks.notice_down())),
                ("notice_up", seconds(checks.notice_up())),
                ("logs_on", Value::new_bool(checks.user.is_some())),
            ]))
        });
        Ok(heap.alloc(AllocStruct([
            ("checks", checks),
            ("persistence", promises.persistence.map_or(none, |time| heap.alloc(time.as_secs_f64()))),
            ("cookie", text(promises.cookie)),
            ("trusted_header", text(promises.trusted_header)),
        ])))
    }

    /// A body of that many bytes, of a fixed pattern.
    fn bytes_of(count: i64) -> starlark::Result<Body> {
        Ok(Body { length: in_range("count", count, 0, MAX_BODY)? })
    }

    /// Waits for each of the requests; their answers, in the same order.
    fn wait_all<'v>(
        requests: UnpackListOrTuple<&'v Pending>,
        eval: &mut Evaluator<'v, '_, '_>,
    ) -> starlark::Result<Vec<Value<'v>>> {
        let answers =
            requests.items.into_iter().map(|request| request.answer(eval)).collect::<Result<Vec<Response>, _>>()?;
        Ok(answers.into_iter().map(|answer| eval.heap().alloc(answer)).collect())
    }

    /// Lets time pass.
    fn advance<'v>(
        #[starlark(default = UnpackFloat(0.0))] seconds: UnpackFloat,
        #[starlark(require = named, default = UnpackFloat(0.0))] ms: UnpackFloat,
        eval: &mut Evaluator<'v, '_, '_>,
    ) -> starlark::Result<NoneType> {
        let total = seconds.0 + ms.0 / 1_000.0;
        let time = Duration::try_from_secs_f64(total).ok().filter(|time| *time <= Duration::from_secs(MAX_ADVANCE));
        let out_of_range = || ScriptError::OutOfRange {
            argument: "the time in seconds",
            given: total.to_string(),
            low: 0,
            high: MAX_ADVANCE,
        };
        Session::of(eval).advance(time.ok_or_else(out_of_range)?)?;
        Ok(NoneType)
    }

    /// Ends a host's process; its kernel closes the connections.
    fn crash(host: &str, eval: &mut Evaluator) -> starlark::Result<NoneType> {
        fault(eval, Fault::Crash(host.into()))
    }

    /// A host falls silent; nobody is told.
    fn power_loss(host: &str, eval: &mut Evaluator) -> starlark::Result<NoneType> {
        fault(eval, Fault::PowerLoss(host.into()))
    }

    /// Starts a host's process again.
    fn restart(host: &str, eval: &mut Evaluator) -> starlark::Result<NoneType> {
        fault(eval, Fault::Restart(host.into()))
    }

    /// A host's process stops in its tracks: connections are accepted, and nobody answers.
    fn hang(host: &str, eval: &mut Evaluator) -> starlark::Result<NoneType> {
        fault(eval, Fault::Hang(host.into()))
    }

    /// A process that hangs goes on.
    fn resume(host: &str, eval: &mut Evaluator) -> starlark::Result<NoneType> {
        fault(eval, Fault::Resume(host.into()))
    }

    /// The balancer drains a backend: what is bound to it stays, nothing new comes.
    fn drain(host: &str, eval: &mut Evaluator) -> starlark::Result<NoneType> {
        Session::of(eval).drain(host.into(), true)?;
        Ok(NoneType)
    }

    /// A drained backend is in full use again.
    fn undrain(host: &str, eval: &mut Evaluator) -> starlark::Result<NoneType> {
        Session::of(eval).drain(host.into(), false)?;
        Ok(NoneType)
    }

    /// Packets between two hosts wait, in both directions.
    fn hold(one: &str, other: &str, eval: &mut Evaluator) -> starlark::Result<NoneType> {
        fault(eval, Fault::Hold(one.into(), other.into()))
    }

    /// Packets held between two hosts arrive.
    fn release(one: &str, other: &str, eval: &mut Evaluator) -> starlark::Result<NoneType> {
        fault(eval, Fault::Release(one.into(), other.into()))
    }

    /// A forged RST ends every connection between two hosts.
    fn reset(one: &str, other: &str, eval: &mut Evaluator) -> starlark::Result<NoneType> {
        fault(eval, Fault::Reset(one.into(), other.into()))
    }

    /// Notes that a condition does not hold. The script goes on either way.
    fn expect<'v>(
        condition: Value<'v>,
        #[starlark(default = "")] message: &str,
        eval: &mut Evaluator<'v, '_, '_>,
    ) -> starlark::Result<NoneType> {
        if !condition.to_bool() {
            let at = eval.call_stack_top_location().map_or_else(super::statement, |call| super::bytes(call.span));
            let message = if message.is_empty() { "expectation does not hold" } else { message };
            Session::of(eval).fail(at, message.to_owned(), Some(condition.to_repr()));
        }
        Ok(NoneType)
    }
}

/// What `site()` was given, checked one by one.
struct Site {
    backends: u32,
    users: Vec<(String, String)>,
    forbidden: Vec<String>,
    lockout: Option<u32>,
    link: LinkSpec,
    providers: Option<Vec<Provider>>,
    version: IisVersion,
    acceptor: topology::Acceptor,
    servers: Vec<(String, topology::Acceptor)>,
    front: Option<String>,
}

impl Site {
    fn apply(self, topology: &mut Topology) -> Result<(), ScriptError> {
        let users = &mut topology.domain.users;
        for (name, password) in self.users {
            check_name(&name)?;
            match users.iter_mut().find(|user| user.name.eq_ignore_ascii_case(&name)) {
                Some(user) => user.password = password,
                None => users.push(UserSpec { name, password, forbidden: false }),
            }
        }
        for name in self.forbidden {
            let known = names(users);
            let user = users.iter_mut().find(|user| user.name.eq_ignore_ascii_case(&name));
            user.ok_or(ScriptError::Unknown { kind: "user", given: name, known })?.forbidden = true;
        }
        topology.domain.lockout_threshold = self.lockout;
        topology.link = self.link;
        topology.servers = directory::servers(self.backends);
        for server in &mut topology.servers {
            server.version = self.version;
            server.providers = self.providers.clone().unwrap_or_else(|| server.providers.clone());
            server.acceptor = self.acceptor.clone();
        }
        for (name, acceptor) in self.servers {
            let known = topology.servers.iter().map(|server| server.name.to_string()).collect();
            let server = topology.servers.iter_mut().find(|server| server.name.as_str() == name);
            server.ok_or(ScriptError::Unknown { kind: "server", given: name, known })?.acceptor = acceptor;
        }
        topology.front = self.front;
        Ok(())
    }
}

fn add_client(
    eval: &Evaluator<'_, '_, '_>,
    name: &str,
    profile: Profile,
    user: Option<NoneOr<String>>,
    password: Option<String>,
    (at, port): (Option<Name>, Option<u16>),
) -> Result<Client, ScriptError> {
    check_name(name)?;
    let session = Session::of(eval);
    let identity = match user.map(NoneOr::into_option) {
        Some(None) if password.is_some() => return Err(ScriptError::PasswordOfNobody),
        Some(None) => None,
        Some(Some(user)) => Some(session.site(|topology| identity(topology, &user, password))?),
        None => Some(session.site(|topology| identity(topology, name, password))?),
    };
    let name = Name::from(name);
    session.add_client(ClientSpec { at, port, ..ClientSpec::new(name.clone(), profile, identity) })?;
    Ok(Client { name })
}

/// Credentials for `alice`, `CORP\alice` or a name that the directory lacks, with a password.
pub(super) fn identity(topology: &Topology, user: &str, password: Option<String>) -> Result<Identity, ScriptError> {
    let domain = &topology.domain;
    let principal = Principal::parse(user).unwrap_or_else(|| Principal::new(&domain.netbios, user));
    let of_domain = principal.domain().eq_ignore_ascii_case(&domain.netbios);
    let account = domain.users.iter().find(|account| of_domain && account.name.eq_ignore_ascii_case(principal.user()));
    let known = || account.map(|account| account.password.clone());
    match password.or_else(known) {
        Some(password) => Ok(Identity { principal, password }),
        None => Err(ScriptError::NoSuchUser { user: user.to_owned(), known: names(&domain.users) }),
    }
}

fn names(users: &[UserSpec]) -> Vec<String> {
    users.iter().map(|user| user.name.clone()).collect()
}

fn fault(eval: &Evaluator<'_, '_, '_>, fault: Fault) -> starlark::Result<NoneType> {
    Session::of(eval).fault(fault)?;
    Ok(NoneType)
}

fn check_name(name: &str) -> Result<(), ScriptError> {
    let fits = (1..=32).contains(&name.len())
        && name.bytes().all(|byte| byte.is_ascii_alphanumeric() || b"-_".contains(&byte));
    if fits { Ok(()) } else { Err(ScriptError::BadName(name.chars().take(40).collect())) }
}

/// Where a client sits: at whose host, and the port that it connects from.
fn seat(at: Option<&Client>, port: Option<i64>) -> Result<(Option<Name>, Option<u16>), ScriptError> {
    let port = port.map(|port| in_range("port", port, 1024, 65_535)).transpose()?;
    Ok((at.map(|client| client.name.clone()), port.map(|port| port as u16)))
}

const PROVIDERS: [(&str, Provider); 2] = [("NTLM", Provider::Ntlm), ("Negotiate", Provider::Negotiate)];
const VERSIONS: [(&str, IisVersion); 2] = [("iis6", IisVersion::Iis6), ("iis10", IisVersion::Iis10)];
const CHECKS: [(&str, TrackedCheck); 3] =
    [("nothing", TrackedCheck::Nothing), ("address", TrackedCheck::ClientAddress), ("token", TrackedCheck::Token)];
const ROGUES: [(&str, Rogue); 7] = [
    ("garbage", Rogue::Garbage),
    ("half-head", Rogue::HalfHead),
    ("half-body", Rogue::HalfBody),
    ("wrong-length", Rogue::WrongLength),
    ("header-flood", Rogue::HeaderFlood),
    ("silent", Rogue::Silent),
    ("closes", Rogue::Closes),
];

/// What a name stands for.
fn one_of<T: Copy>(kind: &'static str, given: &str, known: &[(&str, T)]) -> Result<T, ScriptError> {
    let found = known.iter().find(|(name, _)| *name == given).map(|&(_, value)| value);
    found.ok_or_else(|| ScriptError::Unknown {
        kind,
        given: given.into(),
        known: known.iter().map(|&(name, _)| name.to_owned()).collect(),
    })
}

fn microseconds(argument: &'static str, given: i64) -> Result<Duration, ScriptError> {
    in_range(argument, given, 0, MAX_LATENCY).map(Duration::from_micros)
}

fn in_range(argument: &'static str, given: i64, low: u64, high: u64) -> Result<u64, ScriptError> {
    let number = u64::try_from(given).ok().filter(|number| (low..=high).contains(number));
    number.ok_or_else(|| ScriptError::OutOfRange { argument, given: given.to_string(), low, high })
}
