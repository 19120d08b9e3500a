//! A real client library against the real binary, over TCP and a Unix socket, in RESP2 and RESP3.

use std::collections::HashSet;

use carnelian_testkit::{Server, ServerOptions};
use redis::{Commands, ConnectionLike, Expiry, RedisResult};

fn start(args: &[&str]) -> Server {
    ServerOptions::new(env!("CARGO_BIN_EXE_carnelian-server")).args(args).start().expect("it starts")
}

fn connect(url: &str) -> redis::Connection {
    redis::Client::open(url).and_then(|client| client.get_connection()).expect("a connection")
}

/// What an application does with strings, keys and expiry.
fn use_it(connection: &mut redis::Connection) -> RedisResult<()> {
    assert!(connection.check_connection());
    let () = connection.set("greeting", "hello")?;
    assert_eq!(connection.get::<_, String>("greeting")?, "hello");
    assert_eq!(connection.get::<_, Option<String>>("absent")?, None);
    assert_eq!(connection.incr::<_, _, i64>("counter", 41)?, 41);
    assert_eq!(connection.incr::<_, _, f64>("counter", 0.5)?, 41.5);
    assert_eq!(connection.append::<_, _, usize>("greeting", ", world")?, 12);

    let () = connection.set_ex("session", "token", 100)?;
    assert!((90..=100).contains(&connection.ttl::<_, i64>("session")?));
    assert_eq!(connection.get_ex::<_, String>("session", Expiry::PERSIST)?, "token");
    assert_eq!(connection.ttl::<_, i64>("session")?, -1);

    let () = connection.mset(&[("a", 1), ("b", 2)])?;
    assert_eq!(connection.mget::<_, Vec<Option<i64>>>(&["a", "b", "absent"])?, [Some(1), Some(2), None]);

    let (set, got): (String, i64) =
        redis::pipe().cmd("SET").arg("p").arg(7).cmd("GET").arg("p").query(connection)?;
    assert_eq!((set.as_str(), got), ("OK", 7));

    let mut pipe = redis::pipe();
    (0..1000).for_each(|i| {
        pipe.set(format!("many:{i}"), i).ignore();
    });
    let () = pipe.query(connection)?;
    let found: HashSet<String> = connection.scan_match("many:*")?.collect::<RedisResult<_>>()?;
    assert_eq!(found.len(), 1000);

    let large = vec![b'x'; 3_000_000];
    let () = connection.set("large", &large)?;
    assert_eq!(connection.get::<_, Vec<u8>>("large")?, large);

    let error = redis::cmd("NOSUCH").query::<()>(connection).expect_err("an unknown command");
    assert_eq!(error.code(), Some("ERR"));
    let () = redis::cmd("FLUSHALL").query(connection)?;
    assert_eq!(redis::cmd("DBSIZE").query::<i64>(connection)?, 0);
    Ok(())
}

#[test]
fn over_tcp_in_both_protocols() {
    let server = start(&[]);
    for protocol in ["resp2", "resp3"] {
        let mut connection = connect(&format!("redis://{}/5?protocol={protocol}", server.address()));
        use_it(&mut connection).expect("every command works");
    }
}

#[test]
fn over_a_unix_socket_with_a_password() {
    let folder = tempfile::tempdir().expect("a folder");
    let path = folder.path().join("socket");
    let path = path.to_str().expect("plain text");
    let server = start(&["--unixsocket", path, "--unixsocketperm", "700", "--requirepass", "secret"]);
    let mut connection = connect(&format!("redis+unix://{path}?pass=secret"));
    use_it(&mut connection).expect("every command works");
    let refused = redis::Client::open(format!("redis://{}", server.address())).expect("a URL");
    let error =
        refused.get_connection().and_then(|mut c| c.get::<_, Option<String>>("k")).expect_err("no password");
    assert_eq!(error.code(), Some("NOAUTH"));
}
