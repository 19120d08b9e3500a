//! The engine's access to the outside, over the network layer and the process.
#![expect(clippy::disallowed_methods, reason = "DEBUG SLEEP blocks the server on purpose")]

use crate::adapter::BesideAdapter;
use crate::logging;
use crate::process;
use crate::signals::Shutdown;
use crate::title::Title;
use carnelian_commands::{
    Address, Beside, ClientId, Close, Identity, LinkInfo, Links, NetTotals, ProcessStats,
};
use carnelian_config::{Change, ClientClass, Config, Directive, OutputLimit};
use carnelian_net::{Class, ConnId, How, Net, Peer};
use carnelian_resp::ReplyBuf;
use std::os::unix::ffi::OsStrExt;
use std::path::PathBuf;
use std::time::Duration;

/// What outlives a single call: facts about the process and where its configuration came from.
pub(crate) struct Host {
    pub(crate) identity: Identity,
    pub(crate) config_file: Option<PathBuf>,
    pub(crate) title: Title,
    pub(crate) shutdown: Shutdown,
}

/// The outside, for the duration of one call of the engine.
pub(crate) struct Outside<'a> {
    pub(crate) net: &'a mut Net,
    pub(crate) host: &'a mut Host,
}

pub(crate) fn client_id(id: ConnId) -> ClientId {
    ClientId { slot: id.slot, serial: id.serial }
}

fn conn_id(id: ClientId) -> ConnId {
    ConnId { slot: id.slot, serial: id.serial }
}

impl Links for Outside<'_> {
    fn clock_ns(&mut self) -> u64 {
        carnelian_net::monotonic_ns()
    }

    fn cpu_ns(&mut self) -> u64 {
        carnelian_net::thread_cpu_ns()
    }

    fn close(&mut self, id: ClientId, how: Close) {
        let how = match how {
            Close::AfterReply => How::AfterReply,
            Close::Now => How::Now,
        };
        self.net.close(conn_id(id), how);
    }

    fn send(&mut self, id: ClientId, write: &mut dyn FnMut(&mut ReplyBuf)) {
        self.net.send(conn_id(id), write);
    }

    fn set_subscriber(&mut self, id: ClientId, subscriber: bool) {
        let class = if subscriber { Class::PubSub } else { Class::Normal };
        self.net.set_class(conn_id(id), class);
    }

    fn resume(&mut self, id: ClientId) {
        self.net.resume(conn_id(id));
    }

    fn hold(&mut self, id: ClientId, until: u64) {
        self.net.hold(conn_id(id), until);
    }

    fn release(&mut self, up_to: u64) {
        self.net.release(up_to);
    }

    fn is_open(&mut self, id: ClientId) -> bool {
        self.net.conn(conn_id(id)).is_some_and(|conn| !conn.is_closing())
    }

    fn info(&mut self, id: ClientId) -> Option<LinkInfo> {
        let conn = self.net.conn(conn_id(id))?;
        let unix_path = || self.net.config().unix_socket.clone().unwrap_or_default();
        let (peer, local) = match conn.peer() {
            Peer::Tcp(addr) => {
                (Address::Tcp(addr), conn.local_socket_addr().map_or(Address::Tcp(addr), Address::Tcp))
            }
            Peer::Unix => (Address::Unix(unix_path()), Address::Unix(unix_path())),
        };
        Some(LinkInfo {
            peer,
            local,
            fd: conn.fd(),
            query: conn.input_len(),
            query_free: conn.input_memory().saturating_sub(conn.input_len()),
            output: conn.output_len(),
            output_memory: conn.output_memory(),
            read: conn.bytes_in(),
            written: conn.bytes_out(),
        })
    }

    fn totals(&mut self) -> NetTotals {
        let (net, turns) = (self.net.stats(), self.net.loop_stats());
        let (recent_input, recent_output) = self.net.recent_peaks();
        NetTotals {
            accepted: net.connections_received,
            rejected: net.rejected_connections,
            read: net.net_input_bytes,
            written: net.net_output_bytes,
            reads: net.reads_processed,
            writes: net.writes_processed,
            query_limit_closes: net.query_buffer_limit_disconnections,
            output_limit_closes: net.output_buffer_limit_disconnections,
            memory: self
                .net
                .conns()
                .map(|c| (c.base_memory() + c.input_memory() + c.output_memory()) as u64)
                .sum(),
            recent_input,
            recent_output,
            turns: turns.cycles,
            busy_us: turns.awake_ns / 1000,
            longest_turn_us: turns.max_ns / 1000,
        }
    }

    fn reset_totals(&mut self) {
        self.net.reset_stats();
    }

    fn process(&mut self) -> ProcessStats {
        process::measure()
    }

    fn identity(&mut self) -> &Identity {
        &self.host.identity
    }

    fn apply(&mut self, changes: &[Change], config: &Config) -> Result<(), (Directive, String)> {
        let mut changed = changes.iter().map(|change| change.directive);
        changed.try_for_each(|name| apply(self.net, name, config).map_err(|reason| (name, reason)))?;
        self.host.title.set(config);
        Ok(())
    }

    fn directory(&mut self) -> PathBuf {
        std::env::current_dir().unwrap_or_default()
    }

    fn rewrite_config(&mut self, config: &Config) -> Result<(), String> {
        let path = self.host.config_file.as_ref().expect("the engine asks only if there is a file");
        crate::rewrite::rewrite(path, config).map_err(|error| error.to_string())
    }

    fn purge_memory(&mut self) {
        process::purge();
    }

    fn pause_upkeep(&mut self, paused: bool) {
        self.net.pause_upkeep(paused);
    }

    fn stop(&mut self) {
        self.net.stop();
    }

    fn serve_beside(&mut self, beside: &mut Beside<'_>) -> bool {
        let served = self.net.turn_within(&mut BesideAdapter { beside, host: self.host });
        if let Err(error) = served {
            log::warn!("Cannot serve clients beside a script: {error}");
        }
        self.net.is_stopping()
    }

    fn sleep(&mut self, microseconds: u64) {
        std::thread::sleep(Duration::from_micros(microseconds));
        self.net.refresh_now();
    }
}

const BIND: Directive = Directive::named("bind");
const PORT: Directive = Directive::named("port");
const TIMEOUT: Directive = Directive::named("timeout");
const KEEPALIVE: Directive = Directive::named("tcp-keepalive");
const MAXCLIENTS: Directive = Directive::named("maxclients");
const ACCEPTS: Directive = Directive::named("max-new-connections-per-cycle");
const QUERY_LIMIT: Directive = Directive::named("client-query-buffer-limit");
const OUTPUT_LIMITS: Directive = Directive::named("client-output-buffer-limit");
const HZ: Directive = Directive::named("hz");
const LOG_LEVEL: Directive = Directive::named("loglevel");
pub(crate) const LOG_FORMAT: Directive = Directive::named("log-format");
pub(crate) const LOG_TIMESTAMPS: Directive = Directive::named("log-timestamp-format");
pub(crate) const DIR: Directive = Directive::named("dir");
const LOG_FILE: Directive = Directive::named("logfile");

/// What clients are told; the log says more.
const PORT_REFUSED: &str = "Unable to listen on this port. Check server logs.";
const BIND_REFUSED: &str = "Failed to bind to specified addresses.";

/// Applies one directive whose value changed, if its subsystem is the network or the log.
fn apply(net: &mut Net, directive: Directive, config: &Config) -> Result<(), String> {
    match directive {
        BIND | PORT => {
            net.set_bind(bind_addresses(config), config.int(PORT) as u16).map_err(|error| {
                log::warn!("Warning: {error}");
                let reason = if directive == PORT { PORT_REFUSED } else { BIND_REFUSED };
                reason.to_owned()
            })?;
        }
        TIMEOUT => net.set_timeout(Duration::from_secs(config.size(TIMEOUT))),
        KEEPALIVE => net.set_keepalive(Duration::from_secs(config.size(KEEPALIVE))),
        MAXCLIENTS => set_max_clients(net, config.size(MAXCLIENTS) as usize)?,
        ACCEPTS => net.set_max_accepts_per_turn(config.size(ACCEPTS) as usize),
        QUERY_LIMIT => net.set_query_buffer_limit(config.size(QUERY_LIMIT) as usize),
        OUTPUT_LIMITS => {
            for (class, of) in CLASSES {
                net.set_output_limits(class, output_limit(config.output_limit(of)));
            }
        }
        HZ => net.set_hz(hz(config)),
        LOG_LEVEL => logging::set_level(config.word(LOG_LEVEL)),
        LOG_FORMAT | LOG_TIMESTAMPS => {
            logging::set_style(config.word(LOG_FORMAT), config.word(LOG_TIMESTAMPS));
        }
        DIR => {
            let path = std::ffi::OsStr::from_bytes(config.text(DIR));
            std::env::set_current_dir(path).map_err(|error| crate::cli::describe(&error))?;
        }
        _ => {}
    }
    Ok(())
}

const CLASSES: [(Class, ClientClass); Class::COUNT] = [
    (Class::Normal, ClientClass::Normal),
    (Class::Replica, ClientClass::Replica),
    (Class::PubSub, ClientClass::PubSub),
];

fn output_limit(limit: OutputLimit) -> carnelian_net::OutputLimit {
    carnelian_net::OutputLimit {
        hard: limit.hard,
        soft: limit.soft,
        soft_for: Duration::from_secs(limit.soft_seconds),
    }
}

fn set_max_clients(net: &mut Net, wanted: usize) -> Result<(), String> {
    let adjusted = carnelian_net::raise_open_files(wanted);
    if adjusted.max_clients < wanted {
        return Err(format!(
            "The operating system is not able to handle the specified number of clients, try with {}",
            adjusted.max_clients
        ));
    }
    net.set_maxclients(wanted);
    Ok(())
}

fn hz(config: &Config) -> u32 {
    u32::try_from(config.int(HZ)).expect("the directive's range is small")
}

fn bind_addresses(config: &Config) -> Vec<String> {
    config.bind().iter().map(|address| String::from_utf8_lossy(address).into_owned()).collect()
}

/// The network's settings as the configuration has them at the start.
pub(crate) fn net_config(config: &Config) -> carnelian_net::Config {
    let text = |name: Directive| String::from_utf8_lossy(config.text(name)).into_owned();
    let socket = text(Directive::named("unixsocket"));
    let permissions = config.size(Directive::named("unixsocketperm")) as u32;
    let mut net = carnelian_net::Config {
        bind: bind_addresses(config),
        port: config.int(PORT) as u16,
        unix_socket: (!socket.is_empty()).then(|| PathBuf::from(socket)),
        unix_permissions: (permissions != 0).then_some(permissions),
        backlog: config.int(Directive::named("tcp-backlog")) as i32,
        max_clients: config.size(MAXCLIENTS) as usize,
        max_accepts_per_turn: config.size(ACCEPTS) as usize,
        timeout: Duration::from_secs(config.size(TIMEOUT)),
        keepalive: Duration::from_secs(config.size(KEEPALIVE)),
        query_buffer_limit: config.size(QUERY_LIMIT) as usize,
        hz: hz(config),
        ..carnelian_net::Config::default()
    };
    for (class, of) in CLASSES {
        net.output_limits[class as usize] = output_limit(config.output_limit(of));
    }
    net
}

/// Where the log goes, if not to the standard output.
pub(crate) fn log_file(config: &Config) -> Option<PathBuf> {
    let path = String::from_utf8_lossy(config.text(LOG_FILE)).into_owned();
    (!path.is_empty()).then(|| PathBuf::from(path))
}
