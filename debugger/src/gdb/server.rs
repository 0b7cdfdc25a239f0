//! The socket: one client at a time, looked after by whoever polls.

use std::io::{self, ErrorKind, Read, Write};
use std::net::{SocketAddr, TcpListener, TcpStream, ToSocketAddrs};
use std::os::fd::{AsFd, BorrowedFd};

use thiserror::Error;

use super::attention::Attention;
use super::files::{Companions, Files};
use super::front::Client;
use super::link::{Farewell, Link, Shared};
use super::monitor::MonitorCommands;
use super::points::Points;
use super::stop::exit_reply;
use super::threads::TaskNames;
use super::view::View;
use super::wire::packet;
use crate::inferior::{Inferior, InferiorError, Notice, Resume, Status};

/// What clients are shown at a port.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Protocol {
    /// A processor that gdb and lldb know.
    Gdb,
    /// Wasm, as lldb's plugin for it knows it: `process connect --plugin wasm`.
    Wasm,
}

/// A server that cannot be made.
#[derive(Debug, Error)]
pub enum ServerError {
    /// The address is taken, not ours, or not one.
    #[error("cannot listen for debuggers on {address} (port 0 takes any that is free)")]
    Listen {
        /// As it was given.
        address: String,
        /// Why.
        source: io::Error,
    },
}

/// What a server needs from the program around it.
pub struct ServerParts {
    /// Makes the files with the symbols.
    pub companions: Box<dyn Companions>,
    /// What `monitor` runs.
    pub monitor: Box<dyn MonitorCommands>,
    /// What threads are called; without it, as the tasks were when they were created.
    pub names: Option<Box<dyn TaskNames>>,
}

/// What a server did that somebody should know of.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum ServerEvent {
    /// A client has come; the machine stops for it.
    Attached(SocketAddr),
    /// The client has left, or was lost; the machine goes on.
    Detached(SocketAddr),
    /// There is a client already: this one was sent away.
    Refused(SocketAddr),
    /// The client wants the run to end. It is gone; the machine has not been let go on.
    Kill(SocketAddr),
    /// The client wanted to change the guest's memory, and it was not changed, for this reason.
    Unchanged(String),
}

/// How much may wait to be sent before nothing more is read.
const MAX_UNSENT: usize = 1 << 24;

/// How many clients wait to be told that there is another.
const MAX_REFUSED: usize = 8;

struct Connection {
    stream: TcpStream,
    peer: SocketAddr,
    link: Link,
}

/// A server for gdb and lldb. It does nothing by itself: call [`Server::on_ready`] when one of [`Server::fds`] is
/// ready, and [`Server::on_notice`] with every notice of the inferior.
pub struct Server {
    listeners: Vec<(TcpListener, Protocol)>,
    connection: Option<Connection>,
    shared: Shared,
    /// Clients that came while there was another, until they have been told.
    refused: Vec<TcpStream>,
    /// Set by clients that left while the machine ran.
    leftovers: Points,
    /// Such a client has used `monitor`.
    monitored: bool,
    /// The machine has stopped, or will stop, only so that a client that is gone can be cleaned up after.
    release: bool,
}

impl Server {
    /// A server that clients can come to once it [listens](Server::listen).
    pub fn new(parts: ServerParts) -> Server {
        let ServerParts { companions, monitor, names } = parts;
        Server {
            listeners: Vec::new(),
            connection: None,
            refused: Vec::new(),
            shared: Shared {
                view: View::new(names),
                files: Files::new(companions),
                monitor,
                attention: Attention::default(),
            },
            leftovers: Points::default(),
            monitored: false,
            release: false,
        }
    }

    /// One that listens on `address` for gdb: see [`Server::listen`].
    ///
    /// # Errors
    /// [`ServerError::Listen`].
    pub fn bind(address: impl ToSocketAddrs + ToString, parts: ServerParts) -> Result<Server, ServerError> {
        let mut server = Server::new(parts);
        server.listen(address, Protocol::Gdb)?;
        Ok(server)
    }

    /// Listens on `address`, as `HOST:PORT`; port 0 is any free one. There is one client at a time at all ports together.
    ///
    /// # Errors
    /// [`ServerError::Listen`].
    pub fn listen(&mut self, address: impl ToSocketAddrs + ToString, protocol: Protocol) -> Result<(), ServerError> {
        let listener = TcpListener::bind(&address).and_then(|listener| {
            listener.set_nonblocking(true)?;
            Ok(listener)
        });
        let listener = listener.map_err(|source| ServerError::Listen { address: address.to_string(), source })?;
        self.listeners.push((listener, protocol));
        Ok(())
    }

    /// Where it listens first.
    ///
    /// # Errors
    /// It does not, or as the socket's.
    pub fn address(&self) -> io::Result<SocketAddr> {
        let first = self.listeners.first().ok_or(ErrorKind::AddrNotAvailable)?;
        first.0.local_addr()
    }

    /// Where it listens, and for whom.
    ///
    /// # Errors
    /// As the sockets'.
    pub fn addresses(&self) -> io::Result<Vec<(SocketAddr, Protocol)>> {
        self.listeners.iter().map(|(listener, protocol)| Ok((listener.local_addr()?, *protocol))).collect()
    }

    /// Whether a client is there.
    pub fn is_attached(&self) -> bool {
        self.connection.is_some()
    }

    /// What to poll: for reading, and where it says so for writing too.
    pub fn fds(&self) -> Vec<(BorrowedFd<'_>, bool)> {
        let client = self.connection.as_ref();
        let client = client.map(|client| (client.stream.as_fd(), !client.link.out.is_empty()));
        let refused = self.refused.iter().map(|stream| (stream.as_fd(), false));
        let listeners = self.listeners.iter().map(|(listener, _)| (listener.as_fd(), false));
        listeners.chain(client).chain(refused).collect()
    }

    /// Takes and answers what has come. Never waits.
    pub fn on_ready(&mut self, inferior: &mut dyn Inferior) -> Vec<ServerEvent> {
        let mut events = Vec::new();
        self.serve(inferior, &mut events);
        if self.accept(inferior, &mut events) {
            // A client often sends its first packet at once.
            self.serve(inferior, &mut events);
        }
        self.refused.retain_mut(|stream| !is_told(stream));
        events
    }

    /// To be called every second or so while the inferior takes long to stop for a client that attaches: the client would
    /// give up else.
    pub fn reassure(&mut self, inferior: &mut dyn Inferior) -> Vec<ServerEvent> {
        let mut events = Vec::new();
        if let Some(client) = &mut self.connection {
            client.link.reassure();
        }
        self.flush(inferior, &mut events);
        events
    }

    /// Passes on what the inferior tells.
    pub fn on_notice(&mut self, notice: &Notice, inferior: &mut dyn Inferior) -> Vec<ServerEvent> {
        let mut events = Vec::new();
        if matches!(notice, Notice::Stopped(_)) {
            self.clean_up(inferior);
        }
        let remark = self.shared.monitor.on_notice(inferior, notice);
        if let Some(client) = &mut self.connection {
            client.link.tell(&remark.text);
        }
        match notice {
            Notice::Stopped(stop) => {
                self.shared.view.forget();
                let mut stop = (**stop).clone();
                if remark.goes_on
                    && let Some(client) = &self.connection
                    && let Some(resume) = client.link.further(&mut stop)
                    && inferior.resume(resume).is_ok()
                {
                    self.flush(inferior, &mut events);
                    return events;
                }
                if let Some(client) = &mut self.connection {
                    client.link.stopped(&stop, &mut self.shared, inferior);
                    self.attach(inferior, &mut events);
                }
                self.let_go(inferior);
            }
            Notice::Ended(outcome, _) => {
                self.shared.view.forget();
                self.release = false;
                if let Some(client) = &mut self.connection {
                    client.link.ended(&exit_reply(outcome));
                    self.attach(inferior, &mut events);
                }
            }
            Notice::Module(_) => self.shared.view.expect_modules(),
            Notice::Console(_) | Notice::Event(_) | Notice::Found(_) => {}
        }
        self.flush(inferior, &mut events);
        events
    }

    /// The next client that has come.
    fn comer(&self) -> Option<(TcpStream, SocketAddr, Protocol)> {
        self.listeners.iter().find_map(|(listener, protocol)| {
            let (stream, peer) = listener.accept().ok()?;
            Some((stream, peer, *protocol))
        })
    }

    /// Takes clients that have come; whether there is a new one.
    fn accept(&mut self, inferior: &mut dyn Inferior, events: &mut Vec<ServerEvent>) -> bool {
        let mut new = false;
        // Whatever else accepting may fail with is about a client that is gone again.
        while let Some((stream, peer, protocol)) = self.comer() {
            if self.connection.is_some() {
                if stream.set_nonblocking(true).is_ok() && self.refused.len() < MAX_REFUSED {
                    self.refused.push(stream);
                }
                events.push(ServerEvent::Refused(peer));
                continue;
            }
            let usable = stream.set_nonblocking(true).and_then(|()| stream.set_nodelay(true));
            let link = usable.map_err(|error| error.to_string()).and_then(|()| {
                self.release = false;
                self.clean_up(inferior);
                // Nobody is told of those that come while nobody is there.
                self.shared.view.expect_modules();
                Link::new(client(protocol), inferior).map_err(|error| error.to_string())
            });
            match link {
                Ok(link) => {
                    if let Err(error) = inferior.stop_at_loads(true) {
                        log::warn!("breakpoints in programs that start later may come too late: {error}");
                    }
                    self.listen_meanwhile(&stream);
                    self.connection = Some(Connection { stream, peer, link });
                    new = true;
                    events.push(ServerEvent::Attached(peer));
                }
                Err(error) => log::warn!("gdb at {peer} cannot be served: {error}"),
            }
        }
        new
    }

    /// Has commands that take long be given up when the client does not wait for them any more.
    fn listen_meanwhile(&mut self, stream: &TcpStream) {
        match stream.try_clone() {
            Ok(stream) => self.shared.monitor.give_up_when(self.shared.attention.ask(stream)),
            Err(error) => log::warn!("commands of `monitor` cannot be interrupted: {error}"),
        }
    }

    fn serve(&mut self, inferior: &mut dyn Inferior, events: &mut Vec<ServerEvent>) {
        let mut buf = [0; 0x4000];
        while let Some(client) = &mut self.connection
            && client.link.out.len() < MAX_UNSENT
        {
            match client.stream.read(&mut buf) {
                Ok(0) => return self.lost(inferior, events),
                Ok(n) => {
                    let farewell = client.link.receive(&buf[..n], &mut self.shared, inferior);
                    events.extend(client.link.take_refusal().map(ServerEvent::Unchanged));
                    self.part(farewell, inferior, events);
                    // There was no more; what comes now is told by the next poll.
                    if n < buf.len() {
                        break;
                    }
                }
                Err(error) if error.kind() == ErrorKind::WouldBlock => break,
                Err(error) if error.kind() == ErrorKind::Interrupted => {}
                Err(_) => return self.lost(inferior, events),
            }
        }
        self.flush(inferior, events);
    }

    fn attach(&mut self, inferior: &mut dyn Inferior, events: &mut Vec<ServerEvent>) {
        if let Some(client) = &mut self.connection {
            let farewell = client.link.attached(&mut self.shared, inferior);
            self.part(farewell, inferior, events);
        }
    }

    /// Sends what can be sent.
    fn flush(&mut self, inferior: &mut dyn Inferior, events: &mut Vec<ServerEvent>) {
        while let Some(client) = &mut self.connection
            && !client.link.out.is_empty()
        {
            match client.stream.write(&client.link.out) {
                Ok(n) => drop(client.link.out.drain(..n)),
                Err(error) if error.kind() == ErrorKind::WouldBlock => return,
                Err(error) if error.kind() == ErrorKind::Interrupted => {}
                Err(_) => return self.lost(inferior, events),
            }
        }
    }

    /// The client is gone without a word: as if it had detached.
    fn lost(&mut self, inferior: &mut dyn Inferior, events: &mut Vec<ServerEvent>) {
        self.part(Some(Farewell::Detach), inferior, events);
    }

    fn part(&mut self, farewell: Option<Farewell>, inferior: &mut dyn Inferior, events: &mut Vec<ServerEvent>) {
        let Some(farewell) = farewell else { return };
        let Some(mut client) = self.connection.take() else { return };
        if let Err(error) = inferior.stop_at_loads(false) {
            log::debug!("the machine may stop once more for gdb, which left: {error}");
        }
        // The last reply is short: if there is no room for it, nobody reads it.
        let _ = client.stream.write(&client.link.out);
        let _ = client.stream.shutdown(std::net::Shutdown::Write);
        // That has the connection as well.
        self.shared.monitor.give_up_when(Box::new(|| false));
        self.shared.attention.forget();
        self.shared.files.close_all();
        self.leftovers.append(client.link.into_points());
        self.monitored |= !self.shared.monitor.is_clear();
        self.release = farewell == Farewell::Detach;
        events.push(match farewell {
            Farewell::Detach => ServerEvent::Detached(client.peer),
            Farewell::Kill => ServerEvent::Kill(client.peer),
        });
        if *inferior.status() == Status::Running {
            // It need not stop if there is nothing to take away.
            self.release &= self.monitored || !self.leftovers.is_empty();
            if self.release
                && let Err(error) = inferior.interrupt()
            {
                log::warn!("cannot clean up after gdb: {error}");
            }
        } else {
            self.clean_up(inferior);
            self.let_go(inferior);
        }
    }

    /// Takes away what clients that are gone have set, if the machine is stopped.
    fn clean_up(&mut self, inferior: &mut dyn Inferior) {
        if !matches!(inferior.status(), Status::Stopped(_)) {
            return;
        }
        let mut cleared = self.leftovers.clear(inferior);
        if self.monitored {
            let also = self.shared.monitor.clear(inferior);
            self.monitored = also.is_err();
            cleared = cleared.and(also);
        }
        if let Err(error) = cleared {
            log::warn!("cannot clean up after gdb: {error}");
        }
    }

    /// Lets the machine go on if nobody wants it to be stopped.
    fn let_go(&mut self, inferior: &mut dyn Inferior) {
        if !matches!(inferior.status(), Status::Stopped(_)) || !std::mem::take(&mut self.release) {
            return;
        }
        self.shared.view.forget();
        match inferior.resume(&Resume::go()) {
            Ok(()) | Err(InferiorError::Running) => {}
            Err(error) => log::warn!("the machine does not go on after gdb left: {error}"),
        }
    }
}

/// What a client is taken for at first.
fn client(protocol: Protocol) -> Client {
    match protocol {
        Protocol::Gdb => Client::Gdb,
        Protocol::Wasm => Client::Wasm,
    }
}

/// The first packet of lldb.
const LLDB_BEGINS: &[u8] = b"$QStartNoAckMode#";

/// Tells a client that there is one already, as the answer to its first packet: so gdb shows it. lldb shows nothing that it
/// is told, and would wait for what does not come: but that nobody is there is an error at once. True when it has been told,
/// or is gone.
fn is_told(stream: &mut TcpStream) -> bool {
    let mut first = [0; 0x1000];
    match stream.read(&mut first) {
        Err(error) if matches!(error.kind(), ErrorKind::WouldBlock | ErrorKind::Interrupted) => false,
        // The `+` that clients begin with.
        Ok(1) => false,
        Ok(0) | Err(_) => true,
        Ok(len) if first[..len].strip_prefix(b"+").unwrap_or(&first[..len]).starts_with(LLDB_BEGINS) => true,
        Ok(_) => {
            let words = packet(b"E.another debugger is attached: it has to detach first");
            // It takes these few bytes, or nobody reads them.
            let _ = stream.write(&[b"+", words.as_slice()].concat());
            let _ = stream.shutdown(std::net::Shutdown::Write);
            false
        }
    }
}
