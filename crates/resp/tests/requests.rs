//! Requests against what Redis 8.2.3 makes of the same bytes, and however they are split.

use carnelian_resp::{Batch, Limits, OwnedArgv, Progress, RequestParser};
use proptest::prelude::*;

/// What became of some input.
#[derive(Debug, PartialEq, Eq)]
struct Outcome {
    commands: Vec<OwnedArgv>,
    error: Option<String>,
    /// Bytes left in the buffer.
    rest: usize,
}

/// A connection that executes at most `execute` commands of a batch, and parses the others again.
struct Connection<'a> {
    limits: &'a Limits,
    max_commands: usize,
    execute: usize,
    parser: RequestParser,
    buffer: Vec<u8>,
    batch: Batch,
    outcome: Outcome,
}

impl<'a> Connection<'a> {
    fn new(limits: &'a Limits, max_commands: usize, execute: usize) -> Self {
        let outcome = Outcome { commands: Vec::new(), error: None, rest: 0 };
        let (parser, batch) = (RequestParser::new(), Batch::new());
        Self { limits, max_commands, execute, parser, buffer: Vec::new(), batch, outcome }
    }

    fn receive(&mut self, bytes: &[u8]) {
        self.buffer.extend_from_slice(bytes);
        while self.outcome.error.is_none() {
            self.batch.clear();
            let progress =
                match self.parser.parse(&self.buffer, self.max_commands, self.limits, &mut self.batch) {
                    Ok(progress) => progress,
                    Err(error) => {
                        self.outcome.error = Some(show(&error.text()));
                        break;
                    }
                };
            let executed = self.batch.len().min(self.execute);
            for i in 0..executed {
                self.outcome.commands.push(self.batch.argv(i, &self.buffer).into());
            }
            let end = if executed == 0 { self.parser.skippable() } else { self.batch.end(executed - 1) };
            self.buffer.drain(..end);
            self.parser.consumed(end);
            if executed < self.batch.len() {
                self.parser.rewind();
            } else if progress == Progress::NeedMore {
                let skippable = self.parser.skippable();
                self.buffer.drain(..skippable);
                self.parser.consumed(skippable);
                break;
            }
        }
        self.outcome.rest = self.buffer.len();
    }
}

/// Bytes as text, what is not printable escaped.
fn show(bytes: &[u8]) -> String {
    bytes.escape_ascii().to_string().replace("\\'", "'").replace("\\\"", "\"")
}

fn whole(input: &[u8], limits: &Limits) -> Outcome {
    let mut connection = Connection::new(limits, usize::MAX, usize::MAX);
    connection.receive(input);
    connection.outcome
}

fn in_pieces(input: &[u8], limits: &Limits, piece: usize) -> Outcome {
    let mut connection = Connection::new(limits, 3, 2);
    input.chunks(piece).for_each(|bytes| connection.receive(bytes));
    connection.outcome
}

/// Checks what comes of `input`: `(a|b) (c)` for two commands, `!text` for an error, `+` for bytes left
/// waiting.
#[track_caller]
fn check_with(limits: &Limits, input: &[u8], expected: &str) {
    for outcome in [whole(input, limits), in_pieces(input, limits, 1), in_pieces(input, limits, 7)] {
        let mut said = Vec::new();
        for command in &outcome.commands {
            let words: Vec<_> = command.as_argv().iter().map(show).collect();
            said.push(format!("({})", words.join("|")));
        }
        match outcome.error {
            Some(error) => said.push(format!("!{error}")),
            None if outcome.rest > 0 => said.push("+".into()),
            None => {}
        }
        assert_eq!(said.join(" "), expected, "of {}", input[..input.len().min(80)].escape_ascii());
    }
}

#[track_caller]
fn check(input: impl AsRef<[u8]>, expected: &str) {
    check_with(&Limits::default(), input.as_ref(), expected);
}

const MULTIBULK: &str = "!invalid multibulk length";
const BULK: &str = "!invalid bulk length";
const UNBALANCED: &str = "!unbalanced quotes in request";

#[test]
fn multibulk_commands() {
    check("*1\r\n$4\r\nPING\r\n", "(PING)");
    check("*2\r\n$4\r\nECHO\r\n$12\r\nhello\r\nworld\r\n", r"(ECHO|hello\r\nworld)");
    check("*1\r\n$0\r\n\r\nPING\r\n", "() (PING)");
    check("*2\r\n$1\r\na\r\n$100\r\nb", "+");
    check("*1", "+");
    check("*1\r\n$4\r\nPING\r", "+");
    let long = [b"*1\r\n$1234\r\n".as_slice(), &[b'x'; 1234], b"\r\n"].concat();
    check(long, &format!("({})", "x".repeat(1234)));
    let many = format!("*1000\r\n{}", "$1\r\nx\r\n".repeat(1000));
    check(many, &format!("({})", vec!["x"; 1000].join("|")));
}

#[test]
fn number_of_arguments() {
    check("*0\r\nPING\r\n", "(PING)");
    check("*-1\r\n*-5\r\nPING\r\n", "(PING)");
    for bad in ["x", "", "+1", "01", " 1", "-0", "1\n$4\nPING\n", "1 ", "1x", "-"] {
        check(format!("*{bad}\r\nPING\r\n"), MULTIBULK);
    }
    for bad in ["2147483648", "99999999999999999999", "-99999999999999999999"] {
        check(format!("*{bad}\r\n"), MULTIBULK);
    }
    check("*1048577\r\nPING\r\n", "!expected '$', got 'P'");
    check("*2147483647\r\n$1\r\n", "+");
}

#[test]
fn length_of_an_argument() {
    for bad in ["-1", "x", "", "04", "+4", "536870913", "99999999999999999999", "4 "] {
        check(format!("*1\r\n${bad}\r\nPING\r\n"), BULK);
    }
    check("*1\r\n$536870912\r\n", "+");
    check("*1\r\n:4\r\nPING\r\n", "!expected '$', got ':'");
    check("*1\r\n\r\nPING\r\n", "!expected '$', got ' '");
    check(b"*1\r\n\xff4\r\nPING\r\n", r"!expected '$', got '\xff'");
    check("*1\r\n!", "+");
    check("*1\r\n$4\r\nPING\r\n*1\r\n$x\r\n", &format!("(PING) {BULK}"));
    // A count long enough for the slow path, read again after the error.
    check(format!("PING\r\n*1000\r\n{}$x\r\n", "$1\r\na\r\n".repeat(9)), &format!("(PING) {BULK}"));
}

#[test]
fn bytes_that_redis_skips_without_a_look() {
    check("*1\rX$4\r\nPING\r\nPING\r\n", "(PING) (PING)");
    check("*1\r\n$4\rXPING\r\nPING\r\n", "(PING) (PING)");
    check("*1\r\n$4\r\nPINGxxPING\r\n", "(PING) (PING)");
}

#[test]
fn endless_headers() {
    let ones = "1".repeat(70_000);
    check(format!("*{}", &ones[..65_535]), "+");
    check(format!("*{}", &ones[..65_536]), "!too big mbulk count string");
    check(format!("*{ones}\r\n"), "!too big mbulk count string");
    check(format!("*1\r\n${}", &ones[..65_535]), "+");
    check(format!("*1\r\n${}", &ones[..65_536]), "!too big bulk count string");
    check(format!("*1\r\nx{ones}"), "!too big bulk count string");
    check(&ones[..65_536], "+");
    check(&ones[..65_537], "!too big inline request");
    check(format!("{}\n", &ones[..65_536]), &format!("({})", &ones[..65_536]));
    check(format!("{}\n", &ones[..65_537]), "!too big inline request");
}

#[test]
fn a_nul_hides_the_rest_of_a_line() {
    check(b"ECHO a\0b\r\nPING\r\n", "+");
    check(b"\0PING\r\nPING\r\n", "+");
    check(b"ECHO \"a\0b\"\r\n", "+");
    check(b"*1\r\n\0\r\n", "+");
    check([b"PING\n\0\n".as_slice(), &[b'x'; 70_000]].concat(), "(PING) !too big inline request");
}

#[test]
fn inline_commands() {
    check("PING\r\n", "(PING)");
    check("PING\nPING\n", "(PING) (PING)");
    check("\r\n\r\n\n   \r\n \r\nPING\r\n", "(PING)");
    check("\tECHO\t a \t\r\n", "(ECHO|a)");
    check("ECHO a\rb\r\n", "(ECHO|a|b)");
    check("ECHO a\r\r\n", "(ECHO|a)");
    check("ECHO\x0ba\x0c\r\n", r"(ECHO\x0ba\x0c)");
    check(r"ECHO a\nb".to_owned() + "\r\n", r"(ECHO|a\\nb)");
    check("PING", "+");
    check("\r\n", "");
}

#[test]
fn inline_quotes() {
    check("ECHO \"\\x41\\n\\r\\t\\b\\a\\\\\\\"\\q\\xZZ\\x4\"\r\n", r#"(ECHO|A\n\r\t\x08\x07\\"qxZZx4)"#);
    check("ECHO \"\\xaB\\xFf\\x00\"\r\n", r"(ECHO|\xab\xff\x00)");
    check("ECHO \"a\rb\"\r\n", r"(ECHO|a\rb)");
    check("ECHO 'a\\'b\\n'\r\n", r"(ECHO|a'b\\n)");
    check("ECHO a\"b c\"\r\n", "(ECHO|ab c)");
    check("ECHO a'b c'\r\n", "(ECHO|ab c)");
    check("ECHO \"\" ''\r\n", "(ECHO||)");
    check("\"\"\r\n", "()");
    check("ECHO \"a\"\tb\r\n", "(ECHO|a|b)");
    check("ECHO \"a\"\x0b\r\n", "(ECHO|a)");
    check("PING\nECHO 'x y'\nPING z\n", "(PING) (ECHO|x y) (PING|z)");
    for line in
        ["SET \"a b", "ECHO \"a\"b", "ECHO 'a", "ECHO 'a'b", "ECHO a\"b\"c", "ECHO \"a\\", "ECHO 'a\\'"]
    {
        check(format!("{line}\r\nPING\r\n"), UNBALANCED);
    }
}

#[test]
fn before_authentication() {
    let check = |input: &str, expected| check_with(&Limits::UNAUTHENTICATED, input.as_bytes(), expected);
    check("*10\r\n", "+");
    check("*11\r\n", "!unauthenticated multibulk length");
    check("*1048577\r\n", "!unauthenticated multibulk length");
    check("*2147483648\r\n", MULTIBULK);
    check("*1\r\n$16384\r\n", "+");
    check("*1\r\n$16385\r\n", "!unauthenticated bulk length");
    check("*1\r\n$536870913\r\n", BULK);
    check("a b c d e f g h i j k l\r\n", "(a|b|c|d|e|f|g|h|i|j|k|l)");
}

#[test]
fn other_limits() {
    let limits = Limits { max_args: 2, max_bulk: 3, max_inline: 4, ..Limits::default() };
    let check = |input: &str, expected| check_with(&limits, input.as_bytes(), expected);
    check("*3\r\n", MULTIBULK);
    check("*2\r\n$3\r\nabc\r\n$4\r\n", BULK);
    check("abcd\nabc\r\nabcde\n", "(abcd) (abc) !too big inline request");
}

#[test]
fn commands_before_an_error_come_first() {
    let (mut parser, mut batch) = (RequestParser::new(), Batch::new());
    let input = b"PING\r\n*x\r\n";
    let limits = Limits::default();
    assert_eq!(parser.parse(input, 10, &limits, &mut batch), Ok(Progress::Full));
    assert_eq!(batch.len(), 1);
    batch.clear();
    for _ in 0..2 {
        let error = parser.parse(input, 10, &limits, &mut batch).unwrap_err();
        assert_eq!(error.to_string(), "invalid multibulk length");
    }
}

#[test]
fn full_batches_continue_where_they_stopped() {
    let (mut parser, mut batch) = (RequestParser::new(), Batch::new());
    let input = b"a\nb\nc\n";
    let limits = Limits::default();
    assert_eq!(parser.parse(input, 2, &limits, &mut batch), Ok(Progress::Full));
    assert_eq!((batch.len(), batch.end(0), batch.end(1)), (2, 2, 4));
    assert_eq!(parser.parse(input, 9, &limits, &mut batch), Ok(Progress::NeedMore));
    assert_eq!(&batch.argv(2, input)[0], b"c");
    parser.consumed(4);
    assert_eq!(parser.skippable(), 2);
    parser.consumed(100);
    assert_eq!(parser.skippable(), 0);
}

#[test]
fn missing_bytes_are_known() {
    let (mut parser, mut batch) = (RequestParser::new(), Batch::new());
    let limits = Limits::default();
    let mut missing = |input: &[u8]| {
        assert_eq!(parser.parse(input, 10, &limits, &mut batch), Ok(Progress::NeedMore));
        parser.missing()
    };
    assert_eq!(missing(b"*2\r\n$3\r\nGET\r\n$1000000"), 0);
    assert_eq!(missing(b"*2\r\n$3\r\nGET\r\n$1000000\r\n"), 1_000_002);
    assert_eq!(missing(b"*2\r\n$3\r\nGET\r\n$1000000\r\nabc"), 999_999);
}

#[test]
fn idle_parsers_are_small() {
    assert!(size_of::<RequestParser>() <= 64);
    let (mut parser, mut batch) = (RequestParser::new(), Batch::new());
    let limits = Limits::default();
    let input = b"*1\r\n$4\r\nPING\r\n";
    for end in 0..=input.len() {
        parser.parse(&input[..end], 1, &limits, &mut batch).unwrap();
    }
    assert_eq!((batch.len(), parser.memory()), (1, 0));
}

#[test]
fn warm_storage_suffices() {
    let input = "*3\r\n$3\r\nSET\r\n$1\r\nk\r\n$1\r\nv\r\nECHO \"a b\"\n".repeat(16);
    let (mut parser, mut batch) = (RequestParser::new(), Batch::new());
    let mut round = || {
        batch.clear();
        parser.parse(input.as_bytes(), 100, &Limits::default(), &mut batch).unwrap();
        parser.consumed(batch.end(batch.len() - 1));
        assert_eq!(batch.len(), 32);
        batch.memory()
    };
    let warm = round();
    assert_eq!(round(), warm);
}

/// Would take minutes if a call looked again at what earlier ones have seen.
#[test]
fn small_reads_take_linear_time() {
    let limits = Limits::default();
    let many = format!("*400000\r\n{}", "$1\r\nx\r\n".repeat(400_000)).into_bytes();
    let large = [b"*1\r\n$20000000\r\n".as_slice(), &vec![b'x'; 20_000_000], b"\r\n"].concat();
    let line = [vec![b'x'; 60_000], b"\n".to_vec()].concat();
    for (input, step) in [(many, 9), (large, 50), (line, 1)] {
        let (mut parser, mut batch) = (RequestParser::new(), Batch::new());
        let mut end = 0;
        while batch.is_empty() {
            end = (end + step).min(input.len());
            parser.parse(&input[..end], 1, &limits, &mut batch).unwrap();
        }
        assert_eq!(batch.end(0), input.len());
    }
}

#[test]
fn owned_commands() {
    let input = b"SET 'a b' c\n";
    let (mut parser, mut batch) = (RequestParser::new(), Batch::new());
    parser.parse(input, 1, &Limits::default(), &mut batch).unwrap();
    let argv = batch.argv(0, input);
    let mut owned = OwnedArgv::from(argv);
    assert_eq!(owned.as_argv(), argv);
    assert_eq!(owned, OwnedArgv::from_slices(&[b"SET", b"a b", b"c"]));
    owned.push(b"");
    assert_eq!(owned.len(), 4);
    assert_eq!(owned.as_argv().skip(2).iter().collect::<Vec<_>>(), [b"c".as_slice(), b""]);
    assert_eq!(owned.as_argv().skip(5).len(), 0);
    assert_eq!(owned.as_argv().get(4), None);
    assert_eq!(owned.as_argv().to_request(), b"*4\r\n$3\r\nSET\r\n$3\r\na b\r\n$1\r\nc\r\n$0\r\n\r\n");
    assert_eq!(format!("{owned:?}"), r#"["SET", "a b", "c", ""]"#);
}

fn argument() -> impl Strategy<Value = Vec<u8>> {
    prop::collection::vec(any::<u8>(), 0..120)
}

/// Pieces of requests, whole, broken and senseless, that meet in random order.
fn stream() -> impl Strategy<Value = Vec<u8>> {
    let garbage = prop::collection::vec(any::<u8>(), 0..20);
    let tokens = prop::sample::select(
        [
            "*1\r\n",
            "*2\r\n",
            "*3\r\n",
            "*0\r\n",
            "*-1\r\n",
            "*12\r\n",
            "*1000\r\n",
            "$0\r\n\r\n",
            "$1\r\na\r\n",
            "$4\r\nPING\r\n",
            "$3\r\nab",
            "$11\r\nhello world\r\n",
            "PING\r\n",
            "\r\n",
            "\n",
            " ",
            "SET a b\n",
            "'",
            "\"",
            "\\",
            "\\x4",
            "a",
            "*",
            "$",
            "\r",
            "\0",
            "*x\r\n",
            "$x\r\n",
        ]
        .map(|token| token.as_bytes().to_vec())
        .to_vec(),
    );
    let command = prop::collection::vec(argument(), 1..5)
        .prop_map(|args| args.iter().collect::<OwnedArgv>().as_argv().to_request());
    let piece = prop_oneof![1 => garbage, 6 => tokens, 6 => command];
    prop::collection::vec(piece, 0..12).prop_map(|pieces| pieces.concat())
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(2000))]

    #[test]
    fn splitting_changes_nothing(
        input in stream(),
        cuts in prop::collection::vec(any::<prop::sample::Index>(), 0..6),
        max_commands in 1usize..5,
        execute in 1usize..5,
        authenticated in any::<bool>(),
    ) {
        let limits = Limits { max_inline: 40, authenticated, ..Limits::default() };
        let expected = whole(&input, &limits);
        let mut cuts: Vec<_> = cuts.iter().map(|cut| cut.index(input.len() + 1)).collect();
        cuts.extend([0, input.len()]);
        cuts.sort_unstable();
        let mut connection = Connection::new(&limits, max_commands, execute);
        cuts.windows(2).for_each(|cut| connection.receive(&input[cut[0]..cut[1]]));
        if expected.error.is_some() {
            connection.outcome.rest = expected.rest; // what followed the error is not read
        }
        prop_assert_eq!(connection.outcome, expected);
    }

    #[test]
    fn commands_come_out_as_sent(
        commands in prop::collection::vec(prop::collection::vec(argument(), 1..6), 0..5),
    ) {
        let commands: Vec<OwnedArgv> = commands.iter().map(|args| args.iter().collect()).collect();
        let input: Vec<u8> = commands.iter().flat_map(|command| command.as_argv().to_request()).collect();
        prop_assert_eq!(whole(&input, &Limits::default()), Outcome { commands, error: None, rest: 0 });
    }
}
