use super::super::Checkpoints;
use super::*;
use proptest::prelude::*;

fn request(words: &[&[u8]]) -> Vec<u8> {
    let mut bytes = format!("*{}\r\n", words.len()).into_bytes();
    for word in words {
        bytes.extend_from_slice(format!("${}\r\n", word.len()).as_bytes());
        bytes.extend_from_slice(word);
        bytes.extend_from_slice(b"\r\n");
    }
    bytes
}

/// A log in the making, as a server writes it that syncs after each checkpoint.
struct Made {
    bytes: Vec<u8>,
    checkpoints: Checkpoints,
    /// Where commands end outside of transactions.
    ends: Vec<u64>,
}

impl Made {
    fn new() -> Self {
        Made { bytes: Vec::new(), checkpoints: Checkpoints::at(0), ends: vec![0] }
    }

    fn add(mut self, words: &[&[u8]]) -> Self {
        let bytes = request(words);
        self.checkpoints.add(&bytes);
        self.bytes.extend_from_slice(&bytes);
        self.ends.push(self.bytes.len() as u64);
        self
    }

    fn mark(mut self, synced: bool) -> Self {
        self.checkpoints.write(&mut self.bytes);
        if synced {
            self.checkpoints.synced();
        }
        self.ends.push(self.bytes.len() as u64);
        self
    }
}

fn scan(bytes: &[u8]) -> Verdict {
    scan_split(bytes, &[])
}

fn scan_split(bytes: &[u8], cuts: &[usize]) -> Verdict {
    let mut scanner = Scanner::new(0);
    let mut at = 0;
    let mut cuts = cuts.to_vec();
    cuts.sort_unstable();
    for cut in cuts {
        let cut = cut.min(bytes.len());
        scanner.feed(&bytes[at..cut], &mut ());
        at = cut;
    }
    scanner.feed(&bytes[at..], &mut ());
    match scanner.finish() {
        Scan::Done(verdict) => verdict,
        Scan::Again(mut tail) => {
            let begin = tail.begin() as usize;
            let half = begin + (bytes.len() - begin) / 2;
            tail.feed(&bytes[begin..half]);
            tail.feed(&bytes[half..]);
            tail.finish()
        }
    }
}

fn log() -> Made {
    Made::new()
        .add(&[b"SELECT", b"0"])
        .add(&[b"SET", b"a", b"value"])
        .mark(true)
        .add(&[b"SET", b"binary", b"\r\n*3\r\n#CRC:0:0:0000000000000000\r\n\0\xff"])
        .add(&[b"DEL", b"a"])
        .mark(true)
        .add(&[b"SET", b"", b""])
        .mark(true)
}

#[test]
fn a_sound_log_is_clean() {
    let made = log();
    let verdict = scan(&made.bytes);
    let size = made.bytes.len() as u64;
    assert_eq!(verdict.ending, Ending::Clean);
    assert_eq!((verdict.sound, verdict.segment, verdict.size), (size, size, size));
    assert_eq!((verdict.commands, verdict.checkpoints), (5, 3));
    assert_eq!(scan(b"").ending, Ending::Clean);
}

#[test]
fn notes_are_told_and_skipped() {
    struct Seen(Vec<(u64, u64)>, u64);
    impl Visit for Seen {
        fn command(&mut self, start: u64, end: u64, words: u64) {
            assert_eq!((end - start, words), (27, 3));
            self.1 += 1;
        }
        fn timestamp(&mut self, offset: u64, seconds: u64) {
            self.0.push((offset, seconds));
        }
    }
    let text = [b"#TS:1628217470\r\n", &request(&[b"SET", b"k", b"v"])[..], b"# any\n#TS:17\r\n"].concat();
    for cut in 0..text.len() {
        let mut seen = Seen(Vec::new(), 0);
        let mut scanner = Scanner::new(0);
        scanner.feed(&text[..cut], &mut seen);
        scanner.feed(&text[cut..], &mut seen);
        assert!(matches!(scanner.finish(), Scan::Done(_)));
        assert_eq!((seen.0.as_slice(), seen.1), (&[(0, 1_628_217_470), (49, 17)][..], 1), "{cut}");
    }
}

#[test]
fn words_are_shown_whole_however_they_come() {
    #[derive(Default)]
    struct Seen(Vec<(u64, u64, Vec<u8>)>);
    impl Visit for Seen {
        fn word(&mut self, index: u64, words: u64, word: &[u8]) {
            self.0.push((index, words, word.to_vec()));
        }
    }
    let long = vec![b'x'; MAX_WORD + 10];
    let commands: [&[&[u8]]; 3] = [&[b"SELECT", b"12"], &[b"SET", b"", b"a\r\nb"], &[b"DEL", &long[..9]]];
    let text = commands.iter().flat_map(|words| request(words)).collect::<Vec<u8>>();
    let expected: Vec<_> = commands
        .iter()
        .flat_map(|words| (0..).zip(*words).map(|(i, word)| (i, words.len() as u64, word.to_vec())))
        .collect();
    for cut in 0..text.len() {
        for next in [cut, cut + 1, text.len()] {
            let (mut seen, mut scanner) = (Seen::default(), Scanner::new(0));
            let next = next.min(text.len());
            for part in [&text[..cut], &text[cut..next], &text[next..]] {
                scanner.feed(part, &mut seen);
            }
            assert_eq!(seen.0, expected, "{cut}, {next}");
        }
    }
    let (mut seen, mut scanner) = (Seen::default(), Scanner::new(0));
    request(&[&long]).chunks(100).for_each(|part| scanner.feed(part, &mut seen));
    assert_eq!(seen.0, [(0, 1, long[..MAX_WORD].to_vec())]);
}

#[test]
fn what_ends_early_is_cut_to_whole_commands() {
    let made = log();
    for end in 0..made.bytes.len() {
        let verdict = scan(&made.bytes[..end]);
        let sound = made.ends.iter().copied().filter(|at| *at <= end as u64).max().expect("0 is among them");
        assert_eq!(verdict.sound, sound, "{end}");
        let clean = sound == end as u64;
        assert_eq!(verdict.ending == Ending::Clean, clean, "{end}: {verdict:?}");
        assert!(clean || matches!(verdict.ending, Ending::Torn(_)), "{end}: {verdict:?}");
    }
}

#[test]
fn open_transactions_are_cut_to_before_multi() {
    let made = Made::new().add(&[b"SET", b"a", b"1"]);
    let sound = made.bytes.len() as u64;
    let made = made.add(&[b"multi"]).add(&[b"SET", b"b", b"1"]);
    let verdict = scan(&made.bytes);
    assert_eq!(verdict.sound, sound);
    assert_eq!(verdict.ending, Ending::Torn(Fault { offset: sound, defect: Defect::OpenTransaction }));
    assert_eq!(scan(&made.bytes[..made.bytes.len() - 3]).sound, sound);
    let made = made.add(&[b"EXEC"]);
    assert_eq!(scan(&made.bytes).ending, Ending::Clean);
    assert!(matches!(scan(&made.add(&[b"EXEC"]).bytes).ending, Ending::Damaged(_)));
}

#[test]
fn a_flipped_bit_is_noticed_wherever_it_is() {
    let made = log();
    // What comes before the last segment was on disk when that was written.
    let last = made.ends[made.ends.len() - 3];
    for at in 0..made.bytes.len() {
        for bit in 0..8 {
            let mut bytes = made.bytes.clone();
            bytes[at] ^= 1 << bit;
            let verdict = scan(&bytes);
            match &verdict.ending {
                Ending::Clean => panic!("byte {at} bit {bit} is not noticed"),
                Ending::Damaged(fault) => {
                    assert!(fault.offset >= verdict.sound && (at as u64) < last, "{at}.{bit}: {verdict:?}");
                }
                Ending::Torn(fault) => {
                    assert!(fault.offset >= verdict.sound && at as u64 >= last, "{at}.{bit}: {verdict:?}");
                    assert!(verdict.sound >= last, "{at}.{bit}: {verdict:?}");
                }
            }
            assert!(verdict.sound <= at as u64, "{at}.{bit}: {verdict:?}");
        }
    }
}

#[test]
fn unsynced_segments_may_be_torn_anywhere() {
    let value = vec![7u8; 9000];
    let made = Made::new().add(&[b"SET", b"a", b"1"]).mark(true);
    let durable = made.bytes.len();
    let made = made.add(&[b"SET", b"b", &value]).mark(false).add(&[b"SET", b"c", &value]).mark(false);
    let mut bytes = made.bytes.clone();
    bytes[durable + 100..durable + 4000].fill(0);
    let verdict = scan(&bytes);
    assert!(matches!(&verdict.ending, Ending::Torn(Fault { defect: Defect::Sum { .. }, .. })), "{verdict:?}");
    assert_eq!(verdict.sound, durable as u64);
    // Once something is on disk behind it, the same is damage.
    let made = made.mark(true).add(&[b"SET", b"d", b"1"]).mark(true);
    let mut bytes = made.bytes;
    bytes[durable + 100..durable + 4000].fill(0);
    let verdict = scan(&bytes);
    assert!(matches!(&verdict.ending, Ending::Damaged(_)), "{verdict:?}");
    assert_eq!(verdict.sound, durable as u64);
}

#[test]
fn foreign_logs_are_read_as_redis_reads_them() {
    let set = request(&[b"set", b"foo", b"hello"]);
    let verdict = scan(&[&set[..], b"!!!", &set].concat());
    let fault = Fault { offset: set.len() as u64, defect: Defect::Record(b'!') };
    assert_eq!(verdict.ending, Ending::Damaged(fault));
    assert_eq!((verdict.sound, verdict.lines), (set.len() as u64, 7));
    let zeros = scan(&[&set[..], &[0; 5000]].concat());
    assert!(matches!(&zeros.ending, Ending::Torn(Fault { defect: Defect::Zeros, .. })), "{zeros:?}");
    assert_eq!(zeros.sound, set.len() as u64);
    let bad: [(&[u8], Defect); 5] = [
        (b"*0\r\n", Defect::Count),
        (b"*1\n$1\r\na\r\n", Defect::Count),
        (b"*1\r\n$-1\r\n", Defect::Length),
        (b"*1\r\n:1\r\n", Defect::Length),
        (b"*1\r\n$1\r\nab\r\n", Defect::WordEnd),
    ];
    for (text, defect) in bad {
        let Ending::Damaged(fault) = scan(text).ending else { panic!("{}", text.escape_ascii()) };
        assert_eq!(fault.defect, defect, "{}", text.escape_ascii());
    }
    assert!(matches!(scan(&[&b"#"[..], &[b'x'; 2000]].concat()).ending, Ending::Damaged(_)));
}

#[test]
fn logs_go_on_where_they_were_cut() {
    let made = log().add(&[b"SET", b"tail", b"1"]);
    let verdict = scan(&made.bytes);
    let mut more = Checkpoints::at(verdict.segment);
    more.add(&made.bytes[verdict.segment as usize..verdict.sound as usize]);
    let mut bytes = made.bytes;
    more.write(&mut bytes);
    assert_eq!(scan(&bytes).ending, Ending::Clean);
}

fn any_log() -> impl Strategy<Value = Vec<u8>> {
    let word = proptest::collection::vec(any::<u8>(), 0..60);
    let command = proptest::collection::vec(word, 2..5);
    proptest::collection::vec((command, any::<bool>(), any::<bool>()), 1..30).prop_map(|commands| {
        let mut made = Made::new();
        for (words, mark, synced) in commands {
            let words: Vec<&[u8]> = words.iter().map(Vec::as_slice).collect();
            made = made.add(&words);
            if mark {
                made = made.mark(synced);
            }
        }
        made.mark(true).bytes
    })
}

proptest! {
    #[test]
    fn chunks_make_no_difference(bytes in any_log(), cuts in proptest::collection::vec(any::<proptest::sample::Index>(), 0..8),
            flip in proptest::option::of((any::<proptest::sample::Index>(), 0..8u8))) {
        let mut bytes = bytes;
        if let Some((at, bit)) = flip {
            let at = at.index(bytes.len());
            bytes[at] ^= 1 << bit;
        }
        let cuts: Vec<usize> = cuts.iter().map(|cut| cut.index(bytes.len() + 1)).collect();
        prop_assert_eq!(scan_split(&bytes, &cuts), scan(&bytes));
        let each: Vec<usize> = (0..bytes.len()).collect();
        prop_assert_eq!(scan_split(&bytes, &each), scan(&bytes));
    }

    #[test]
    fn every_flip_is_noticed(bytes in any_log(), at in any::<proptest::sample::Index>(), bit in 0..8u8) {
        let mut bytes = bytes;
        let at = at.index(bytes.len());
        bytes[at] ^= 1 << bit;
        let verdict = scan(&bytes);
        prop_assert!(verdict.ending != Ending::Clean);
        prop_assert!(verdict.sound <= at as u64);
        prop_assert!(verdict.segment <= verdict.sound);
    }

    #[test]
    fn truncation_keeps_the_prefix(bytes in any_log(), at in any::<proptest::sample::Index>()) {
        let cut = at.index(bytes.len());
        let verdict = scan(&bytes[..cut]);
        prop_assert!(!matches!(verdict.ending, Ending::Damaged(_)), "{:?}", verdict);
        prop_assert_eq!(scan(&bytes[..verdict.sound as usize]).ending, Ending::Clean);
    }

    #[test]
    fn any_bytes_are_scanned(bytes in proptest::collection::vec(any::<u8>(), 0..400)) {
        let verdict = scan(&bytes);
        prop_assert!(verdict.sound <= bytes.len() as u64 && verdict.segment <= verdict.sound);
    }
}
