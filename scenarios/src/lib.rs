//! The script language, the shipped scripts and their expected outcomes.
//!
//! ```text
//! Scenario ──▶ run ──▶ Arm: World ──▶ Trace ──▶ oracle ──▶ Run ──▶ Ending
//! (.star)    (script)                                              (expected.toml)
//!    ▲
//!    └─────── write ◀── Plan
//! ```
//!
//! * [`scenario`]: a script's source, with its title and description.
//! * [`suite`]: the shipped scenarios, and those loaded from files and folders.
//! * `run`: one script over one balancer with one seed gives a [`Run`](stickler_runner::Run); `site`: what a script describes,
//!   without what it does there.
//! * `script`: the script language, on [Starlark](https://github.com/bazelbuild/starlark). This module and `run` exist
//!   only with the Cargo feature `scripts`, which is on by default.
//! * `plans`: the recorded plans of the shipped scenarios, which are played without Starlark.
//! * [`expected`]: the tables of expected outcomes. [`mod@catches`]: which scenario catches which defect.
//! * `stickler_model::standard`: the accounts that every scenario finds.
//! * [`declared`]: what balancers are declared to violate, by the tables, for hunts.
//! * `site`: what a script says of its site, as data, and back: what it has to say for a topology.
//! * [`mod@write`]: a plan as a script, with clients called by their names, a docstring and expectations.
//! * `shortened`: a finding of a hunt as people read it.
//! * [`limits`]: how much a script may compute and allocate.
//! * `panics`: panics of a script's thread become its error.
//!
//! # The script language
//!
//! Starlark (Python's syntax, without `while`, `import`, clock or randomness). A call that asks
//! drives the world until the answer is there.
//!
//! | call | does |
//! |---|---|
//! | `site(backends=2, users={name: password}, forbidden=[], lockout=None, latency_us=250, jitter_us=0, providers=["NTLM"], iis="iis10")` | describes the site; optional, before the first client, once |
//! | `site(..., servers={"iis2": server(providers=, authentication=, iis=, acceptor=, certificate=, clock_skew=, accounts=, workgroup=, connection_timeout=, max_request_bytes=, anonymous=, ...)})` | what differs at one server, the rest is as the site has it; a `windows_authentication(...)` or an acceptor may stand in place of `server(...)`. `certificate` is `own`, `same` (the balancer's), `expired`, `other-name` or `as-site`; `clock_skew` is how many seconds its clock is ahead |
//! | `configure("iis2", server(...))` | sets a server up anew during the run, over what it has, and starts IIS again (`iisreset`): its connections end |
//! | `site(..., workgroup=True, accounts={name: password})`, `server(workgroup=True, accounts={name: password})` | servers in no domain: NTLM with accounts of their own, by default those of the directory (`None` takes one away); `alice` is `.\\alice` at the client, and `IIS1\\alice` at iis1 |
//! | `site(..., anonymous=["/public"], anonymous_methods=["OPTIONS"], anonymous_windows_too=False)` | paths (with all below them) and methods that need no logon; without `anonymous_windows_too` nobody is known there, with it whoever has logged on is |
//! | `site(..., connection_timeout=120)` | IIS's `connectionTimeout`, in seconds: how long a connection may be idle |
//! | `site(..., max_field_length=16384, max_request_bytes=16384)` | http.sys's `MaxFieldLength` and `MaxRequestBytes`: the longest header field of a request, and the longest request line with all fields, in bytes (64 to 65534, and 256 to 16777216); a longer one is answered 400 |
//! | `site(..., acceptor=tracked(header=, check="nothing"), servers={name: rogue("garbage")}, front=None)` | other servers than IIS: `tracked()` looks users up in a table of its own (`check`: `nothing`, `address`, `token`), `trusted_header(name)` believes a header, `rogue(how)` misbehaves; a second balancer in front |
//! | `site(..., authentication=windows_authentication(...))` | how IIS authenticates: `pool="machine"` or an account, `kernel_mode=True`, `app_pool_credentials=False`, `persist_non_ntlm=True`, `single_request=False`, `via_ends_persistence=False`, `keep_alive="always"` (or `closed-by-failure`, `closed-by-challenge`, `never`), `token_checking="none"`, `protection_flags=[]`, `service_names=[]`, `max_concurrent_api=` (2 for `iis6`, 10 for `iis10`); providers are `NTLM`, `Negotiate`, `Negotiate:Kerberos`, `Nego2` |
//! | `site(..., services={account: [spn]}, delegation=[account], files={name: [reader]})` | service accounts (or machines, `iis1$`) with their names; those trusted for delegation; files below `/files/` with who may read them |
//! | `site(..., groups={user: count})` | how many domain local groups users are members of: each makes their tickets 40 bytes longer |
//! | `site(..., tls="own", http2=False)` | TLS; behind a balancer at which it ends: `own` certificates, the `same` one, or `plain` HTTP; whether HTTP/2 is offered, by servers as well |
//! | `site(..., tls="own", front="pin-on-401", between="again")` | TLS through two balancers: what the one in front has between it and the other, where TLS ends at it, TLS `again` or `plain` HTTP |
//! | `site(..., controllers=[controller(name, slow_ms=0, lacks=[], outdated=[], max_concurrent_api=10, requires_checksum=False)], partner=partner(users, trust="holds", password=, claims=None))` | several DCs, in the order in which servers ask them; a second domain PARTNER, whose trust `holds`, is `broken`, or there is `none`, and the `password` of that. `requires_checksum`: the KDC refuses a request without a checksum, as Samba does and Windows does not |
//! | `site(..., broken="why nobody can log on here")` | declares that the site cannot work, whatever balancer is in front of it: a line of at most 200 characters |
//! | `client(name, kind, ...)` | adds a client that behaves as this user agent: `curl`, `curl_negotiate`, `curl_anyauth`, `browser`, `wininet`, `chromium_linux`, `firefox_linux`, `wget`, `mono`, `lwp` or `requests_kerberos` (`stickler_model::agent` has the table) |
//! | `curl(name, ...)`, `curl_negotiate(name, ...)`, `browser(name, ...)` | the same for kinds that are often used |
//! | ... of every client: `user=`, `password=`, `cookies=`, `at=`, `port=`, `host=`, `patience=30`, `keep_alive=None` | `user` is its own name if unsaid, `None` for nobody; the password is the directory's; whether it keeps cookies (as its kind does, if unsaid); `at` is a client whose address it shares, `port` the port that it connects from, `host` what it calls the site; how many seconds it waits for an answer, and keeps an idle connection. No timer is less than a millisecond |
//! | ... and `kerberos=True`, `delegates=False`, `clock_skew=0`, `http2="never"`, `preconnects=`, `close_after_first_401=False`, `closes_with_proof=False` | may it use Kerberos, does it delegate, how many seconds its clock is ahead; `http2` is `never`, `until-challenged` or `always`; does it open a second connection beside its first (as its kind does, if unsaid); does it close the connection with a first 401; does it say `Connection: close` with the leg that proves who its user is |
//! | `crowd(count, kind="browser", requests=1, think_ms=0, path="/", ...)` | so many clients (at most 1,000) at which `user01`, `user02` ... sit, as far as no client is called so yet, with the options of every client; each asks so often, one request after the other, and pauses before each for `think_ms` on average, as the seed draws. Waits for all. Returns a list: the `client`, its `user`, its `answers`. The directory has 20 such users, and more where the crowd is the first to act |
//! | `crowd([alice, bob], requests=, think_ms=, path=)` | the same with clients that are there |
//! | `start_crowd(...)` | the same without waiting: `requests`, each with `wait()`, in place of `answers` |
//! | `c.get(path)`, `c.post(path, body)`, `c.request(method, path, body)`, each with `headers={}`, the last two with `chunked=False`, `expect=None`, `limit_rate=None` | asks and waits; `chunked`: the body goes in chunks; `expect`: whether the client waits for `100 Continue` before it sends the body, instead of doing as its kind does; `limit_rate`: the body goes at this many bytes per second (curl: `--limit-rate`); a body is a string of at most 1 MiB, `bytes_of(count)` or `None`; a method is any token of RFC 9110; a path is percent-encoded; `headers` are fields that the client adds, none of those that are [its own](stickler_model::request::OWN_FIELDS) |
//! | `c.switch_user(user, password=)` | another user takes the seat, on the connections that the client has |
//! | `c.send_raw(text, patience_ms=1000)` | sends at most 1 MiB on a bare connection; what came back |
//! | `c.make_token()` | the token that it would begin with under `Negotiate`, for `send_raw`; not sent. A text that was made more than once (by NTLM it is always the same) stands for the latest |
//! | `p = c.start(method, path, body)`, with the same arguments, `p.wait()`, `wait_all([p, q])` | asks without waiting; waits |
//! | `c.disconnect()` | the client closes its connections |
//! | `advance(seconds)`, `advance(ms=)` | lets time pass |
//! | `await_checks("down", extra=1, otherwise=60)` | lets time pass until the balancer's checks must have noticed a backend that is `down`, or `up` again, and `extra` seconds more; `otherwise` where it declares no checks |
//! | `crash(host)`, `power_loss(host)`, `restart(host)`, `hang(host)`, `resume(host)` | hosts are `iis1`, `iis2` ..., `lb`, `dc`; one that hangs accepts connections and answers nothing |
//! | `drain(host)`, `undrain(host)` | the balancer takes a backend out of use for new clients, and back |
//! | `promises()` | what the balancer declares: `checks` (`interval`, `timeout`, `notice_down`, `notice_up` in seconds, `logs_on`), `persistence`, `spread` (`unit`, `percent`, `units`, `weights`), `cookie`, `trusted_header`, `out_after_failures`, `services` (a list: `prefix`, `backends`); `None` where nothing; `none_left`, the status of an answer with no backend left, `None` for a closed connection |
//! | `counts()` | so far: `requests`, `logons` at the DC, `tickets` asked of it, `ticket_checks` at servers |
//! | `app_log()`, `logon_log()` | what the application logged (`id`, `user`, `backend`), what servers heard of logons (`server`, `account`, `status`) |
//! | `hold(a, b)`, `release(a, b)`, `reset(a, b)` | packets wait, arrive; forged RSTs |
//! | `r.id`, `status`, `user`, `backend`, `connection`, `number`, `requests`, `error`, `elapsed_ms`, `method`, `path`, `length`, `digest`, `body_length`, `hop`, `headers` | what came of a request; `None` where the application did not answer; `headers` are the fields of the answer by name in lower case, `r.headers.get("persistent-auth")` |
//! | `r.expect(status=200, user="CORP\\alice")`, `expect(condition, message)` | notes what does not hold, and goes on; a list means any of its values |
//! | `print(...)` | kept in [`Run::printed`](stickler_runner::Run) |
//!
//! # The site's pages
//!
//! The case of letters makes no difference. What is not here is 404.
//!
//! | path | answers |
//! |---|---|
//! | `/`, a page right below it (`/inbox`), and all below `/api/`, `/echo/`, `/public/` and `/shop/` | what the application sees of the request, as JSON; each with or without a query |
//! | `/bytes/N` | N bytes of a fixed pattern |
//! | `/slow/SECONDS` | the same as `/`, after that time: up to an hour, `/slow/0.5` as well |
//! | `/forbidden`, and all below it | 401.3: an access list refuses every user |
//! | `/files/NAME` | a file of `site(files=)`, opened as the user: 401.3 for whoever may not read it |
//! | `/socket` | as `/`; a WebSocket (RFC 6455) to whoever asks for one: a 101, the same as a first message, then an echo of each frame up to 64 KiB |
//! | `/hop` | as `/`, and whom a second server would see if the application asked it in the user's name (`r.hop`) |
//!
//! A script's own mistake is an error with file, line and column ([`End::Failed`](stickler_runner::End)), and never a finding
//! against the balancer: what a user agent cannot be asked to send is refused before it is sent (`send_raw` sends
//! anything). What the script printed until then is kept, and what was seen until then is judged. A script that asks for
//! nothing is an error; one that puts nothing to the test and expects nothing is skipped, so that it is not green.
//!
//! A program that plays the scripts of others installs the counting allocator of [`limits`].

pub mod catches;
#[cfg(feature = "scripts")]
pub mod declared;
pub mod expected;
pub mod group;
pub mod limits;
mod nearest;
mod plans;
#[cfg(feature = "scripts")]
mod run;
pub mod scenario;
#[cfg(feature = "scripts")]
mod script;
mod shortened;
mod site;
pub mod suite;
pub mod write;

pub use catches::{Catch, catches};
pub use expected::{Expectations, FileError};
pub use group::Group;
#[cfg(feature = "scripts")]
pub use run::{run, site};
pub use scenario::{Scenario, ScenarioError};
pub use shortened::Shortened;
pub use suite::{Case, SuiteError, select, shipped};
pub use write::{Finding, Story, Unwritable, canonical, named_after_users, write_script};
