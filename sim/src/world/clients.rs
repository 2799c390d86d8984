//! The clients, and the hosts that they sit at.

use std::convert::Infallible;
use std::net::IpAddr;
use std::net::SocketAddr;
use std::time::Duration;

use indexmap::IndexMap;
use stickler_mock_client::Client;
use stickler_model::event::Credentials;
use stickler_model::{Answer, ClientSpec, Env, Identity, Name, RequestId, RequestSpec, WorldError};
use stickler_net::Net as _;
use stickler_site::Site;
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::sync::oneshot;
use tokio::time::timeout;

use super::addresses;
use crate::engine::{Engine, HostId, SimNet};

/// Most bytes that are read on a bare connection.
const MOST_RAW: u64 = 64 * 1024;

/// All clients, by name.
pub(super) struct Clients {
    seats: IndexMap<Name, Seat>,
    /// Hosts so far: several clients can sit at one.
    hosts: usize,
    /// What they connect to.
    front_end: SocketAddr,
}

/// A client, and the host that it sits at.
pub(super) struct Seat {
    pub(super) client: Client<SimNet>,
    /// The host's network, from any port.
    pub(super) net: SimNet,
    pub(super) spec: ClientSpec,
    front_end: SocketAddr,
}

impl Clients {
    /// Nobody yet.
    pub(super) fn new(front_end: SocketAddr) -> Self {
        Self { seats: IndexMap::new(), hosts: 0, front_end }
    }

    /// Adds a client on a host of its own, or on that of the client it sits at.
    pub(super) fn add(
        &mut self,
        engine: &mut Engine,
        spec: ClientSpec,
        env: Env,
        machines: &Site<HostId>,
    ) -> Result<(), WorldError> {
        let invalid = |error: crate::engine::EngineError| WorldError::Invalid(error.to_string());
        // Whatever is wrong is said before there is a host.
        spec.port.map_or(Ok(()), SimNet::check_port).map_err(invalid)?;
        let tls = machines.client_tls(&spec.name);
        if let (Some(host), true) = (spec.host.as_deref(), tls.is_some())
            && host != addresses::HOST_HEADER
        {
            let own = addresses::HOST_HEADER;
            let message = format!("the site's certificate is for {own}: over TLS nobody gets in by the name `{host}`");
            return Err(WorldError::Invalid(message));
        }
        let net = if let Some(at) = &spec.at {
            self.seat(at)?.net.clone()
        } else {
            let host = engine.add_host(addresses::client(self.hosts)?).map_err(invalid)?;
            self.hosts += 1;
            engine.net(host)
        };
        let own = spec.port.map_or(Ok(net.clone()), |port| net.from_port(port)).map_err(invalid)?;
        let host = spec.host.clone().unwrap_or_else(|| addresses::HOST_HEADER.to_owned());
        let client = Client::new(own, env, &spec, self.front_end, host);
        let user = spec.identity.as_ref().map(|identity| &identity.principal);
        let mut client = client.with_promises(&machines.promises());
        for (address, realm) in machines.kdcs(user) {
            client = client.with_kdc(address, &realm);
        }
        if let Some(tls) = tls {
            client = client.with_tls(tls);
        }
        self.seats.insert(spec.name.clone(), Seat { client, net, spec, front_end: self.front_end });
        Ok(())
    }

    /// The client of that name.
    pub(super) fn seat(&self, name: &Name) -> Result<&Seat, WorldError> {
        self.seats.get(name).ok_or_else(|| {
            let known = self.names().map(Name::to_string).collect();
            WorldError::Unknown { kind: "client", name: name.to_string(), known }
        })
    }

    /// Whether there is such a client.
    pub(super) fn has(&self, name: &Name) -> bool {
        self.seats.contains_key(name)
    }

    /// The address of a client's host.
    pub(super) fn address(&self, name: &Name) -> Option<IpAddr> {
        self.seats.get(name).map(|seat| seat.net.ip())
    }

    /// The clients' names, in order.
    pub(super) fn names(&self) -> impl Iterator<Item = &Name> {
        self.seats.keys()
    }

    /// Another user takes a client's seat.
    pub(super) fn switch_user(&mut self, name: &Name, identity: Identity) -> Result<(), WorldError> {
        self.seat(name)?.client.switch_user(&identity);
        if let Some(seat) = self.seats.get_mut(name) {
            seat.spec.identity = Some(identity);
        }
        Ok(())
    }

    /// Closes all connections of all clients.
    pub(super) fn disconnect(&self) {
        for seat in self.seats.values() {
            seat.client.disconnect();
        }
    }
}

impl Seat {
    /// Makes a request again and again, under these ids, and pauses before each. The receivers get the answers.
    pub(super) fn ask_in_turn(
        &self,
        spec: &RequestSpec,
        credentials: Credentials,
        requests: impl Iterator<Item = (RequestId, Duration)>,
    ) -> Vec<(RequestId, oneshot::Receiver<Answer>)> {
        let (mut turns, mut answers) = (Vec::new(), Vec::new());
        for (id, pause) in requests {
            let (sender, answer) = oneshot::channel();
            // Made here and not in the task, so that it is the request of the user who is at the client now.
            turns.push((pause, self.client.request(id, spec, credentials), sender));
            answers.push((id, answer));
        }
        self.net.spawn(async move {
            for (pause, request, sender) in turns {
                tokio::time::sleep(pause).await;
                // Nobody waits where the script ended without asking.
                let _ = sender.send(request.await);
            }
        });
        answers
    }

    /// Sends bytes on a bare connection from the client's host, from any port; the receiver gets what
    /// came back, nothing where no connection came about.
    pub(super) fn send_raw(&self, bytes: Vec<u8>, patience: Duration) -> oneshot::Receiver<Vec<u8>> {
        let (answers, answer) = oneshot::channel();
        let (net, front_end) = (self.net.clone(), self.front_end);
        self.net.spawn(async move {
            // Nobody waits where the script ended meanwhile.
            let _ = answers.send(exchange(net, front_end, bytes, patience).await);
        });
        answer
    }
}

async fn exchange(net: SimNet, front_end: SocketAddr, bytes: Vec<u8>, patience: Duration) -> Vec<u8> {
    let mut answer = Vec::new();
    let Ok(Ok(stream)) = timeout(patience, net.connect(front_end)).await else { return answer };
    let (reader, mut writer) = tokio::io::split(stream);
    // Beside reading: a peer that answers early may never read the rest.
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
