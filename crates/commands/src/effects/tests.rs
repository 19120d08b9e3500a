//! What commands log, one by one; [`replay`] tries them at random.

mod replay;

use crate::testing::Session;

fn effects(lines: &[&str]) -> String {
    let mut session = Session::new();
    session.engine.log_effects(true);
    for line in lines {
        session.run(line);
    }
    let bytes = session.engine.take_effects(Vec::new());
    String::from_utf8(bytes).expect("text").replace("\r\n", " ")
}

#[test]
fn only_changes_have_effects() {
    assert_eq!(
        effects(&["SET a 1", "GET a", "DEL b", "INCR x y", "SETNX a 2"]),
        "*2 $6 SELECT $1 0 *3 $3 SET $1 a $1 1 "
    );
}

#[test]
fn databases_are_selected_once() {
    let text = effects(&["SET a 1", "SELECT 3", "SET b 1", "SET c 1"]);
    assert_eq!(text.matches("SELECT").count(), 2);
    assert!(text.contains("SELECT $1 3 *3 $3 SET $1 b"), "{text}");
}

#[test]
fn several_effects_of_a_transaction_are_one_group() {
    let text = effects(&["MULTI", "SET a 1", "GET a", "INCR a", "EXEC"]);
    assert!(text.starts_with("*1 $5 MULTI *2 $6 SELECT $1 0 *3 $3 SET"), "{text}");
    assert!(text.ends_with("*2 $4 INCR $1 a *1 $4 EXEC "), "{text}");
    let text = effects(&["MULTI", "SET a 1", "GET a", "EXEC"]);
    assert!(!text.contains("MULTI"), "{text}");
}

#[test]
fn what_expires_is_removed_first() {
    let mut session = Session::new();
    session.engine.log_effects(true);
    session.run("SET a 1 PX 10");
    session.engine.take_effects(Vec::new());
    session.sleep_ms(20);
    session.run("INCR a");
    let text = String::from_utf8(session.engine.take_effects(Vec::new())).expect("text").replace("\r\n", " ");
    assert_eq!(text, "*2 $3 DEL $1 a *2 $4 INCR $1 a ");
}
