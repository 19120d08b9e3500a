//! Replies against what Redis 8.2.3 and Valkey 9.1.2 send for the same values, and the output's bookkeeping
//! against a plain vector.

use bytes::Bytes;
use carnelian_resp::number::{format_double, parse_i64, parse_u64};
use carnelian_resp::{Protocol, ReplyBuf, Value};
use proptest::prelude::*;

/// Checks the bytes of a reply in RESP2 and in RESP3.
#[track_caller]
fn check(reply: impl Fn(&mut ReplyBuf), resp2: &str, resp3: &str) {
    for (protocol, expected) in [(Protocol::Resp2, resp2), (Protocol::Resp3, resp3)] {
        let mut out = ReplyBuf::new();
        out.set_protocol(protocol);
        reply(&mut out);
        assert_eq!(out.to_vec().escape_ascii().to_string(), expected.as_bytes().escape_ascii().to_string());
        assert_eq!(out.len(), expected.len());
    }
}

/// The types that `DEBUG PROTOCOL` of the real servers shows, as both answer it.
#[test]
fn debug_protocol() {
    check(|out| out.bulk(b"Hello World"), "$11\r\nHello World\r\n", "$11\r\nHello World\r\n");
    check(|out| out.integer(12345), ":12345\r\n", ":12345\r\n");
    check(|out| out.double(3141.0 / 1000.0), "$5\r\n3.141\r\n", ",3.141\r\n");
    check(|out| out.null(), "$-1\r\n", "_\r\n");
    let digits = |out: &mut ReplyBuf| (0..3).for_each(|i| out.integer(i));
    let elements = ":0\r\n:1\r\n:2\r\n";
    let array = format!("*3\r\n{elements}");
    check(|out| (out.array(3), digits(out)).1, &array, &array);
    check(|out| (out.set(3), digits(out)).1, &array, &format!("~3\r\n{elements}"));
    let map = |out: &mut ReplyBuf| {
        out.map(3);
        (0..3).for_each(|i| (out.integer(i), out.boolean(i == 1)).1);
    };
    check(map, "*6\r\n:0\r\n:0\r\n:1\r\n:1\r\n:2\r\n:0\r\n", "%3\r\n:0\r\n#f\r\n:1\r\n#t\r\n:2\r\n#f\r\n");
    let text = "This is a verbatim\nstring";
    let (resp2, resp3) = (format!("$25\r\n{text}\r\n"), format!("=29\r\ntxt:{text}\r\n"));
    check(|out| out.verbatim("txt", text.as_bytes()), &resp2, &resp3);
    check(|out| out.boolean(true), ":1\r\n", "#t\r\n");
    check(|out| out.boolean(false), ":0\r\n", "#f\r\n");
    let number = "1234567999999999999999999999999999999";
    check(|out| out.big_number(number), &format!("$37\r\n{number}\r\n"), &format!("({number}\r\n"));
}

#[test]
fn debug_protocol_attributes_and_push() {
    let real = Value::bulk("Some real reply following the attribute");
    let popularity = Value::Array(vec![Value::bulk("key:123"), Value::Integer(90)]);
    let attributes = vec![(Value::bulk("key-popularity"), popularity)];
    let value = Value::Attributed { attributes, value: Box::new(real) };
    let resp2 = "$39\r\nSome real reply following the attribute\r\n";
    let resp3 = format!("|1\r\n$14\r\nkey-popularity\r\n*2\r\n$7\r\nkey:123\r\n:90\r\n{resp2}");
    check(|out| value.write_to(out), resp2, &resp3);
    let push = Value::Push(vec![Value::bulk("server-cpu-usage"), Value::Integer(42)]);
    let body = "$16\r\nserver-cpu-usage\r\n:42\r\n";
    check(|out| push.write_to(out), &format!("*2\r\n{body}"), &format!(">2\r\n{body}"));
}

#[test]
fn lines_and_lengths() {
    check(|out| out.ok(), "+OK\r\n", "+OK\r\n");
    check(|out| out.simple("PONG"), "+PONG\r\n", "+PONG\r\n");
    check(|out| out.error(b"ERR a\r\nb"), "-ERR a  b\r\n", "-ERR a  b\r\n");
    check(|out| out.bulk_error(b"ERR a\r\nb"), "-ERR a  b\r\n", "!8\r\nERR a\r\nb\r\n");
    check(|out| out.null_array(), "*-1\r\n", "_\r\n");
    for n in [0, 9, 10, 99, 100, 12345, -1, -9, -10, i64::MAX, i64::MIN] {
        let line = format!(":{n}\r\n");
        check(|out| out.integer(n), &line, &line);
    }
    for n in [0, 9, 10, 99, 100, 999, 1000, 5000] {
        let value = "x".repeat(n);
        let reply = format!("${n}\r\n{value}\r\n");
        check(|out| out.bulk(value.as_bytes()), &reply, &reply);
        check(|out| out.shared(Bytes::from(value.clone())), &reply, &reply);
    }
}

/// The answers of ZSCORE to scores set by ZADD.
#[test]
fn doubles() {
    let cases = [
        ("1e21", "1e+21"),
        ("1e-7", "1e-7"),
        ("3.0", "3"),
        ("inf", "inf"),
        ("-inf", "-inf"),
        ("0.1", "0.1"),
        ("1e17", "100000000000000000"),
        ("5e-324", "5e-324"),
        ("0.0", "0"),
        ("-0.0", "-0"),
        ("1e20", "1e+20"),
        ("1e15", "1000000000000000"),
        ("1e16", "10000000000000000"),
        ("123456789012345678.0", "123456789012345680"),
        ("1.5e300", "1.5e+300"),
        ("1.7976931348623157e308", "1.7976931348623157e+308"),
        ("2.2250738585072014e-308", "2.2250738585072014e-308"),
        ("0.001", "0.001"),
        ("0.000001", "0.000001"),
        ("0.0000123", "1.23e-5"),
        ("1.5e-5", "0.000015"),
        ("1.5e-6", "1.5e-6"),
        ("1.23e-7", "1.23e-7"),
        ("123456.789", "123456.789"),
        ("-1e5", "-100000"),
        ("-1.5", "-1.5"),
        ("1e100", "1e+100"),
        ("1234567890.123456789", "1.2345678901234567e+9"),
        ("9007199254740993.0", "9007199254740992"),
        ("9223372036854775807.0", "9223372036854776000"),
        ("4.35", "4.35"),
        ("1e18", "1000000000000000000"),
        ("1.2e21", "1.2e+21"),
        ("12345678901234567890.0", "12345678901234567000"),
        ("123456789012345680000.0", "123456789012345680000"),
        ("1234567890123456789012.0", "1234567890123456800000"),
        ("0.00012345678901234567", "1.2345678901234567e-4"),
        ("0.000012345678901234567", "1.2345678901234568e-5"),
        ("1.2345678901234567", "1.2345678901234567"),
        ("12345678.901234567", "1.2345678901234567e+7"),
        ("-1e-7", "-1e-7"),
        ("0.5e-6", "5e-7"),
        ("4503599627370497.5", "4503599627370498"),
        ("4611686018427387904.0", "4611686018427387904"),
        ("-4611686018427387904.0", "-4611686018427387904"),
        ("4611686018427388928.0", "4611686018427389000"),
        ("99999999999999990000.0", "99999999999999980000"),
        ("999999999999999900000.0", "999999999999999900000"),
    ];
    for (text, expected) in cases {
        let value: f64 = text.parse().unwrap();
        assert_eq!(format_double(value).to_string(), expected);
    }
    check(|out| out.double(f64::INFINITY), "$3\r\ninf\r\n", ",inf\r\n");
    check(|out| out.double(f64::NAN), "$3\r\nnan\r\n", ",nan\r\n");
}

#[test]
fn integers() {
    let cases = ["0", "7", "-7", "100", "9223372036854775807", "-9223372036854775808", "1234567890123456789"];
    for case in cases {
        assert_eq!(parse_i64(case.as_bytes()), Some(case.parse().unwrap()));
    }
    for case in [
        "",
        "-",
        "-0",
        "00",
        "01",
        "+1",
        " 1",
        "1 ",
        "1x",
        "x",
        "9223372036854775808",
        "-9223372036854775809",
    ] {
        assert_eq!(parse_i64(case.as_bytes()), None, "{case}");
    }
    assert_eq!(parse_u64(b"18446744073709551615"), Some(u64::MAX));
    assert_eq!(parse_u64(b"18446744073709551616"), None);
    assert_eq!(parse_u64(b"99999999999999999999"), None);
    assert_eq!(parse_u64(b"100000000000000000000"), None);
}

#[test]
fn lengths_told_later() {
    for n in [0, 1, 9, 10, 99, 100, 12345] {
        let body = ":1\r\n".repeat(n);
        let nested = |out: &mut ReplyBuf| {
            out.ok();
            let outer = out.map_later();
            out.integer(5);
            let inner = out.array_later();
            (0..n).for_each(|_| out.integer(1));
            out.finish(inner, n);
            out.shared(Bytes::from(vec![b'x'; 5000]));
            let set = out.set_later();
            out.finish(set, 0);
            out.finish(outer, 2);
            out.shared(Bytes::from(vec![b'y'; 5000]));
        };
        let (x, y) = ("x".repeat(5000), "y".repeat(5000));
        let reply = |map: &str, set: char| {
            format!("+OK\r\n{map}:5\r\n*{n}\r\n{body}$5000\r\n{x}\r\n{set}0\r\n$5000\r\n{y}\r\n")
        };
        check(nested, &reply("*4\r\n", '*'), &reply("%2\r\n", '~'));
    }
}

#[test]
fn truncation() {
    let mut out = ReplyBuf::new();
    out.ok();
    out.shared(Bytes::from(vec![b'x'; 5000]));
    let before = out.to_vec();
    let mark = out.mark();
    out.shared(Bytes::from(vec![b'y'; 6000]));
    out.bulk(b"z");
    out.truncate(mark);
    assert_eq!((out.to_vec(), out.len()), (before.clone(), before.len()));
    out.clear();
    assert!(out.is_empty() && out.chunks().next().is_none());
}

/// A large value is written from where it lies.
#[test]
fn large_values_are_not_copied() {
    let value = Bytes::from(vec![b'x'; 1 << 20]);
    let mut out = ReplyBuf::new();
    out.shared(value.clone());
    assert!(out.chunks().any(|chunk| chunk.as_ptr() == value.as_ptr()));
    assert!(out.memory() >= 1 << 20);
}

/// Output that waits is not moved by what follows, and keeps no room beyond its length.
#[test]
fn waiting_output_takes_what_it_is_long() {
    let mut out = ReplyBuf::new();
    for _ in 0..1000 {
        out.bulk(&[b'x'; 2000]);
        out.seal();
    }
    let (first, memory) = (out.chunks().next().unwrap().as_ptr(), out.memory());
    assert!(memory < out.len() + 128 * 1024, "{memory} for {}", out.len());
    out.bulk(&[b'x'; 100_000]);
    assert_eq!(out.chunks().next().unwrap().as_ptr(), first);
}

#[derive(Clone, Debug)]
enum Op {
    Small(usize),
    Large(usize),
    Undone(usize),
    Seal,
    Advance(prop::sample::Index),
}

fn op() -> impl Strategy<Value = Op> {
    prop_oneof![
        (0usize..300).prop_map(Op::Small),
        (4000usize..90_000).prop_map(Op::Large),
        (0usize..9000).prop_map(Op::Undone),
        (40_000usize..60_000).prop_map(Op::Small),
        Just(Op::Seal),
        any::<prop::sample::Index>().prop_map(Op::Advance),
    ]
}

proptest! {
    #[test]
    fn output_equals_a_plain_vector(ops in prop::collection::vec(op(), 0..40)) {
        let mut out = ReplyBuf::new();
        let mut model = Vec::new();
        for (i, op) in ops.iter().enumerate() {
            let value = |len: usize| vec![b'a' + (i % 26) as u8; len];
            match op {
                Op::Small(len) => {
                    out.bulk(&value(*len));
                    model.extend(Value::Bulk(value(*len)).encode(Protocol::Resp2));
                }
                Op::Large(len) => {
                    out.shared(Bytes::from(value(*len)));
                    model.extend(Value::Bulk(value(*len)).encode(Protocol::Resp2));
                }
                Op::Undone(len) => {
                    let mark = out.mark();
                    out.shared(Bytes::from(value(*len)));
                    out.truncate(mark);
                }
                Op::Seal => out.seal(),
                Op::Advance(n) => {
                    let n = n.index(model.len() + 1);
                    out.advance(n);
                    model.drain(..n);
                }
            }
            prop_assert_eq!(out.len(), model.len());
            prop_assert_eq!(out.is_empty(), model.is_empty());
            prop_assert!(out.chunks().all(|chunk| !chunk.is_empty()));
            prop_assert!(out.to_vec() == model);
        }
    }

    #[test]
    fn doubles_read_back(bits in any::<u64>()) {
        let value = f64::from_bits(bits);
        prop_assume!(!value.is_nan());
        prop_assert_eq!(format_double(value).to_string().parse::<f64>().unwrap().to_bits(), bits);
    }

    #[test]
    fn integers_read_back(value in any::<i64>(), shift in 0u32..64) {
        let value = value >> shift;
        prop_assert_eq!(parse_i64(value.to_string().as_bytes()), Some(value));
    }
}
