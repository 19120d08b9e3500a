//! How a message reaches the output of a client: encoded once per protocol, and in order with the client's replies.
//!
//! What a command sends to its own client follows the command's reply, so it is held back until that is complete. There
//! are up to two such clients: the one whose batch runs, and one whose wait a command of the former has just ended.

use bytes::Bytes;
use carnelian_resp::{Protocol, ReplyBuf};

use crate::links::{ClientId, Links};

/// Bytes from which on a payload is shared by the outputs of its receivers.
const SHARE_FROM: usize = 16 * 1024;

/// One message, as each protocol shows it.
pub(super) struct Message<'a> {
    /// What it begins with: `message`, `pmessage`, `smessage`.
    pub(super) kind: &'static str,
    /// The pattern that its channel matches.
    pub(super) pattern: Option<&'a [u8]>,
    pub(super) channel: &'a [u8],
    pub(super) payload: &'a Payload<'a>,
}

/// What is published.
pub(super) struct Payload<'a> {
    bytes: &'a [u8],
    shared: Option<Bytes>,
}

impl<'a> Payload<'a> {
    pub(super) fn new(bytes: &'a [u8]) -> Payload<'a> {
        let shared = (bytes.len() >= SHARE_FROM).then(|| Bytes::copy_from_slice(bytes));
        Payload { bytes, shared }
    }
}

/// The encoded forms of the message that is being sent. Kept for its buffers.
#[derive(Default)]
pub(super) struct Frames {
    resp2: ReplyBuf,
    resp3: ReplyBuf,
}

impl Frames {
    /// Another message comes.
    pub(super) fn clear(&mut self) {
        self.resp2.clear();
        self.resp3.clear();
    }

    /// The message without a payload that is shared, encoded when it is first asked for.
    fn get(&mut self, protocol: Protocol, message: &Message<'_>) -> &ReplyBuf {
        let frame = match protocol {
            Protocol::Resp2 => &mut self.resp2,
            Protocol::Resp3 => &mut self.resp3,
        };
        if frame.is_empty() {
            frame.set_protocol(protocol);
            frame.push(3 + usize::from(message.pattern.is_some()));
            frame.bulk(message.kind.as_bytes());
            if let Some(pattern) = message.pattern {
                frame.bulk(pattern);
            }
            frame.bulk(message.channel);
            if message.payload.shared.is_none() {
                frame.bulk(message.payload.bytes);
            }
        }
        frame
    }
}

/// A client that runs a command, and what it receives after the reply.
#[derive(Default)]
struct Held {
    client: Option<ClientId>,
    pushes: ReplyBuf,
}

/// Where messages go.
#[derive(Default)]
pub(crate) struct Outbox {
    running: Held,
    retried: Held,
}

impl Outbox {
    /// A batch of this client runs from now on; of none, if there is none.
    #[inline]
    pub(crate) fn set_running(&mut self, client: Option<ClientId>) {
        self.running.client = client;
    }

    /// The command of a client that has waited is tried again.
    pub(crate) fn begin_retry(&mut self, client: ClientId) {
        self.retried.client = Some(client);
    }

    /// The reply of that client is sent: what follows it.
    pub(crate) fn end_retry(&mut self) -> ReplyBuf {
        self.retried.client = None;
        std::mem::take(&mut self.retried.pushes)
    }

    /// Whether there is something to be sent after the reply of the running command.
    #[inline]
    pub(crate) fn has_own(&self) -> bool {
        !self.running.pushes.is_empty()
    }

    /// Appends that to the reply.
    #[cold]
    pub(crate) fn append_own(&mut self, out: &mut ReplyBuf) {
        self.running.pushes.chunks().for_each(|chunk| out.raw(chunk));
        self.running.pushes.clear();
    }

    /// What the running client receives after the reply, in its protocol.
    pub(super) fn own(&mut self, protocol: Protocol) -> &mut ReplyBuf {
        let held = if self.retried.client.is_some() { &mut self.retried } else { &mut self.running };
        held.pushes.set_protocol(protocol);
        &mut held.pushes
    }

    /// Sends a message to a client.
    pub(super) fn deliver(
        &mut self,
        links: &mut dyn Links,
        (id, protocol): (ClientId, Protocol),
        frames: &mut Frames,
        message: &Message<'_>,
    ) {
        let frame = frames.get(protocol, message);
        let mut append = |out: &mut ReplyBuf| {
            frame.chunks().for_each(|chunk| out.raw(chunk));
            if let Some(payload) = &message.payload.shared {
                out.shared(payload.clone());
            }
        };
        self.post(links, (id, protocol), &mut append);
    }

    /// Sends something that is no reply to a client.
    pub(crate) fn post(
        &mut self,
        links: &mut dyn Links,
        (id, protocol): (ClientId, Protocol),
        write: &mut dyn FnMut(&mut ReplyBuf),
    ) {
        let mut write = |out: &mut ReplyBuf| {
            out.set_protocol(protocol);
            write(out);
        };
        match Some(id) {
            client if self.retried.client == client => write(&mut self.retried.pushes),
            client if self.running.client == client => write(&mut self.running.pushes),
            _ => links.send(id, &mut write),
        }
    }
}
