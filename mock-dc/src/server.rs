//! The logon channel on a network: frames in, decisions out.
//!
//! A server opens one connection and pipelines its logons. It sends first, once, the number of the
//! first logon on this connection (8 bytes, big-endian); the logons that follow have the numbers
//! after it. The number ties [`What::DcLogon`] to the server's own event when connections come and
//! go. It is evidence for a trace, and trusted for nothing. After it come the frames of
//! [`stickler_auth::logon`], in both directions.

use std::io;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use bytes::{Buf as _, BytesMut};
use indexmap::IndexMap;
use stickler_auth::FileTime;
use stickler_auth::logon::{FRAME_PREFIX, LogonError, LogonServer, frame_len};
use stickler_model::{Entropy, Env, Name, What};
use stickler_net::{Net, Stream, next_connection};
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::time::{Instant, timeout, timeout_at};

use crate::Directory;

/// How long a frame, once begun, may take to arrive, and a reply to be taken.
const FRAME_LIMIT: Duration = Duration::from_secs(10);

/// What a read asks for at a time, in bytes: some thirty logons.
const READ_SIZE: usize = 16 * 1024;

/// A domain controller: the directory, and the machines that are joined to the domain.
pub struct DomainController {
    directory: Mutex<Directory>,
    /// By machine name in lower case.
    machines: Mutex<IndexMap<String, Machine>>,
}

/// A machine account.
#[derive(Clone)]
struct Machine {
    /// As the trace has it.
    name: Name,
    secret: Arc<[u8]>,
}

impl DomainController {
    /// A controller of this directory that no machine is joined to yet.
    pub fn new(directory: Directory) -> Self {
        Self { directory: Mutex::new(directory), machines: Mutex::default() }
    }

    /// Joins a machine to the domain, with its account's secret; joining again replaces the secret. For
    /// Kerberos it has the account `name$` ([`Directory::add_machine`]).
    ///
    /// The machine's NetBIOS name is `name` without case, not cut to 15 characters.
    pub fn join(&self, name: &Name, secret: &[u8]) {
        self.directory().add_machine(name.as_str(), secret);
        lock(&self.machines)
            .insert(name.as_str().to_lowercase(), Machine { name: name.clone(), secret: secret.into() });
    }

    /// Joins a machine with a secret that a world's seed has for it, and hands that out, 32 bytes.
    pub fn enroll(&self, name: &Name, seed: u64) -> [u8; 32] {
        let secret = Entropy::new(seed, &format!("machine account of {name}")).bytes();
        self.join(name, &secret);
        secret
    }

    /// The directory, to look into or to change. Do not hold it across an `.await`.
    pub fn directory(&self) -> MutexGuard<'_, Directory> {
        lock(&self.directory)
    }

    fn machine(&self, claimed: &str) -> Option<Machine> {
        lock(&self.machines).get(&claimed.to_lowercase()).cloned()
    }
}

/// A panic elsewhere leaves either map whole: each change is one insertion or one number.
fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

/// Serves logon channels until the task is dropped, or the listener has failed for good.
pub async fn serve<N: Net>(net: N, listener: N::Listener, env: Env, dc: Arc<DomainController>) {
    while let Some((stream, _)) = next_connection(&listener).await {
        let (env, dc) = (env.clone(), Arc::clone(&dc));
        net.spawn(async move {
            // Why a channel ended shows at its other end: the server logs that no DC answered.
            let _ = serve_channel(stream, &env, &dc).await;
        });
    }
}

/// Why a channel was closed.
#[derive(Debug, thiserror::Error)]
enum ChannelError {
    #[error("the connection broke: {0}")]
    Io(#[from] io::Error),
    #[error("{0}")]
    Frame(#[from] LogonError),
    #[error("machine {0:?} is not joined to the domain")]
    UnknownMachine(String),
    #[error("a frame was not complete, or a reply not taken, within {FRAME_LIMIT:?}")]
    TooSlow(#[from] tokio::time::error::Elapsed),
}

async fn serve_channel(mut stream: impl Stream, env: &Env, dc: &DomainController) -> Result<(), ChannelError> {
    let mut input = BytesMut::new();
    let mut output = Vec::new();
    let mut channel = Channel::default();
    let mut begun = None;
    loop {
        // Bounded: what stays in `input` is less than one frame, and `frame_len` bounds that.
        input.reserve(READ_SIZE);
        let read = stream.read_buf(&mut input);
        let count = match begun {
            None => read.await?,
            Some(begun) => timeout_at(begun + FRAME_LIMIT, read).await??,
        };
        if count == 0 {
            return Ok(());
        }
        let decided = channel.take(&mut input, &mut output, env, dc);
        if !output.is_empty() {
            timeout(FRAME_LIMIT, stream.write_all(&output)).await??;
            output.clear();
            begun = None;
        }
        decided?;
        begun = if input.is_empty() { None } else { begun.or_else(|| Some(Instant::now())) };
    }
}

/// One connection's state: until the first frame nobody has said who it is.
#[derive(Default)]
struct Channel {
    /// The number that the next logon has; `None` until it was announced.
    next: Option<u64>,
    machine: Option<(Name, LogonServer)>,
}

impl Channel {
    /// Decides each whole frame in `input`, and appends the replies to `output`.
    fn take(
        &mut self,
        input: &mut BytesMut,
        output: &mut Vec<u8>,
        env: &Env,
        dc: &DomainController,
    ) -> Result<(), ChannelError> {
        if self.next.is_none() {
            if input.len() < size_of::<u64>() {
                return Ok(());
            }
            self.next = Some(input.get_u64());
        }
        while let Some(&prefix) = input.first_chunk::<FRAME_PREFIX>() {
            let length = frame_len(prefix)?;
            if input.len() < FRAME_PREFIX + length {
                break;
            }
            let frame = input.split_to(FRAME_PREFIX + length);
            output.extend_from_slice(&self.decide(&frame[FRAME_PREFIX..], env, dc)?);
        }
        Ok(())
    }

    fn decide(&mut self, frame: &[u8], env: &Env, dc: &DomainController) -> Result<Vec<u8>, ChannelError> {
        if self.machine.is_none() {
            let claimed = LogonServer::claimed_machine(frame)?;
            let Some(machine) = dc.machine(&claimed) else {
                return Err(ChannelError::UnknownMachine(claimed));
            };
            self.machine = Some((machine.name, LogonServer::new(&claimed, &machine.secret)));
        }
        let (name, channel) = self.machine.as_mut().expect("set above");
        let request = channel.decode_request(frame)?;
        let logon = dc.directory().logon(&request, FileTime(env.clock.filetime()));
        let number = self.next.unwrap_or_default();
        self.next = Some(number.wrapping_add(1));
        env.record(What::DcLogon {
            server: name.clone(),
            logon: number,
            account: logon.account,
            status: logon.reply.status.0,
            bad_count: logon.bad_count,
        });
        Ok(channel.encode_reply(&logon.reply)?)
    }
}
