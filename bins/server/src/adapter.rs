//! The network layer's service: hands connections and batches to the engine and time to both.

use crate::links::{Host, Outside, client_id};
use carnelian_commands::{BatchOutcome, Beside, Engine};
use carnelian_config::{Config, Directive};
use carnelian_net::{Admission, ConnId, Deadline, Net, Next, Outcome, PeerKind, Service};
use carnelian_resp::{Batch, Limits, ProtocolError, ReplyBuf};

/// The engine between the network and the process.
pub(crate) struct Adapter {
    pub(crate) engine: Engine,
    pub(crate) host: Host,
    /// The kinds of sockets that the log has yet to call ready, which they are once the dataset is loaded.
    pub(crate) ready: Vec<&'static str>,
    /// Whether a signal has ended the loop, and everything is saved that has to be.
    is_prepared: bool,
}

impl Adapter {
    pub(crate) fn new(engine: Engine, host: Host, ready: Vec<&'static str>) -> Adapter {
        Adapter { engine, host, ready, is_prepared: false }
    }

    /// The loop has ended. If that was because of a signal that came during a slow script, there is still to save.
    pub(crate) fn finish(&mut self, net: &mut Net) {
        if !self.is_prepared {
            self.woken(net);
        }
        self.engine.close_log(&mut Outside { net: &mut *net, host: &mut self.host });
        net.flush_all();
    }
}

impl Service for Adapter {
    fn accepted(&mut self, net: &mut Net, id: ConnId, _out: &mut ReplyBuf) -> Admission {
        let Some(kind) = net.conn(id).map(|conn| conn.peer().kind()) else { return Admission::Accept };
        if kind == PeerKind::Remote && is_protected(self.engine.config()) {
            return Admission::Refuse(PROTECTED);
        }
        self.engine.connected(client_id(id), kind == PeerKind::Unix);
        Admission::Accept
    }

    fn limits(&self, id: ConnId) -> Limits {
        self.engine.limits(client_id(id))
    }

    fn requests(
        &mut self,
        net: &mut Net,
        id: ConnId,
        batch: &Batch,
        buf: &[u8],
        out: &mut ReplyBuf,
    ) -> Outcome {
        let mut outside = Outside { net, host: &mut self.host };
        outcome_of(self.engine.run_batch(&mut outside, client_id(id), batch, buf, out))
    }

    fn protocol_error(&mut self, _net: &mut Net, id: ConnId, error: &ProtocolError, _out: &mut ReplyBuf) {
        self.engine.protocol_error(client_id(id), error);
    }

    fn closed(&mut self, _net: &mut Net, id: ConnId) {
        self.engine.disconnected(client_id(id));
    }

    fn after_sleep(&mut self, net: &mut Net) {
        let now = net.now();
        self.engine.turn(now.mono_ns, now.wall_us);
    }

    fn before_sleep(&mut self, net: &mut Net) -> Option<Deadline> {
        let mut outside = Outside { net, host: &mut self.host };
        let wake_ms = self.engine.before_sleep(&mut outside);
        if !self.ready.is_empty() && !self.engine.is_loading() && !net.is_stopping() {
            self.ready.drain(..).for_each(|kind| log::info!("Ready to accept connections {kind}"));
        }
        Some(net.now().at_wall_ms(wake_ms))
    }

    fn describe(&self, net: &Net, id: ConnId) -> String {
        describe(net, id)
    }

    fn woken(&mut self, net: &mut Net) {
        let Some(signal) = self.host.shutdown.requested() else { return };
        let flags = self.engine.config().shutdown_flags(signal.directive());
        let mut outside = Outside { net, host: &mut self.host };
        if self.engine.prepare_shutdown(&mut outside, flags) {
            self.is_prepared = true;
            net.stop();
        } else {
            self.host.shutdown.refused();
        }
    }
}

/// Those who are served beside a slow script.
pub(crate) struct BesideAdapter<'a, 'e> {
    pub(crate) beside: &'a mut Beside<'e>,
    pub(crate) host: &'a mut Host,
}

impl Service for BesideAdapter<'_, '_> {
    fn accepted(&mut self, net: &mut Net, id: ConnId, _out: &mut ReplyBuf) -> Admission {
        let Some(kind) = net.conn(id).map(|conn| conn.peer().kind()) else { return Admission::Accept };
        if kind == PeerKind::Remote && is_protected(self.beside.config()) {
            return Admission::Refuse(PROTECTED);
        }
        self.beside.connected(client_id(id), kind == PeerKind::Unix);
        Admission::Accept
    }

    fn limits(&self, id: ConnId) -> Limits {
        self.beside.limits(client_id(id))
    }

    fn requests(
        &mut self,
        net: &mut Net,
        id: ConnId,
        batch: &Batch,
        buf: &[u8],
        out: &mut ReplyBuf,
    ) -> Outcome {
        let mut outside = Outside { net, host: self.host };
        outcome_of(self.beside.run_batch(&mut outside, client_id(id), batch, buf, out))
    }

    fn protocol_error(&mut self, _net: &mut Net, id: ConnId, error: &ProtocolError, _out: &mut ReplyBuf) {
        self.beside.protocol_error(client_id(id), error);
    }

    fn closed(&mut self, _net: &mut Net, id: ConnId) {
        self.beside.disconnected(client_id(id));
    }

    fn after_sleep(&mut self, _net: &mut Net) {}

    /// The script is to go on.
    fn before_sleep(&mut self, _net: &mut Net) -> Option<Deadline> {
        Some(Deadline::IMMEDIATE)
    }

    fn describe(&self, net: &Net, id: ConnId) -> String {
        describe(net, id)
    }

    /// The script ends first; then it is time to save.
    fn woken(&mut self, net: &mut Net) {
        if self.host.shutdown.requested().is_some() {
            net.stop();
        }
    }
}

fn outcome_of(outcome: BatchOutcome) -> Outcome {
    let next = match outcome.next {
        carnelian_commands::Next::Continue => Next::Continue,
        carnelian_commands::Next::CloseAfterReply => Next::CloseAfterReply,
        carnelian_commands::Next::CloseNow => Next::CloseNow,
        carnelian_commands::Next::Pause | carnelian_commands::Next::Wait => Next::Pause,
    };
    Outcome { executed: outcome.executed, next }
}

/// One line about a client for the log.
fn describe(net: &Net, id: ConnId) -> String {
    let addr = net.conn(id).map_or(String::new(), |conn| conn.addr());
    format!("id={} addr={addr}", id.serial)
}

/// Whether clients from other machines are refused: nobody protected the server, so it protects itself.
fn is_protected(config: &Config) -> bool {
    config.flag(Directive::named("protected-mode")) && config.text(Directive::named("requirepass")).is_empty()
}

/// What such clients are told; clients know the code.
const PROTECTED: &[u8] = b"-DENIED Carnelian is running in protected mode: no password is set for the default user, \
so only clients on the same machine are served. To serve others, set a password with the requirepass directive, or, if \
the network is trusted, set protected-mode to no; both work in the configuration file and with CONFIG SET from the same \
machine.\r\n";
