//! The clients of a world, and their requests in progress.

use std::collections::{BTreeMap, BTreeSet};
use std::convert::Infallible;
use std::net::SocketAddr;
use std::time::Duration;

use indexmap::IndexMap;
use stickler_mock_client::Client;
use stickler_model::action::CrowdSpec;
use stickler_model::bounds::MAX_UNDER_WAY;
use stickler_model::event::Credentials;
use stickler_model::plan::StepProblem;
use stickler_model::{
    Answer, ClientSpec, Clock, Env, Identity, Name, RawSpec, RequestId, RequestSpec, TokenId, WorldError,
};
use stickler_net::Net;
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::sync::oneshot;
use tokio::sync::oneshot::error::TryRecvError;
use tokio::time::timeout;

use crate::Site;

/// The maximum number of bytes that are read on a bare connection.
const MOST_RAW: u64 = 64 * 1024;

/// The clients of a world, by name, with their requests in progress and the tokens that they have made.
///
/// Work that takes time runs as a task on the client's host. The world waits for the receiver that it gets, in
/// simulated or in real time.
pub struct Clients<N: Net> {
    seats: IndexMap<Name, Seat<N>>,
    /// The address to which they connect.
    front_end: SocketAddr,
    under_way: IndexMap<RequestId, oneshot::Receiver<Answer>>,
    /// The ids of all requests that were started so far.
    started: BTreeSet<RequestId>,
    /// The tokens that were made so far; `None` for a client without credentials, which had no token to offer.
    tokens: BTreeMap<TokenId, Option<String>>,
}

/// A client, and the host on which it runs.
struct Seat<N: Net> {
    client: Client<N>,
    /// The network of the host, from any port.
    net: N,
    spec: ClientSpec,
}

/// A client that is to be added.
pub struct NewClient<N> {
    /// The description of the client in the script.
    pub spec: ClientSpec,
    /// The environment of the client.
    pub env: Env,
    /// The network of the client's host. For a client that shares the host of another, see [`Clients::net`].
    pub net: N,
    /// The same network, from the client's source port if the client has a fixed one.
    pub own: N,
    /// The name of the site, which the client sends in `Host` unless the script says otherwise.
    pub host: String,
}

impl<N: Net> Clients<N> {
    /// Returns a set without clients. All clients will connect to this address.
    pub fn new(front_end: SocketAddr) -> Self {
        Self {
            seats: IndexMap::new(),
            front_end,
            under_way: IndexMap::new(),
            started: BTreeSet::new(),
            tokens: BTreeMap::new(),
        }
    }

    /// Checks a client before it gets a host.
    ///
    /// # Errors
    /// The name is already in use, the client whose host this one shares does not exist, or the client refers to a site
    /// with TLS by a name that is not in the certificate, which is for `host`.
    pub fn check<I: Clone>(&self, spec: &ClientSpec, site: &Site<I>, host: &str) -> Result<(), WorldError> {
        if self.seats.contains_key(&spec.name) || site.address(&spec.name).is_some() {
            return Err(WorldError::Duplicate(spec.name.to_string()));
        }
        if let (Some(own), true) = (spec.host.as_deref(), site.pki().is_some())
            && own != host
        {
            let message = format!("the site's certificate is for {host}: over TLS nobody gets in by the name `{own}`");
            return Err(WorldError::Invalid(message));
        }
        spec.at.as_ref().map_or(Ok(()), |at| self.seat(at).map(|_| ()))
    }

    /// Adds a client that [`Clients::check`] has accepted.
    pub fn add<I: Clone>(&mut self, new: NewClient<N>, site: &Site<I>) {
        let NewClient { spec, env, net, own, host } = new;
        let host = spec.host.clone().unwrap_or(host);
        let client = Client::new(own, env, &spec, self.front_end, host);
        let user = spec.identity.as_ref().map(|identity| &identity.principal);
        let mut client = client.with_promises(&site.promises());
        for (address, realm) in site.kdcs(user) {
            client = client.with_kdc(address, &realm);
        }
        if let Some(tls) = site.client_tls(&spec.name) {
            client = client.with_tls(tls);
        }
        self.seats.insert(spec.name.clone(), Seat { client, net, spec });
    }

    /// Returns the network of the host on which this client runs.
    ///
    /// # Errors
    /// There is no such client.
    pub fn net(&self, name: &Name) -> Result<&N, WorldError> {
        self.seat(name).map(|seat| &seat.net)
    }

    /// Returns the user agent of this client.
    ///
    /// # Errors
    /// There is no such client.
    pub fn client(&self, name: &Name) -> Result<&Client<N>, WorldError> {
        self.seat(name).map(|seat| &seat.client)
    }

    /// Returns the names of the clients, in order.
    pub fn names(&self) -> impl Iterator<Item = &Name> {
        self.seats.keys()
    }

    /// Starts a request on behalf of the user who is at the client now.
    ///
    /// # Errors
    /// The id is already in use, too many requests are in progress, or there is no such client.
    pub fn start<I: Clone>(
        &mut self,
        id: RequestId,
        spec: &RequestSpec,
        site: &Site<I>,
        clock: &dyn Clock,
    ) -> Result<(), WorldError> {
        if self.started.contains(&id) {
            return Err(WorldError::IdTaken(id.to_string()));
        }
        if self.under_way.len() == MAX_UNDER_WAY {
            return Err(WorldError::Invalid(StepProblem::TooManyUnderWay.to_string()));
        }
        let seat = self.seat(&spec.client)?;
        let credentials = seat.credentials(site, clock);
        // The request is made here and not in the task, because the user may change before the task is polled.
        let request = seat.client.request(id, spec, credentials);
        let answer = on_host(&seat.net, request);
        self.started.insert(id);
        self.under_way.insert(id, answer);
        Ok(())
    }

    /// Starts the requests of a crowd: each client sends one after the other, and pauses before each. The seed
    /// determines the pauses.
    ///
    /// # Errors
    /// An id is already in use, too many requests are in progress, or there is no such client.
    pub fn start_crowd<I: Clone>(
        &mut self,
        crowd: &CrowdSpec,
        seed: u64,
        site: &Site<I>,
        clock: &dyn Clock,
    ) -> Result<(), WorldError> {
        if let Some(taken) = crowd.ids().find(|id| self.started.contains(id)) {
            return Err(WorldError::IdTaken(taken.to_string()));
        }
        if self.under_way.len() as u64 + crowd.count() > MAX_UNDER_WAY as u64 {
            return Err(WorldError::Invalid(StepProblem::TooManyUnderWay.to_string()));
        }
        crowd.clients.iter().try_for_each(|client| self.seat(client).map(drop))?;
        let mut ids = crowd.ids();
        for name in &crowd.clients {
            let seat = self.seat(name)?;
            let (request, credentials) = (crowd.request(name), seat.credentials(site, clock));
            let requests = ids.by_ref().take(crowd.requests as usize).map(|id| (id, crowd.pause(seed, name, id)));
            let answers = seat.ask_in_turn(&request, credentials, requests);
            self.started.extend(answers.iter().map(|(id, _)| *id));
            self.under_way.extend(answers);
        }
        Ok(())
    }

    /// Returns the receiver of the answer to a request. The receiver gets an error if the client's host ends before the
    /// answer.
    ///
    /// # Errors
    /// The request is not in progress.
    pub fn answer(&mut self, id: RequestId) -> Result<oneshot::Receiver<Answer>, WorldError> {
        self.under_way.shift_remove(&id).ok_or(WorldError::NotStarted(id))
    }

    /// Returns the receiver of the token with which this client would begin to authenticate. The caller passes the
    /// token to [`Clients::keep_token`].
    ///
    /// # Errors
    /// The id is already in use, or there is no such client.
    pub fn make_token(&self, id: TokenId, name: &Name) -> Result<oneshot::Receiver<Option<String>>, WorldError> {
        if self.tokens.contains_key(&id) {
            return Err(WorldError::IdTaken(id.to_string()));
        }
        let Seat { client, net, .. } = self.seat(name)?;
        let client = client.clone();
        Ok(on_host(net, async move { client.first_token().await }))
    }

    /// Keeps a token for steps that refer to it; `None` if the client had no token to offer.
    pub fn keep_token(&mut self, id: TokenId, token: Option<String>) {
        self.tokens.insert(id, token);
    }

    /// Sends bytes on a bare connection from the client's host, from any port. The receiver gets the bytes that came
    /// back; none if no connection could be opened.
    ///
    /// # Errors
    /// There is no such client, or a token that the bytes refer to was not made.
    pub fn send_raw(&self, spec: &RawSpec) -> Result<oneshot::Receiver<Vec<u8>>, WorldError> {
        let seat = self.seat(&spec.client)?;
        let bytes = spec.resolve(|id| self.tokens.get(&id).and_then(Option::as_deref))?;
        Ok(on_host(&seat.net, exchange(seat.net.clone(), self.front_end, bytes, spec.patience)))
    }

    /// Replaces the user at a client.
    ///
    /// # Errors
    /// There is no such client.
    pub fn switch_user(&mut self, name: &Name, identity: Identity) -> Result<(), WorldError> {
        self.seat(name)?.client.switch_user(&identity);
        if let Some(seat) = self.seats.get_mut(name) {
            seat.spec.identity = Some(identity);
        }
        Ok(())
    }

    /// Closes all connections of all clients.
    pub fn disconnect(&self) {
        self.seats.values().for_each(|seat| seat.client.disconnect());
    }

    /// Returns the requests that are still in progress, in the order in which they were started.
    pub fn unfinished(&mut self) -> Vec<RequestId> {
        let unfinished = self
            .under_way
            .iter_mut()
            .filter_map(|(&request, answer)| matches!(answer.try_recv(), Err(TryRecvError::Empty)).then_some(request));
        unfinished.collect()
    }

    fn seat(&self, name: &Name) -> Result<&Seat<N>, WorldError> {
        self.seats.get(name).ok_or_else(|| {
            let known = self.names().map(Name::to_string).collect();
            WorldError::Unknown { kind: "client", name: name.to_string(), known }
        })
    }
}

impl<N: Net> Seat<N> {
    /// Returns whether the directory accepts the credentials of the client's user at present.
    fn credentials<I: Clone>(&self, site: &Site<I>, clock: &dyn Clock) -> Credentials {
        match &self.spec.identity {
            None => Credentials::None,
            Some(identity) if site.would_accept(identity, clock) => Credentials::Valid,
            Some(_) => Credentials::Wrong,
        }
    }

    /// Sends a request repeatedly, under these ids, with a pause before each. The receivers get the answers.
    fn ask_in_turn(
        &self,
        spec: &RequestSpec,
        credentials: Credentials,
        requests: impl Iterator<Item = (RequestId, Duration)>,
    ) -> Vec<(RequestId, oneshot::Receiver<Answer>)> {
        let (mut turns, mut answers) = (Vec::new(), Vec::new());
        for (id, pause) in requests {
            let (sender, answer) = oneshot::channel();
            // The request is made here and not in the task, because the user may change before the task is polled.
            turns.push((pause, self.client.request(id, spec, credentials), sender));
            answers.push((id, answer));
        }
        self.net.spawn(async move {
            for (pause, request, sender) in turns {
                tokio::time::sleep(pause).await;
                // Nobody waits if the plan has ended in the meantime.
                let _ = sender.send(request.await);
            }
        });
        answers
    }
}

/// Performs work on a host. The caller need not wait for it.
fn on_host<N: Net, T: Send + 'static>(net: &N, work: impl Future<Output = T> + Send + 'static) -> oneshot::Receiver<T> {
    let (sender, receiver) = oneshot::channel();
    net.spawn(async move {
        // Nobody waits if the plan has ended in the meantime.
        let _ = sender.send(work.await);
    });
    receiver
}

async fn exchange<N: Net>(net: N, peer: SocketAddr, bytes: Vec<u8>, patience: Duration) -> Vec<u8> {
    let mut answer = Vec::new();
    let Ok(Ok(stream)) = timeout(patience, net.connect(peer)).await else { return answer };
    let (reader, mut writer) = tokio::io::split(stream);
    // Writing goes on during reading: a peer that answers early may never read the rest.
    let write = async {
        let _ = writer.write_all(&bytes).await;
        std::future::pending::<Infallible>().await
    };
    let read = async {
        let mut reader = reader.take(MOST_RAW);
        while let Ok(Ok(1..)) = timeout(patience, reader.read_buf(&mut answer)).await {}
    };
    tokio::select! {
        biased;
        never = write => match never {},
        () = read => {}
    }
    answer
}
