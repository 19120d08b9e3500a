//! The reviewed table of differences from the reference that a run expects, each with its reason.

use carnelian_testkit::quote;

/// One reply beside that of the reference.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Pair<'a> {
    pub(crate) argv: &'a [Vec<u8>],
    pub(crate) ours: &'a [u8],
    pub(crate) reference: &'a [u8],
}

struct Explanation {
    reason: &'static str,
    applies: fn(Pair<'_>) -> bool,
}

const EXPLANATIONS: [Explanation; 2] = [
    Explanation {
        reason: "HELLO lists the modules that the peer's build has inside",
        applies: hello_modules,
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

fn valkey_only_option(pair: Pair<'_>) -> bool {
    is_command(pair, "CLIENT")
        && pair
            .argv
            .get(1)
            .is_some_and(|word| word.eq_ignore_ascii_case(b"LIST") || word.eq_ignore_ascii_case(b"KILL"))
        && pair.reference.starts_with(b"-ERR syntax error")
}
