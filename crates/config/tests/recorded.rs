//! The table against what the real binaries answered: see the first lines of the files in `data`.

use carnelian_config::{Access, Config, Directive};

/// The lines of a file as columns, padded to `N`.
fn rows<const N: usize>(text: &'static str) -> impl Iterator<Item = [&'static str; N]> {
    text.lines().filter(|line| !line.starts_with('#')).map(|line| {
        let mut columns = [""; N];
        line.split('\t').zip(&mut columns).for_each(|(from, to)| *to = from);
        columns
    })
}

const DEFAULTS: &str = include_str!("data/defaults.tsv");
const SETS: &str = include_str!("data/set.tsv");

#[test]
fn every_directive_is_known_with_its_default() {
    let config = Config::new();
    for [name, redis, redis_default, valkey, valkey_default] in rows::<5>(DEFAULTS) {
        let (shown, default) =
            if redis == "absent" { (valkey, valkey_default) } else { (redis, redis_default) };
        let directive = Directive::find(name.as_bytes()).unwrap_or_else(|| panic!("{name} is unknown"));
        assert_eq!(String::from_utf8(config.print(directive)).unwrap(), default, "{name}");
        // Valkey shows one that Redis hides.
        let hidden = shown == "hidden" && valkey != "shown";
        assert_eq!(directive.row().hidden, hidden, "{name}");
    }
}

/// Directives that neither of the peers has.
const OWN: [&str; 2] = ["lua-memory-limit", "rdb-format"];

#[test]
fn config_get_star_lists_the_union() {
    let config = Config::new();
    let mut expected: Vec<&str> = rows::<5>(DEFAULTS)
        .filter(|[_, redis, _, valkey, _]| *redis == "shown" || *valkey == "shown")
        .map(|[name, ..]| name)
        .chain(OWN)
        .collect();
    let mut names: Vec<String> =
        config.get(&[b"*"]).into_iter().map(|(name, _)| String::from_utf8(name.to_vec()).unwrap()).collect();
    names.sort();
    expected.sort_unstable();
    assert_eq!(names, expected);
}

#[test]
fn no_row_is_invented() {
    let known: Vec<&str> = rows::<5>(DEFAULTS).map(|[name, ..]| name).chain(OWN).collect();
    for directive in Directive::all() {
        for name in [directive.name()].iter().chain(directive.row().aliases) {
            assert!(known.contains(name), "{name}");
        }
    }
}

/// What the recorded outcome says, in the words of the file.
fn set(config: &mut Config, name: &str, value: &str) -> String {
    match config.set_many(&[(name.as_bytes(), value.as_bytes())], Access::default()) {
        Ok(_) => {
            let found = config.get(&[name.as_bytes()]);
            format!("= {}", String::from_utf8_lossy(&found[0].1))
        }
        Err(error) => error
            .to_string()
            .replace(&format!("CONFIG SET failed (possibly related to argument '{name}') - "), "- "),
    }
}

/// Refused by the peer for reasons of its build, its machine or its state.
fn is_refused_by_subsystem(outcome: &str) -> bool {
    outcome.contains("operating system")
        || outcome.contains("Unable to")
        || outcome.contains("Failed to bind")
}

#[test]
fn values_are_accepted_and_refused_as_recorded() {
    let mut wrong = Vec::new();
    for [name, value, redis, valkey] in rows::<4>(SETS) {
        let expected = if redis == "absent" { valkey } else { redis };
        // The one wraps this number to a percentage, the other has a different text than Redis for the like.
        let accident = value == "99999999999999999999"
            && matches!(name, "maxmemory-clients" | "slot-migration-max-failover-repl-bytes");
        if is_refused_by_subsystem(expected) || accident {
            continue;
        }
        let got = set(&mut Config::new(), name, value);
        // The words of both are accepted, so that the list may be longer than Redis's.
        let longer_list = expected.contains("one of the following") && got.starts_with(expected);
        let valkeys_word = got.starts_with('=') && got == valkey;
        if got != expected && !longer_list && !valkeys_word {
            wrong.push(format!("{name} {value:?}: got {got:?}, recorded {expected:?}"));
        }
    }
    assert!(wrong.is_empty(), "{} differ:\n{}", wrong.len(), wrong.join("\n"));
}
