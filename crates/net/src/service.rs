//! What the layer above implements.

use carnelian_reactor::Deadline;
use carnelian_resp::{Batch, Limits, ProtocolError, ReplyBuf};

use crate::{ConnId, Net};

/// The layer above the connections. Every call gets the [`Net`], through which any connection can be reached.
///
/// `out` is always the output of the connection that the call is about, taken out of `Net` for the duration of the
/// call: write there instead of using [`Net::send`] with the same id, whose bytes would follow only after those of
/// `out`.
pub trait Service {
    /// A client has connected; [`Net::conn`] tells from where. What is in `out` is sent if the client is admitted.
    fn accepted(&mut self, net: &mut Net, id: ConnId, out: &mut ReplyBuf) -> Admission;

    /// The parser's limits for this client at this moment (they are smaller before authentication).
    fn limits(&self, id: ConnId) -> Limits;

    /// Commands of one connection, in order; never none. `buf` is what the batch's positions refer to.
    fn requests(
        &mut self,
        net: &mut Net,
        id: ConnId,
        batch: &Batch,
        buf: &[u8],
        out: &mut ReplyBuf,
    ) -> Outcome;

    /// The client broke the protocol. The error reply has yet to be appended to `out`, and the connection is closed
    /// after it; this is for counting and logging.
    fn protocol_error(&mut self, net: &mut Net, id: ConnId, error: &ProtocolError, out: &mut ReplyBuf);

    /// The connection is about to be closed: [`Net::conn`] still knows it, but nothing can be sent any more. Not
    /// called for clients that were not admitted.
    fn closed(&mut self, net: &mut Net, id: ConnId);

    /// The loop has slept and read the clock ([`Net::now`]); events follow.
    fn after_sleep(&mut self, net: &mut Net);

    /// The turn ends; outputs are written after this. The answer is when the service wants its next turn, even if
    /// nothing happens until then.
    fn before_sleep(&mut self, net: &mut Net) -> Option<Deadline>;

    /// One line about a client for the log.
    fn describe(&self, net: &Net, id: ConnId) -> String;

    /// Another thread has woken the loop through [`Net::waker`].
    fn woken(&mut self, net: &mut Net);
}

/// Whether a new client may stay.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Admission {
    /// It is served.
    Accept,
    /// It is sent these bytes and closed; it counts as rejected.
    Refuse(&'static [u8]),
}

/// What became of a batch.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Outcome {
    /// How many commands were executed, from the first on. The others are parsed again, unless the connection closes.
    /// At least one, if the connection is to continue.
    pub executed: usize,
    /// How the connection goes on.
    pub next: Next,
}

/// How a connection goes on after a batch.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Next {
    /// With the commands that follow.
    Continue,
    /// Everything in its output is sent, then it is closed; what it has sent beyond is dropped.
    CloseAfterReply,
    /// It is closed at the end of the turn; nothing more is sent.
    CloseNow,
    /// Commands that were not executed wait until [`Net::resume`]. Some more bytes may be read meanwhile, so that a
    /// client that hangs up is noticed.
    Pause,
}
