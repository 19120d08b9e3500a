//! What consumer groups have gone through, as effects: XREADGROUP, XCLAIM and XAUTOCLAIM are logged as what became of
//! each pending entry. Knows nothing of how entries were chosen.

use carnelian_keyspace::stream::{Group, Pending, StreamId};
use carnelian_resp::OwnedArgv;

use crate::context::Ctx;
use crate::effects::EFFECT_WORDS;

/// What a command did to the pending entries of a group, while effects are wanted.
#[derive(Default)]
pub(super) struct Deeds {
    logged: bool,
    /// Entries that are pending of the command's consumer now: when they were delivered, and how often.
    assigned: Vec<(StreamId, u64, u64)>,
    /// Entries that are no longer pending.
    acknowledged: Vec<StreamId>,
    consumer_created: bool,
    /// Where the group stands: its last ID and how many entries it has read.
    position: (StreamId, Option<i64>),
    /// Whether it did not stand there before.
    moved: bool,
}

impl Deeds {
    pub(super) fn new(cx: &Ctx<'_>) -> Deeds {
        Deeds { logged: cx.logs_effects(), ..Deeds::default() }
    }

    pub(super) fn assigned(&mut self, id: StreamId, pending: &Pending) {
        if self.logged {
            self.assigned.push((id, pending.delivered_at, pending.deliveries));
        }
    }

    pub(super) fn acknowledged(&mut self, id: StreamId) {
        if self.logged {
            self.acknowledged.push(id);
        }
    }

    /// The command is done with the group.
    pub(super) fn finish(&mut self, group: &Group, consumer_created: bool, moved: bool) {
        self.position = (group.last_id, group.read);
        (self.consumer_created, self.moved) = (consumer_created, moved);
    }

    /// Logs them.
    pub(super) fn log(&self, cx: &mut Ctx<'_>, key: &[u8], group: &[u8], consumer: &[u8]) {
        if !self.logged {
            return;
        }
        if self.consumer_created && self.assigned.is_empty() {
            cx.effect(&[b"XGROUP", b"CREATECONSUMER", key, group, consumer]);
        }
        for run in self.assigned.chunk_by(|a, b| (a.1, a.2) == (b.1, b.2)) {
            for some in run.chunks(EFFECT_WORDS) {
                self.log_claim(cx, &[b"XCLAIM", key, group, consumer, b"0"], some);
            }
        }
        for some in self.acknowledged.chunks(EFFECT_WORDS) {
            let mut words = OwnedArgv::from_slices(&[b"XACK", key, group]);
            some.iter().for_each(|id| id.with_text(|text| words.push(text)));
            cx.effect_of(&words);
        }
        if self.moved {
            let (last_id, read) = self.position;
            let mut words = OwnedArgv::from_slices(&[b"XGROUP", b"SETID", key, group]);
            last_id.with_text(|text| words.push(text));
            words.push(b"ENTRIESREAD");
            words.push(itoa::Buffer::new().format(read.unwrap_or(-1)).as_bytes());
            cx.effect_of(&words);
        }
    }

    /// Entries that were delivered at the same time and as often.
    fn log_claim(&self, cx: &mut Ctx<'_>, head: &[&[u8]], claimed: &[(StreamId, u64, u64)]) {
        let (_, delivered_at, deliveries) = claimed[0];
        let mut words = OwnedArgv::from_slices(head);
        claimed.iter().for_each(|(id, ..)| id.with_text(|text| words.push(text)));
        let mut number = itoa::Buffer::new();
        words.push(b"TIME");
        words.push(number.format(delivered_at).as_bytes());
        words.push(b"RETRYCOUNT");
        words.push(number.format(deliveries).as_bytes());
        words.push(b"FORCE");
        words.push(b"JUSTID");
        words.push(b"LASTID");
        self.position.0.with_text(|text| words.push(text));
        cx.effect_of(&words);
    }
}
