//! A network whose type is not known before the program runs.

use std::future::Future;
use std::io;
use std::net::SocketAddr;
use std::pin::Pin;
use std::sync::Arc;

use tokio::task::AbortHandle;

use crate::{Listener, Net, Stream};

type Boxed<'a, T> = Pin<Box<dyn Future<Output = T> + Send + 'a>>;

/// Any [`Net`] behind one type, for code that must be stored as a trait object and therefore cannot be generic.
///
/// The type behaves like the network that it wraps. Each call costs one additional allocation and one additional
/// virtual call.
#[derive(Clone)]
pub struct AnyNet(Arc<dyn ObjectNet>);

/// Any [`Listener`] behind one type.
pub struct AnyListener(Box<dyn ObjectListener>);

impl AnyNet {
    /// Wraps a network.
    pub fn new<N: Net>(net: N) -> Self {
        Self(Arc::new(net))
    }
}

impl AnyListener {
    /// Wraps a listener.
    pub fn new<L: Listener>(listener: L) -> Self {
        Self(Box::new(listener))
    }
}

impl Net for AnyNet {
    type Stream = Box<dyn Stream>;
    type Listener = AnyListener;

    async fn connect(&self, peer: SocketAddr) -> io::Result<Box<dyn Stream>> {
        self.0.connect_boxed(peer).await
    }

    async fn bind(&self, addr: SocketAddr) -> io::Result<AnyListener> {
        self.0.bind_boxed(addr).await
    }

    fn spawn(&self, task: impl Future<Output = ()> + Send + 'static) -> AbortHandle {
        self.0.spawn_boxed(Box::pin(task))
    }
}

impl Listener for AnyListener {
    type Stream = Box<dyn Stream>;

    async fn accept(&self) -> io::Result<(Box<dyn Stream>, SocketAddr)> {
        self.0.accept_boxed().await
    }

    fn local_addr(&self) -> io::Result<SocketAddr> {
        self.0.address()
    }
}

impl Stream for Box<dyn Stream> {
    fn local_addr(&self) -> io::Result<SocketAddr> {
        (**self).local_addr()
    }

    fn peer_addr(&self) -> io::Result<SocketAddr> {
        (**self).peer_addr()
    }
}

/// [`Net`] as a trait object. Its methods have different names, because every network implements both traits.
trait ObjectNet: Send + Sync {
    fn connect_boxed(&self, peer: SocketAddr) -> Boxed<'_, io::Result<Box<dyn Stream>>>;
    fn bind_boxed(&self, addr: SocketAddr) -> Boxed<'_, io::Result<AnyListener>>;
    fn spawn_boxed(&self, task: Boxed<'static, ()>) -> AbortHandle;
}

impl<N: Net> ObjectNet for N {
    fn connect_boxed(&self, peer: SocketAddr) -> Boxed<'_, io::Result<Box<dyn Stream>>> {
        Box::pin(async move { Ok(Box::new(Net::connect(self, peer).await?) as Box<dyn Stream>) })
    }

    fn bind_boxed(&self, addr: SocketAddr) -> Boxed<'_, io::Result<AnyListener>> {
        Box::pin(async move { Ok(AnyListener::new(Net::bind(self, addr).await?)) })
    }

    fn spawn_boxed(&self, task: Boxed<'static, ()>) -> AbortHandle {
        Net::spawn(self, task)
    }
}

/// [`Listener`] as a trait object.
trait ObjectListener: Send + Sync {
    fn accept_boxed(&self) -> Boxed<'_, io::Result<(Box<dyn Stream>, SocketAddr)>>;
    fn address(&self) -> io::Result<SocketAddr>;
}

impl<L: Listener> ObjectListener for L {
    fn accept_boxed(&self) -> Boxed<'_, io::Result<(Box<dyn Stream>, SocketAddr)>> {
        Box::pin(async move {
            let (stream, peer) = Listener::accept(self).await?;
            Ok((Box::new(stream) as Box<dyn Stream>, peer))
        })
    }

    fn address(&self) -> io::Result<SocketAddr> {
        Listener::local_addr(self)
    }
}

#[cfg(test)]
mod tests {
    use std::net::Ipv4Addr;

    use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};

    use super::*;
    use crate::TokioNet;

    #[tokio::test]
    async fn it_connects_listens_and_spawns_as_the_network_inside_does() {
        let net = AnyNet::new(TokioNet);
        let listener = net.bind((Ipv4Addr::LOCALHOST, 0).into()).await.unwrap();
        let address = listener.local_addr().unwrap();
        net.spawn(async move {
            let (mut stream, peer) = listener.accept().await.unwrap();
            assert_eq!((stream.peer_addr().unwrap(), stream.local_addr().unwrap()), (peer, address));
            stream.write_all(b"hello").await.unwrap();
        });
        let mut stream = net.connect(address).await.unwrap();
        assert_eq!(stream.peer_addr().unwrap(), address);
        let mut text = String::new();
        stream.read_to_string(&mut text).await.unwrap();
        assert_eq!(text, "hello");
        let refused = net.connect(address).await.err().map(|error| error.kind());
        assert_eq!(refused, Some(io::ErrorKind::ConnectionRefused), "the task has dropped the listener");
    }
}
