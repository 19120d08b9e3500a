//! The reviewed table of differences from the reference that a run expects, each with its reason.

use carnelian_testkit::{quote, reply};

use super::sort;

use super::clients::Seen;

/// One reply beside that of the reference.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Pair<'a> {
    pub(crate) argv: &'a [Vec<u8>],
    pub(crate) ours: &'a [u8],
    pub(crate) reference: &'a [u8],
}

/// What one of several clients received in one step, from ours, the reference, and Valkey if that is another.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Sight<'a> {
    pub(crate) argv: &'a [Vec<u8>],
    /// It is the client that sent the command.
    pub(crate) own: bool,
    pub(crate) all: &'a [Seen],
}

struct SightExplanation {
    reason: &'static str,
    applies: fn(Sight<'_>) -> bool,
}

const SIGHTS: [SightExplanation; 7] = [
    SightExplanation {
        reason: "what FLUSHALL and FLUSHDB tell the client that sends them follows the reply, as in Valkey",
        applies: flush_before_reply,
    },
    SightExplanation {
        reason: "of several functions that exist already, the peers name one by the order of a hash table",
        applies: other_function_exists,
    },
    SightExplanation {
        reason: "filters that are wrong in Valkey's language get the error that they get in Redis's",
        applies: wrong_filter,
    },
    SightExplanation {
        reason: "a silent client that ends its own connection is closed; the peers wait for a reply to be written",
        applies: silent_end,
    },
    SightExplanation {
        reason: "a transaction that ends its own connection has a whole reply; Redis's stops at that command",
        applies: end_within_transaction,
    },
    SightExplanation {
        reason: "a key stored in place of one of another type serves who waits for it; in the peers he waits on",
        applies: served_by_store,
    },
    SightExplanation {
        reason: "that a copy is out of date is told before the events overwritten and type_changed; after them in Redis",
        applies: invalidated_before_overwritten,
    },
];

/// The reason why what a client received may differ, if one is listed.
pub(crate) fn explain_seen(sight: Sight<'_>) -> Option<&'static str> {
    let listed = SIGHTS.iter().find(|explanation| (explanation.applies)(sight));
    listed.map(|explanation| explanation.reason).or_else(|| explain_replies(sight))
}

/// The reason why one reply differs, if all else is the same.
fn explain_replies(sight: Sight<'_>) -> Option<&'static str> {
    let [ours, reference, ..] = sight.all else { return None };
    if !sight.own || ours.closed != reference.closed || ours.replies.len() != reference.replies.len() {
        return None;
    }
    let mut pairs = ours.replies.iter().zip(&reference.replies).filter(|(ours, theirs)| ours != theirs);
    let (ours, reference) = pairs.next()?;
    pairs.next().is_none().then(|| explain(Pair { argv: sight.argv, ours, reference }))?
}

/// The same replies in another order, which is Valkey's.
fn flush_before_reply(sight: Sight<'_>) -> bool {
    let [ours, redis, valkey] = sight.all else { return false };
    let name = sight.argv[0].to_ascii_uppercase();
    let flushes =
        name.starts_with(b"FLUSH") || name == b"EXEC" || name.starts_with(b"EVAL") || name == b"FCALL";
    flushes && sight.own && ours == valkey && same_in_any_order(ours, redis)
}

fn invalidated_before_overwritten(sight: Sight<'_>) -> bool {
    let [ours, redis, _] = sight.all else { return false };
    let says = |word: &[u8]| ours.replies.iter().any(|reply| reply.windows(word.len()).any(|at| at == word));
    says(b"overwritten") && says(b"invalidate") && same_in_any_order(ours, redis)
}

fn same_in_any_order(ours: &Seen, reference: &Seen) -> bool {
    let sorted = |seen: &Seen| {
        let mut replies = seen.replies.clone();
        replies.sort();
        replies
    };
    ours.closed == reference.closed && sorted(ours) == sorted(reference)
}

fn wrong_filter(sight: Sight<'_>) -> bool {
    let is_error = |seen: &Seen| matches!(&seen.replies[..], [reply] if reply.starts_with(b"-ERR"));
    let filters = sight.argv.get(1).is_some_and(|word| word == b"LIST" || word == b"KILL");
    // Only where Valkey is the reference.
    sight.own && filters && sight.all.len() == 2 && sight.all.iter().all(is_error)
}

fn silent_end(sight: Sight<'_>) -> bool {
    let [ours, reference, ..] = sight.all else { return false };
    let ends = sight.argv[0] == b"QUIT" || sight.argv.get(1).is_some_and(|word| word == b"KILL");
    ends && sight.own && ours.closed && ours.replies.is_empty() && reference == &Seen::default()
}

fn end_within_transaction(sight: Sight<'_>) -> bool {
    let [ours, reference, ..] = sight.all else { return false };
    let whole = matches!(&ours.replies[..], [reply] if reply.starts_with(b"*"));
    let same_end = ours.closed && reference.closed && reference.replies.is_empty();
    sight.own && sight.argv[0] == b"EXEC" && whole && same_end
}

fn served_by_store(sight: Sight<'_>) -> bool {
    let [ours, reference, ..] = sight.all else { return false };
    let stores = [&b"ZRANGESTORE"[..], b"SORT"].contains(&&sight.argv[0][..]);
    stores && !sight.own && !ours.replies.is_empty() && reference == &Seen::default()
}

fn other_function_exists(sight: Sight<'_>) -> bool {
    let [ours, reference, ..] = sight.all else { return false };
    ours.closed == reference.closed
        && ours.replies.len() == reference.replies.len()
        && ours.replies.iter().zip(&reference.replies).all(|(a, b)| same_but_function(a, b))
}

/// Also within EXEC's array.
fn same_but_function(a: &[u8], b: &[u8]) -> bool {
    let names = |reply: &[u8]| {
        (reply.starts_with(b"-ERR Function ") || reply.starts_with(b"-ERR Library "))
            && reply.ends_with(b" already exists\r\n")
    };
    match (reply::elements(a), reply::elements(b)) {
        (Some((head, ours)), Some((other, theirs))) => {
            head == other
                && ours.len() == theirs.len()
                && ours.iter().zip(theirs).all(|(a, b)| same_but_function(a, b))
        }
        _ => a == b || names(a) && names(b),
    }
}

struct Explanation {
    reason: &'static str,
    applies: fn(Pair<'_>) -> bool,
}

const EXPLANATIONS: [Explanation; 6] = [
    Explanation {
        reason: "sorting, Redis takes an overflow in an earlier command of the same batch for one of its own",
        applies: stale_overflow,
    },
    Explanation {
        reason: "SORT leaves a sorted set as it is stored; the peers unpack it",
        applies: unpacked_by_sort,
    },
    Explanation {
        reason: "SORT ALPHA puts a text before others that go on behind a zero byte; to the peers these are equal",
        applies: equal_up_to_zero,
    },
    Explanation {
        reason: "HELLO lists the modules that the peer's build has inside",
        applies: hello_modules,
    },
    Explanation {
        reason: "how long a string may be to share its key's block depends on the memory layout",
        applies: embedded_string,
    },
    Explanation {
        reason: "an option that only Valkey has is known here, an error in Redis",
        applies: valkey_only_option,
    },
];

/// The reason why the replies may differ, if one is listed.
pub(crate) fn explain(pair: Pair<'_>) -> Option<&'static str> {
    EXPLANATIONS.iter().find(|explanation| (explanation.applies)(pair)).map(|explanation| explanation.reason)
}

fn is_command(pair: Pair<'_>, name: &str) -> bool {
    pair.argv[0].eq_ignore_ascii_case(name.as_bytes())
}

fn hello_modules(pair: Pair<'_>) -> bool {
    let before_modules = |reply: &[u8]| {
        let text = quote::escape(reply);
        text.split_once("modules")
            .map(|(before, _)| before.chars().filter(|c| !c.is_ascii_digit()).collect::<String>())
    };
    is_command(pair, "HELLO")
        && before_modules(pair.ours).is_some_and(|ours| Some(ours) == before_modules(pair.reference))
}

/// Redis 8.2.3 says `embstr` while key, value and deadline fit into 64 bytes together, Valkey 9.1.2 has another
/// limit, and ours is 44 bytes of value whatever the key. So only ours can be `embstr` alone.
fn embedded_string(pair: Pair<'_>) -> bool {
    is_command(pair, "OBJECT") && is_embedded_here_only(pair.ours, pair.reference)
}

/// The same for replies to OBJECT ENCODING that are already known to be such.
pub(crate) fn is_embedded_here_only(ours: &[u8], reference: &[u8]) -> bool {
    ours == b"$6\r\nembstr\r\n" && reference == b"$3\r\nraw\r\n"
}

/// Redis 8.2.3 looks at `errno` after reading a number without having set it before.
fn stale_overflow(pair: Pair<'_>) -> bool {
    (is_command(pair, "SORT") || is_command(pair, "SORT_RO"))
        && pair.reference.starts_with(b"-ERR One or more scores can't be converted into double")
        && pair.ours.starts_with(b"*")
}

/// The peers sort what is not stored as C strings, which end at a zero byte, and leave equals in any order. So the
/// replies must agree up to there, element by element.
fn equal_up_to_zero(pair: Pair<'_>) -> bool {
    let is_word = |arg: &Vec<u8>, word: &str| arg.eq_ignore_ascii_case(word.as_bytes());
    let options = pair.argv.get(2..).unwrap_or_default();
    (is_command(pair, "SORT") || is_command(pair, "SORT_RO"))
        && options.iter().any(|arg| is_word(arg, "ALPHA"))
        && !options.iter().any(|arg| is_word(arg, "GET") || is_word(arg, "BY"))
        && c_strings(pair.ours).is_some_and(|ours| Some(ours) == c_strings(pair.reference))
}

/// The elements of an array of strings, each up to its first zero byte.
fn c_strings(reply: &[u8]) -> Option<Vec<&[u8]>> {
    let (_, elements) = reply::elements(reply)?;
    let text = |element| reply::payload(element)?.split(|byte| *byte == 0).next();
    elements.into_iter().map(text).collect()
}

fn unpacked_by_sort(pair: Pair<'_>) -> bool {
    is_command(pair, "OBJECT")
        && pair.argv.get(2).is_some_and(|key| is_packed_here_only(key, pair.ours, pair.reference))
}

/// Whether SORT may have unpacked the sorted set of this key in the peers, by the replies to OBJECT ENCODING.
pub(crate) fn is_packed_here_only(key: &[u8], ours: &[u8], reference: &[u8]) -> bool {
    sort::is_own_key(key) && ours == b"$8\r\nlistpack\r\n" && reference == b"$8\r\nskiplist\r\n"
}

fn valkey_only_option(pair: Pair<'_>) -> bool {
    // A range without an end.
    if is_command(pair, "BITCOUNT") && pair.argv.len() == 3 {
        return pair.reference.starts_with(b"-ERR syntax error");
    }
    is_command(pair, "CLIENT")
        && pair
            .argv
            .get(1)
            .is_some_and(|word| word.eq_ignore_ascii_case(b"LIST") || word.eq_ignore_ascii_case(b"KILL"))
        && pair.reference.starts_with(b"-ERR syntax error")
}

#[cfg(test)]
mod tests {
    use super::*;

    fn is_explained(command: &str, ours: &[u8], reference: &[u8]) -> bool {
        let argv: Vec<Vec<u8>> = command.split(' ').map(|word| word.as_bytes().to_vec()).collect();
        explain(Pair { argv: &argv, ours, reference }).is_some()
    }

    #[test]
    fn the_order_behind_a_zero_byte_is_free_and_no_other() {
        let (ours, theirs) = (&b"*2\r\n$1\r\n1\r\n$2\r\n1\0\r\n"[..], &b"*2\r\n$2\r\n1\0\r\n$1\r\n1\r\n"[..]);
        assert!(is_explained("SORT o1 ALPHA", ours, theirs));
        assert!(!is_explained("SORT o1", ours, theirs));
        assert!(!is_explained("SORT o1 ALPHA GET #", ours, theirs));
        let (ours, theirs) = (&b"*2\r\n$1\r\n1\r\n$1\r\n2\r\n"[..], &b"*2\r\n$1\r\n2\r\n$1\r\n1\r\n"[..]);
        assert!(!is_explained("SORT o1 ALPHA", ours, theirs));
    }

    #[test]
    fn only_keys_that_are_sorted_may_be_packed_here_alone() {
        let (ours, theirs) = (b"$8\r\nlistpack\r\n", b"$8\r\nskiplist\r\n");
        assert!(is_explained("OBJECT ENCODING o1", ours, theirs));
        assert!(!is_explained("OBJECT ENCODING k1", ours, theirs));
        assert!(!is_explained("OBJECT ENCODING o1", theirs, ours));
    }
}
