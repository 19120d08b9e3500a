//! A server that answers every command with `+OK`: what the network layer costs on its own.
//! Usage: ok PORT [portable]

use carnelian_net::{Admission, Backend, Config, ConnId, Deadline, Net, Next, Outcome, Service};
use carnelian_resp::{Batch, Limits, ProtocolError, ReplyBuf};

struct AlwaysOk;

impl Service for AlwaysOk {
    fn accepted(&mut self, _: &mut Net, _: ConnId, _: &mut ReplyBuf) -> Admission {
        Admission::Accept
    }

    fn limits(&self, _: ConnId) -> Limits {
        Limits::default()
    }

    fn requests(&mut self, _: &mut Net, _: ConnId, batch: &Batch, _: &[u8], out: &mut ReplyBuf) -> Outcome {
        for _ in 0..batch.len() {
            out.ok();
        }
        Outcome { executed: batch.len(), next: Next::Continue }
    }

    fn protocol_error(&mut self, _: &mut Net, _: ConnId, _: &ProtocolError, _: &mut ReplyBuf) {}
    fn closed(&mut self, _: &mut Net, _: ConnId) {}
    fn after_sleep(&mut self, _: &mut Net) {}

    fn before_sleep(&mut self, _: &mut Net) -> Option<Deadline> {
        None
    }

    fn describe(&self, net: &Net, id: ConnId) -> String {
        net.conn(id).map_or(String::new(), |conn| conn.addr())
    }

    fn woken(&mut self, _: &mut Net) {}
}

fn main() -> Result<(), Box<dyn std::error::Error>> {
    let mut args = std::env::args().skip(1);
    let port = args.next().ok_or("usage: ok PORT [portable]")?.parse()?;
    let backend = if args.next().is_some() { Backend::Portable } else { Backend::Native };
    let adjusted = carnelian_net::raise_open_files(10_000);
    let bind = vec!["127.0.0.1".to_owned()];
    let max_clients = adjusted.max_clients;
    let mut net = Net::new(Config { bind, port, backend, max_clients, ..Config::default() })?;
    net.listen()?;
    net.run(&mut AlwaysOk)?;
    Ok(())
}
