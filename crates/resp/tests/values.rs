//! Values: each type's bytes, round trips, any split, and input that is hostile.

use carnelian_resp::{DecodeError, DecodeLimits, Decoder, Protocol, Value};
use proptest::prelude::*;

fn decode_all(limits: DecodeLimits, input: &[u8], piece: usize) -> Result<Vec<Value>, DecodeError> {
    let mut decoder = Decoder::with_limits(limits);
    let mut values = Vec::new();
    for bytes in input.chunks(piece) {
        decoder.feed(bytes);
        while let Some(value) = decoder.decode()? {
            values.push(value);
        }
    }
    Ok(values)
}

fn decode(input: &str) -> Result<Vec<Value>, DecodeError> {
    let whole = decode_all(DecodeLimits::default(), input.as_bytes(), usize::MAX);
    assert_eq!(decode_all(DecodeLimits::default(), input.as_bytes(), 1), whole);
    whole
}

#[track_caller]
fn check(input: &str, expected: Value) {
    assert_eq!(decode(input), Ok(vec![expected]), "{input:?}");
}

#[track_caller]
fn refuse(input: &str, expected: DecodeError) {
    assert_eq!(decode(input), Err(expected), "{input:?}");
}

fn ints(values: &[i64]) -> Vec<Value> {
    values.iter().copied().map(Value::Integer).collect()
}

#[test]
fn every_type() {
    check("+OK\r\n", Value::simple("OK"));
    check("-ERR x\r\n", Value::error("ERR x"));
    check(":-5\r\n", Value::Integer(-5));
    check(":+5\r\n", Value::Integer(5));
    check("$3\r\na\r\n\r\n", Value::bulk("a\r\n"));
    check("$-1\r\n", Value::Null);
    check("_\r\n", Value::Null);
    check("*-1\r\n", Value::NullArray);
    check("*0\r\n", Value::Array(vec![]));
    check("*2\r\n:1\r\n:2\r\n", Value::Array(ints(&[1, 2])));
    check("~1\r\n:1\r\n", Value::Set(ints(&[1])));
    check(">1\r\n:1\r\n", Value::Push(ints(&[1])));
    check("%1\r\n:1\r\n:2\r\n", Value::Map(vec![(Value::Integer(1), Value::Integer(2))]));
    check("#t\r\n", Value::Boolean(true));
    check("#f\r\n", Value::Boolean(false));
    check(",1.5\r\n", Value::Double(1.5));
    check(",1e+21\r\n", Value::Double(1e21));
    check(",-inf\r\n", Value::Double(f64::NEG_INFINITY));
    check("(-123\r\n", Value::BigNumber("-123".into()));
    check("!5\r\nERR x\r\n", Value::BulkError(b"ERR x".to_vec()));
    check("=6\r\ntxt:ab\r\n", Value::Verbatim { format: *b"txt", text: b"ab".to_vec() });
    let attributes = vec![(Value::Integer(1), Value::Integer(2))];
    check("|1\r\n:1\r\n:2\r\n:3\r\n", Value::Attributed { attributes, value: Box::new(Value::Integer(3)) });
    let nan = decode_all(DecodeLimits::default(), b",nan\r\n", 9).unwrap();
    assert!(matches!(nan[..], [Value::Double(x)] if x.is_nan()));
}

#[test]
fn streams() {
    check("$?\r\n;4\r\nHell\r\n;5\r\no wor\r\n;0\r\n", Value::bulk("Hello wor"));
    check("$?\r\n;0\r\n", Value::bulk(""));
    check("*?\r\n:1\r\n:2\r\n.\r\n", Value::Array(ints(&[1, 2])));
    check("~?\r\n*?\r\n.\r\n.\r\n", Value::Set(vec![Value::Array(vec![])]));
    check("%?\r\n:1\r\n:2\r\n.\r\n", Value::Map(vec![(Value::Integer(1), Value::Integer(2))]));
    for input in
        [".\r\n", "*1\r\n.\r\n", "%?\r\n:1\r\n.\r\n", ";1\r\na\r\n", ";0\r\n", "$?\r\n:1\r\n", "$?\r\n$1\r\n"]
    {
        refuse(input, DecodeError::MisplacedStream);
    }
    refuse("*?\r\n|1\r\n:1\r\n:2\r\n.\r\n", DecodeError::MisplacedStream);
}

#[test]
fn refusals() {
    refuse("@\r\n", DecodeError::UnknownType(b'@'));
    refuse("\r\n", DecodeError::LineEnd);
    refuse(":1\n", DecodeError::LineEnd);
    refuse("+a\rb\r\n", DecodeError::LineEnd);
    refuse("$1\r\nabc", DecodeError::LineEnd);
    refuse("$-2\r\n", DecodeError::InvalidLength);
    refuse("%-1\r\n", DecodeError::InvalidLength);
    refuse("*9223372036854775807\r\n", DecodeError::InvalidLength);
    refuse("$536870913\r\n", DecodeError::BulkTooLong);
    refuse("#x\r\n", DecodeError::InvalidText("null or boolean"));
    refuse(":x\r\n", DecodeError::InvalidText("integer"));
    refuse(",x\r\n", DecodeError::InvalidText("double"));
    refuse("(1.5\r\n", DecodeError::InvalidText("big number"));
    refuse("=3\r\ntxt\r\n", DecodeError::NoFormat);
    let mut decoder = Decoder::new();
    decoder.feed(b"@\r\n:1\r\n");
    assert!(decoder.decode().is_err());
    assert!(decoder.decode().is_err(), "an error is final");
}

#[test]
fn limits() {
    let limits = DecodeLimits { max_depth: 3, max_bulk: 5, max_line: 4 };
    let check = |input: &str| {
        let whole = decode_all(limits, input.as_bytes(), usize::MAX);
        assert_eq!(decode_all(limits, input.as_bytes(), 1), whole);
        whole.map(|values| values.len())
    };
    assert_eq!(check("*1\r\n*1\r\n*1\r\n:1\r\n"), Ok(1));
    assert_eq!(check("*1\r\n*1\r\n*1\r\n*1\r\n:1\r\n"), Err(DecodeError::TooDeep));
    assert_eq!(check("$5\r\nabcde\r\n"), Ok(1));
    assert_eq!(check("$6\r\n"), Err(DecodeError::BulkTooLong));
    assert_eq!(check("$?\r\n;3\r\nabc\r\n;3\r\n"), Err(DecodeError::BulkTooLong));
    assert_eq!(check("+abc\r\n"), Ok(1));
    assert_eq!(check("+abcd\r\n"), Err(DecodeError::LineTooLong));
    let deep = "*1\r\n".repeat(1_000_000);
    refuse(&deep, DecodeError::TooDeep);
}

/// Lengths are claims: none of these may make the decoder reserve for them.
#[test]
fn claimed_lengths_cost_nothing() {
    for input in ["*1000000000000\r\n", "%1000000000000\r\n:1\r\n", "$500000000\r\nabc", "|4000000000\r\n"] {
        assert_eq!(decode(input), Ok(vec![]));
    }
}

#[test]
fn partial_input_is_known() {
    let mut decoder = Decoder::new();
    assert!(!decoder.is_partial());
    for byte in b"*1\r\n$1\r\na\r" {
        decoder.feed(&[*byte]);
        assert_eq!(decoder.decode(), Ok(None));
        assert!(decoder.is_partial());
    }
    decoder.feed(b"\n");
    assert!(decoder.decode().unwrap().is_some());
    assert!(!decoder.is_partial());
}

/// As redis-cli 7.0.15 prints the same replies.
#[test]
fn pretty() {
    let show = |input: &str| decode(input).unwrap()[0].to_string();
    assert_eq!(show("$11\r\nHello World\r\n"), "\"Hello World\"");
    assert_eq!(show(",3.141\r\n"), "(double) 3.141");
    assert_eq!(show("#t\r\n"), "(true)");
    assert_eq!(show("_\r\n"), "(nil)");
    assert_eq!(show("%0\r\n"), "(empty hash)");
    assert_eq!(show("=29\r\ntxt:This is a verbatim\nstring\r\n"), "This is a verbatim\nstring");
    assert_eq!(show("~2\r\n:0\r\n:1\r\n"), "1~ (integer) 0\n2~ (integer) 1");
    assert_eq!(show("%2\r\n:0\r\n#f\r\n:1\r\n#t\r\n"), "1# (integer) 0 => (false)\n2# (integer) 1 => (true)");
    assert_eq!(
        show("*3\r\n:1\r\n*2\r\n:2\r\n*2\r\n$1\r\na\r\n*0\r\n$1\r\nx\r\n"),
        "1) (integer) 1\n2) 1) (integer) 2\n   2) 1) \"a\"\n      2) (empty array)\n3) \"x\""
    );
    assert_eq!(
        show("%1\r\n+get\r\n%2\r\n$1\r\na\r\n:1\r\n$1\r\nb\r\n*1\r\n%2\r\n+c\r\n:1\r\n+d\r\n:2\r\n"),
        "1# get => \n   1# \"a\" => (integer) 1\n   2# \"b\" => \n      1) 1# c => (integer) 1\n         \
         2# d => (integer) 2"
    );
    let ten = show(&format!("*10\r\n{}", ":7\r\n".repeat(10)));
    assert!(ten.starts_with(" 1) (integer) 7\n 2) ") && ten.ends_with("\n10) (integer) 7"));
    assert_eq!(Value::bulk(b"a\x01\xff\"\\ \n".to_vec()).to_string(), r#""a\x01\xff\"\\ \n""#);
}

fn line() -> impl Strategy<Value = Vec<u8>> {
    prop::collection::vec(any::<u8>().prop_filter("no line end", |b| !b"\r\n".contains(b)), 0..12)
}

fn value() -> impl Strategy<Value = Value> {
    let bytes = || prop::collection::vec(any::<u8>(), 0..40);
    let leaf = prop_oneof![
        line().prop_map(Value::Simple),
        line().prop_map(Value::Error),
        any::<i64>().prop_map(Value::Integer),
        bytes().prop_map(Value::Bulk),
        Just(Value::Null),
        any::<bool>().prop_map(Value::Boolean),
        any::<f64>().prop_filter("NaN is not itself", |x| !x.is_nan()).prop_map(Value::Double),
        "[-]?[0-9]{1,40}".prop_map(Value::BigNumber),
        bytes().prop_map(Value::BulkError),
        (any::<[u8; 3]>(), bytes()).prop_map(|(format, text)| Value::Verbatim { format, text }),
    ];
    leaf.prop_recursive(4, 40, 6, |inner| {
        let values = prop::collection::vec(inner.clone(), 0..6);
        let pairs = prop::collection::vec((inner.clone(), inner.clone()), 0..4);
        prop_oneof![
            values.clone().prop_map(Value::Array),
            values.clone().prop_map(Value::Set),
            values.prop_map(Value::Push),
            pairs.clone().prop_map(Value::Map),
            (pairs, inner)
                .prop_map(|(attributes, value)| Value::Attributed { attributes, value: Box::new(value) }),
        ]
    })
}

proptest! {
    #[test]
    fn round_trip(values in prop::collection::vec(value(), 0..4), piece in 1usize..50) {
        let bytes: Vec<u8> = values.iter().flat_map(|value| value.encode(Protocol::Resp3)).collect();
        prop_assert_eq!(decode_all(DecodeLimits::default(), &bytes, piece), Ok(values));
    }

    /// In RESP2 types are lost, but what is sent can be read, and says the same when sent again.
    #[test]
    fn resp2_is_stable(value in value()) {
        let bytes = value.encode(Protocol::Resp2);
        let values = decode_all(DecodeLimits::default(), &bytes, usize::MAX).unwrap();
        prop_assert_eq!(values.len(), 1);
        prop_assert_eq!(values[0].encode(Protocol::Resp2), bytes);
    }

    #[test]
    fn splitting_changes_nothing(
        tokens in prop::collection::vec(prop::sample::select(vec![
            "*2\r\n", "*?\r\n", "%?\r\n", "~1\r\n", "|1\r\n", ">0\r\n", ".\r\n", "$?\r\n", ";1\r\na\r\n", ";0\r\n",
            ":1\r\n", "$3\r\nabc\r\n", "+x\r\n", "_\r\n", "$-1\r\n", "=4\r\ntxt:\r\n", "!1\r\ne\r\n", ",inf\r\n", "\r", "\n",
            "$9\r\n", "x",
        ]), 0..12),
        piece in 1usize..9,
    ) {
        let input = tokens.concat();
        let whole = decode_all(DecodeLimits::default(), input.as_bytes(), usize::MAX);
        prop_assert_eq!(decode_all(DecodeLimits::default(), input.as_bytes(), piece), whole);
    }
}
