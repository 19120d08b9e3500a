//! Power cuts under `appendfsync always`, with the thread that writes, and rewrites that begin at any time: nothing that
//! was acknowledged may be lost, and the server has to start without help.
//!
//! `POWER_CUTS=1000 cargo test -p carnelian-commands power_cuts -- --nocapture` makes more of them.
#![expect(clippy::disallowed_methods, reason = "the thread that writes gets time")]

use carnelian_persistence::disk::FaultyDisk;

use crate::testing::Session;

/// Keys that are counted up, each in its way: the command that does it, and the one that tells how far it is.
const WAYS: [(&str, &str); 6] = [
    ("INCR int:{k}", "GET int:{k}"),
    ("RPUSH list:{k} x", "LLEN list:{k}"),
    ("HINCRBY hash:{k} field 1", "HGET hash:{k} field"),
    ("ZINCRBY zset:{k} 1 member", "ZSCORE zset:{k} member"),
    ("XADD stream:{k} * field value", "XLEN stream:{k}"),
    ("EVAL \"redis.call('incr', KEYS[1]) return redis.call('incr', KEYS[2])\" 2 a:{k} b:{k}", "GET b:{k}"),
];
const KEYS: usize = 24;
/// Most commands between two cuts.
const COMMANDS: usize = 120;

/// What is known of a key.
#[derive(Clone, Copy, Default, Debug)]
struct Known {
    acknowledged: u64,
    done: u64,
}

/// Numbers that look random.
struct Random(u64);

impl Random {
    fn below(&mut self, bound: usize) -> usize {
        self.0 ^= self.0 << 13;
        self.0 ^= self.0 >> 7;
        self.0 ^= self.0 << 17;
        (self.0 >> 11) as usize % bound
    }
}

/// A server, and what its clients know.
struct Trial {
    session: Session,
    known: [Known; KEYS],
    /// How far the log has to be on disk, for a key to be known to be so far.
    pending: Vec<(u64, usize, u64)>,
    acknowledged: u64,
}

fn line(pattern: &str, key: usize) -> String {
    pattern.replace("{k}", &key.to_string())
}

fn number(reply: &str) -> u64 {
    let digits: String = reply.chars().filter(char::is_ascii_digit).collect();
    digits.parse().unwrap_or(0)
}

fn start(disk: &FaultyDisk) -> Session {
    let directives = [("save", ""), ("appendonly", "yes"), ("appendfsync", "always")];
    let mut session = Session::with_storage(&directives, disk);
    session.load().expect("it starts unaided");
    while session.run("INFO persistence").contains("\\r\\nloading:1") {
        session.advance_ms(1);
        assert!(!session.outside.stopped, "it starts unaided");
        std::thread::yield_now();
    }
    assert!(!session.outside.stopped, "it starts unaided");
    session
}

impl Trial {
    fn begin(disk: &FaultyDisk) -> Trial {
        let known = [Known::default(); KEYS];
        Trial { session: start(disk), known, pending: Vec::new(), acknowledged: 0 }
    }

    /// Changes a key; the reply is held.
    fn change(&mut self, key: usize) {
        let before = self.session.outside.held;
        let reply = self.session.run(&line(WAYS[key % WAYS.len()].0, key));
        if reply.contains("MISCONF") {
            return;
        }
        self.known[key].done += 1;
        let held = self.session.outside.held;
        assert!(held > before, "it waits for the disk: {reply}");
        self.pending.push((held, key, self.known[key].done));
    }

    /// Ends a turn: some are told.
    fn turn(&mut self) {
        self.session.advance_ms(1);
        let released = self.session.outside.released;
        self.pending.retain(|(until, key, count)| {
            if *until <= released {
                self.known[*key].acknowledged = *count;
                self.acknowledged += 1;
            }
            *until > released
        });
    }

    fn work(&mut self, random: &mut Random) {
        for _ in 0..random.below(COMMANDS) {
            match random.below(40) {
                0 => drop(self.session.run("BGREWRITEAOF")),
                1 => std::thread::sleep(std::time::Duration::from_millis(1)),
                _ => self.change(random.below(KEYS)),
            }
            if random.below(3) == 0 {
                self.turn();
            }
            if random.below(8) == 0 {
                std::thread::yield_now();
            }
        }
    }

    /// The power fails, and the server starts again.
    fn cut(&mut self, disk: &FaultyDisk, random: &mut Random) {
        // Nothing that happens from here on reaches the disk.
        disk.fail_after(0);
        self.turn();
        if random.below(2) == 0 {
            disk.power_cut()
        } else {
            disk.uneven_power_cut()
        }
        self.session = Session::new();
        disk.heal();
        self.session = start(disk);
        self.pending.clear();
    }

    fn check(&mut self, cut: u64) {
        for key in 0..KEYS {
            let found = number(&self.session.run(&line(WAYS[key % WAYS.len()].1, key)));
            let known = &mut self.known[key];
            assert!(
                (known.acknowledged..=known.done).contains(&found),
                "cut {cut}, key {key}: {found}, {known:?}"
            );
            // What was found there is told to others.
            *known = Known { acknowledged: found, done: found };
            if key % WAYS.len() == 5 {
                assert_eq!(number(&self.session.run(&line("GET a:{k}", key))), found, "a script as a whole");
            }
        }
    }
}

#[test]
#[expect(clippy::print_stdout, reason = "the figures of a long run are wanted")]
fn nothing_acknowledged_is_lost_in_power_cuts() {
    let cuts: u64 = std::env::var("POWER_CUTS").ok().and_then(|n| n.parse().ok()).unwrap_or(40);
    let mut random = Random(0x9e37_79b9_7f4a_7c15);
    let disk = FaultyDisk::new(11);
    let mut trial = Trial::begin(&disk);
    for cut in 1..=cuts {
        if random.below(2) == 0 {
            // In the middle of an operation, which may be torn.
            disk.fail_after(random.below(60) as u64);
        }
        trial.work(&mut random);
        trial.cut(&disk, &mut random);
        trial.check(cut);
    }
    println!("{cuts} power cuts, {} acknowledged changes, none lost", trial.acknowledged);
    assert!(trial.acknowledged > cuts, "there was something to lose");
}
