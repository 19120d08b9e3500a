//! COMMAND: what the rows say, in the forms that clients, proxies and people read.

use carnelian_resp::Argv;

use crate::args::is;
use crate::context::Ctx;
use crate::error::Error;
use crate::glob;
use crate::help;
use crate::keys::{self, KeysError};
use crate::row::{Acl, Begin, Find, Flags, Group, KeyFlags, KeySpec, Row};
use crate::syntax::{self, Argument};
use crate::table::{CommandId, Found};

pub(crate) static ROWS: &[Row] = &[Row {
    name: "command",
    summary: "Describes every command.",
    since: "2.8.13",
    group: Group::Server,
    arity: -1,
    flags: Flags::HELPING,
    acl: Acl::CONNECTION,
    complexity: "O(N) where N is the total number of Redis commands",
    tips: &["nondeterministic_output_order"],
    subcommands: SUBCOMMANDS,
    run: command,
    ..Row::EMPTY
}];

static SUBCOMMANDS: &[Row] = &[
    Row {
        name: "count",
        summary: "Counts the commands.",
        since: "2.8.13",
        group: Group::Server,
        arity: 2,
        flags: Flags::HELPING,
        acl: Acl::CONNECTION,
        complexity: "O(1)",
        run: count,
        ..Row::EMPTY
    },
    Row {
        name: "docs",
        summary: "Answers the documentation of commands.",
        since: "7.0.0",
        group: Group::Server,
        arity: -2,
        flags: Flags::HELPING,
        acl: Acl::CONNECTION,
        syntax: "[command-name]...",
        complexity: "O(N) where N is the number of commands to look up",
        tips: &["nondeterministic_output_order"],
        run: docs,
        ..Row::EMPTY
    },
    Row {
        name: "getkeys",
        summary: "Finds the keys in a command.",
        since: "2.8.13",
        group: Group::Server,
        arity: -3,
        flags: Flags::HELPING,
        acl: Acl::CONNECTION,
        syntax: "command [arg]...",
        complexity: "O(N) where N is the number of arguments to the command",
        run: getkeys,
        ..Row::EMPTY
    },
    Row {
        name: "getkeysandflags",
        summary: "Finds the keys in a command, and what it does to them.",
        since: "7.0.0",
        group: Group::Server,
        arity: -3,
        flags: Flags::HELPING,
        acl: Acl::CONNECTION,
        syntax: "command [arg]...",
        complexity: "O(N) where N is the number of arguments to the command",
        run: getkeysandflags,
        ..Row::EMPTY
    },
    Row {
        name: "help",
        summary: "Lists the subcommands.",
        since: "5.0.0",
        group: Group::Server,
        arity: 2,
        flags: Flags::HELPING,
        acl: Acl::CONNECTION,
        complexity: "O(1)",
        run: help::help,
        ..Row::EMPTY
    },
    Row {
        name: "info",
        summary: "Describes the named commands.",
        since: "2.8.13",
        group: Group::Server,
        arity: -2,
        flags: Flags::HELPING,
        acl: Acl::CONNECTION,
        syntax: "[command-name]...",
        complexity: "O(N) where N is the number of commands to look up",
        tips: &["nondeterministic_output_order"],
        run: info,
        ..Row::EMPTY
    },
    Row {
        name: "list",
        summary: "Names the commands.",
        since: "7.0.0",
        group: Group::Server,
        arity: -2,
        flags: Flags::HELPING,
        acl: Acl::CONNECTION,
        syntax: "[FILTERBY <filterby=MODULE module-name|ACLCAT category|PATTERN pattern>]",
        complexity: "O(N) where N is the total number of Redis commands",
        tips: &["nondeterministic_output_order"],
        run: list,
        ..Row::EMPTY
    },
];

fn command(cx: &mut Ctx<'_>) -> Result<(), Error> {
    let all: Vec<CommandId> = cx.state.table.top().collect();
    cx.out.array(all.len());
    all.into_iter().for_each(|id| reply_command(cx, id));
    Ok(())
}

fn count(cx: &mut Ctx<'_>) -> Result<(), Error> {
    let count = cx.state.table.top().count();
    cx.out.integer(count as i64);
    Ok(())
}

fn info(cx: &mut Ctx<'_>) -> Result<(), Error> {
    if cx.argv.len() == 2 {
        return command(cx);
    }
    cx.out.array(cx.argv.len() - 2);
    for name in cx.argv.iter().skip(2) {
        match cx.state.table.find_full(name) {
            Some(id) => reply_command(cx, id),
            None => cx.out.null(),
        }
    }
    Ok(())
}

fn list(cx: &mut Ctx<'_>) -> Result<(), Error> {
    let filter = match cx.argv.len() {
        2 => Filter::None,
        5 if is(cx.arg(2), "FILTERBY") => match (cx.arg(3), cx.arg(4)) {
            (kind, _) if is(kind, "MODULE") => Filter::Nothing,
            (kind, name) if is(kind, "ACLCAT") => category(name).map_or(Filter::Nothing, Filter::Category),
            (kind, pattern) if is(kind, "PATTERN") => Filter::Pattern(pattern),
            _ => return Err(Error::Syntax),
        },
        _ => return Err(Error::Syntax),
    };
    let table = &cx.state.table;
    let names: Vec<&str> = (0..table.len())
        .filter(|id| !table.name(*id).is_empty())
        .filter(|id| match filter {
            Filter::None => table.command(*id).parent.is_none(),
            Filter::Nothing => false,
            Filter::Category(category) => table.command(*id).row.categories().contains(category),
            Filter::Pattern(pattern) => {
                glob::matches(pattern, table.name(*id).as_bytes(), glob::Case::Ignored)
            }
        })
        .map(|id| table.name(id))
        .collect();
    cx.out.array(names.len());
    names.iter().for_each(|name| cx.out.bulk(name.as_bytes()));
    Ok(())
}

#[derive(Clone, Copy)]
enum Filter<'a> {
    None,
    Nothing,
    Category(Acl),
    Pattern(&'a [u8]),
}

/// The ACL category called `name`, without its `@`.
fn category(name: &[u8]) -> Option<Acl> {
    Acl::all().iter_names().find(|(known, _)| is(name, known)).map(|(_, category)| category)
}

fn getkeys(cx: &mut Ctx<'_>) -> Result<(), Error> {
    let words = cx.argv.skip(2);
    let keys = keys_of(cx, words)?;
    cx.out.array(keys.len());
    keys.iter().for_each(|key| cx.out.bulk(&words[key.index]));
    Ok(())
}

fn getkeysandflags(cx: &mut Ctx<'_>) -> Result<(), Error> {
    let words = cx.argv.skip(2);
    let keys = keys_of(cx, words)?;
    cx.out.array(keys.len());
    for key in keys {
        cx.out.array(2);
        cx.out.bulk(&words[key.index]);
        reply_key_flags(cx, key.flags);
    }
    Ok(())
}

const NO_KEYS: Error = Error::Text("ERR The command has no key arguments");

/// The keys of a command that is the argument of another one.
fn keys_of(cx: &Ctx<'_>, words: Argv<'_>) -> Result<Vec<keys::FoundKey>, Error> {
    let id = match cx.state.table.find(&words[0], words.get(1)) {
        Found::Command(id) => id,
        Found::Container(_) if words.len() == 1 => return Err(NO_KEYS),
        Found::Container(_) | Found::Unknown => return Err(Error::Text("ERR Invalid command specified")),
    };
    let row = cx.state.table.command(id).row;
    if row.keys.is_empty() {
        return Err(NO_KEYS);
    }
    if !row.accepts(words.len()) {
        return Err(Error::Text("ERR Invalid number of arguments specified for command"));
    }
    keys::find(row, words).map_err(|KeysError| Error::Text("ERR Invalid arguments specified for command"))
}

/// One command with its subcommands, as COMMAND shows it.
fn reply_command(cx: &mut Ctx<'_>, id: CommandId) {
    let (row, name) = (cx.state.table.command(id).row, cx.state.table.name(id).to_owned());
    let range = keys::legacy_range(row);
    cx.out.array(10);
    cx.out.bulk(name.as_bytes());
    cx.out.integer(i64::from(row.arity));
    let flags: Vec<String> = (row.flags - Flags::NOT_QUEUED - Flags::MAY_REPLICATE)
        .iter_names()
        .map(|(name, _)| name.to_lowercase())
        .collect();
    cx.out.set(flags.len());
    flags.iter().for_each(|flag| cx.out.simple(flag));
    for position in [range.first, range.last, range.step] {
        cx.out.integer(position);
    }
    let categories: Vec<String> =
        row.categories().iter_names().map(|(name, _)| format!("@{}", name.to_lowercase())).collect();
    cx.out.set(categories.len());
    categories.iter().for_each(|category| cx.out.simple(category));
    cx.out.set(row.tips.len());
    row.tips.iter().for_each(|tip| cx.out.bulk(tip.as_bytes()));
    cx.out.set(row.keys.len());
    row.keys.iter().for_each(|spec| reply_key_spec(cx, spec));
    let children: Vec<CommandId> = cx.state.table.children(id).collect();
    match children.is_empty() {
        true => cx.out.set(0),
        false => cx.out.array(children.len()),
    }
    children.into_iter().for_each(|child| reply_command(cx, child));
}

fn reply_key_flags(cx: &mut Ctx<'_>, flags: KeyFlags) {
    let names: Vec<&str> = flags.iter_names().map(|(name, _)| name).collect();
    cx.out.set(names.len());
    for name in names {
        // The four that say what happens to the value as a whole are in upper case.
        if name.len() == 2 { cx.out.simple(name) } else { cx.out.simple(&name.to_lowercase()) }
    }
}

fn reply_key_spec(cx: &mut Ctx<'_>, spec: &KeySpec) {
    cx.out.map(3);
    cx.out.bulk(b"flags");
    reply_key_flags(cx, spec.flags);
    cx.out.bulk(b"begin_search");
    match spec.begin {
        Begin::Index(index) => reply_search(cx, "index", &[("index", index as i64)]),
        Begin::Keyword(word, from) => {
            cx.out.map(2);
            cx.out.bulk(b"type");
            cx.out.bulk(b"keyword");
            cx.out.bulk(b"spec");
            cx.out.map(2);
            cx.out.bulk(b"keyword");
            cx.out.bulk(word.as_bytes());
            cx.out.bulk(b"startfrom");
            cx.out.integer(i64::from(from));
        }
        Begin::Unknown => reply_search(cx, "unknown", &[]),
    }
    cx.out.bulk(b"find_keys");
    match spec.find {
        Find::Range { last, step, limit } => {
            let fields = [("lastkey", i64::from(last)), ("keystep", step as i64), ("limit", limit as i64)];
            reply_search(cx, "range", &fields);
        }
        Find::Count { count, first, step } => {
            let fields = [("keynumidx", count as i64), ("firstkey", first as i64), ("keystep", step as i64)];
            reply_search(cx, "keynum", &fields);
        }
        Find::Unknown => reply_search(cx, "unknown", &[]),
    }
}

fn reply_search(cx: &mut Ctx<'_>, kind: &str, fields: &[(&str, i64)]) {
    cx.out.map(2);
    cx.out.bulk(b"type");
    cx.out.bulk(kind.as_bytes());
    cx.out.bulk(b"spec");
    cx.out.map(fields.len());
    for (name, value) in fields {
        cx.out.bulk(name.as_bytes());
        cx.out.integer(*value);
    }
}

fn docs(cx: &mut Ctx<'_>) -> Result<(), Error> {
    let ids: Vec<CommandId> = match cx.argv.len() {
        2 => cx.state.table.top().collect(),
        _ => cx.argv.iter().skip(2).filter_map(|name| cx.state.table.find_full(name)).collect(),
    };
    cx.out.map(ids.len());
    ids.into_iter().for_each(|id| reply_docs(cx, id));
    Ok(())
}

/// The name and the documentation of one command.
fn reply_docs(cx: &mut Ctx<'_>, id: CommandId) {
    let row = cx.state.table.command(id).row;
    let children: Vec<CommandId> = cx.state.table.children(id).collect();
    let arguments = syntax::parse(row.syntax);
    let parts = [
        true,
        true,
        true,
        !row.complexity.is_empty(),
        row.deprecated.is_some(),
        row.deprecated.is_some(),
        row.deprecated.is_some(),
        !arguments.is_empty(),
        !children.is_empty(),
    ];
    cx.out.bulk(cx.state.table.name(id).as_bytes());
    cx.out.map(parts.iter().filter(|present| **present).count());
    reply_field(cx, "summary", row.summary);
    reply_field(cx, "since", row.since);
    reply_field(cx, "group", row.group.name());
    if !row.complexity.is_empty() {
        reply_field(cx, "complexity", row.complexity);
    }
    if let Some((since, replacement)) = row.deprecated {
        cx.out.bulk(b"doc_flags");
        cx.out.set(1);
        cx.out.simple("deprecated");
        reply_field(cx, "deprecated_since", since);
        reply_field(cx, "replaced_by", replacement);
    }
    if !arguments.is_empty() {
        cx.out.bulk(b"arguments");
        reply_arguments(cx, &arguments, row.keys.len(), &mut 0);
    }
    if !children.is_empty() {
        cx.out.bulk(b"subcommands");
        cx.out.map(children.len());
        children.into_iter().for_each(|child| reply_docs(cx, child));
    }
}

fn reply_field(cx: &mut Ctx<'_>, name: &str, value: &str) {
    cx.out.bulk(name.as_bytes());
    cx.out.bulk(value.as_bytes());
}

/// A list of arguments. `keys` counts the arguments so far that are keys: each one has the next key specification, or
/// the last one if there are no more.
fn reply_arguments(cx: &mut Ctx<'_>, arguments: &[Argument], specs: usize, keys: &mut usize) {
    cx.out.array(arguments.len());
    for argument in arguments {
        let is_key = argument.kind == "key" && specs > 0;
        let flags: Vec<&str> = [
            (argument.optional, "optional"),
            (argument.multiple, "multiple"),
            (argument.multiple_token, "multiple_token"),
        ]
        .iter()
        .filter(|(on, _)| *on)
        .map(|(_, name)| *name)
        .collect();
        let has_children = !argument.children.is_empty();
        let optional = [!has_children, is_key, argument.token.is_some(), !flags.is_empty(), has_children];
        cx.out.map(2 + optional.iter().filter(|present| **present).count());
        reply_field(cx, "name", &argument.name);
        reply_field(cx, "type", &argument.kind);
        if !has_children {
            reply_field(cx, "display_text", &argument.name);
        }
        if is_key {
            cx.out.bulk(b"key_spec_index");
            cx.out.integer((*keys).min(specs - 1) as i64);
            *keys += 1;
        }
        if let Some(token) = &argument.token {
            reply_field(cx, "token", token);
        }
        if !flags.is_empty() {
            cx.out.bulk(b"flags");
            cx.out.set(flags.len());
            flags.iter().for_each(|flag| cx.out.simple(flag));
        }
        if has_children {
            cx.out.bulk(b"arguments");
            reply_arguments(cx, &argument.children, specs, keys);
        }
    }
}

#[cfg(test)]
mod tests {
    use crate::testing::{Session, check};

    #[test]
    fn keys_are_found() {
        check(&[
            ("COMMAND GETKEYS GET a", "1) \"a\""),
            ("COMMAND GETKEYS MSET a 1 b 2", "1) \"a\"\n2) \"b\""),
            ("COMMAND GETKEYS OBJECT ENCODING a", "1) \"a\""),
            ("COMMAND GETKEYS MSETEX 2 a 1 b 2", "1) \"a\"\n2) \"b\""),
            ("COMMAND GETKEYS MSETEX 3 a 1 b 2", "(error) ERR Invalid arguments specified for command"),
            ("COMMAND GETKEYS OBJECT", "(error) ERR The command has no key arguments"),
            ("COMMAND GETKEYS PING a", "(error) ERR The command has no key arguments"),
            ("COMMAND GETKEYS GET", "(error) ERR Invalid number of arguments specified for command"),
            ("COMMAND GETKEYS NOSUCH a", "(error) ERR Invalid command specified"),
            (
                "COMMAND GETKEYSANDFLAGS GETSET a b",
                "1) 1) \"a\"\n   2) 1) RW\n      2) access\n      3) update",
            ),
            ("COMMAND GETKEYSANDFLAGS SET a b", "1) 1) \"a\"\n   2) 1) OW\n      2) update"),
        ]);
    }

    #[test]
    fn lists_are_filtered() {
        check(&[
            ("COMMAND LIST FILTERBY PATTERN config|g*", "1) \"config|get\""),
            ("COMMAND LIST FILTERBY MODULE any", "(empty array)"),
            ("COMMAND LIST FILTERBY ACLCAT nosuch", "(empty array)"),
            ("COMMAND LIST FILTERBY what ever", "(error) ERR syntax error"),
            ("COMMAND INFO nosuch config|nosuch", "1) (nil)\n2) (nil)"),
            ("COMMAND DOCS nosuch", "(empty array)"),
        ]);
        let all = Session::new().run("COMMAND LIST FILTERBY ACLCAT dangerous");
        assert!(
            all.contains("\"flushall\"") && all.contains("\"client|kill\"") && !all.contains("\"get\""),
            "{all}"
        );
    }

    #[test]
    fn facts_come_from_the_rows() {
        let mut session = Session::new();
        session.run("HELLO 3");
        let get = session.run("COMMAND INFO get");
        for part in ["\"get\"", "(integer) 2", "1~ readonly", "2~ fast", "@read", "@string", "@fast"] {
            assert!(get.contains(part), "{part} in {get}");
        }
        let docs = session.run("COMMAND DOCS client|pause");
        for part in ["\"timeout\"", "\"oneof\"", "\"WRITE\"", "optional"] {
            assert!(docs.contains(part), "{part} in {docs}");
        }
    }

    #[test]
    fn every_row_is_complete() {
        let table = crate::table::Table::new();
        for id in 0..table.len() {
            let (row, name) = (table.command(id).row, table.name(id));
            assert!(!row.summary.is_empty() && row.summary.ends_with('.'), "{name}: a summary is a sentence");
            assert!(!row.since.is_empty() && row.arity != 0, "{name} lacks facts");
            assert!(row.name == row.name.to_lowercase(), "{name}: names are in lower case");
            crate::syntax::parse(row.syntax);
        }
    }

    #[test]
    fn help_lists_the_siblings() {
        let help = Session::new().run("CONFIG HELP");
        assert!(
            help.starts_with(" 1) CONFIG <subcommand> [<arg> [value] [opt] ...]. Subcommands are:"),
            "{help}"
        );
        assert!(help.contains("SET parameter value [parameter value ...]"), "{help}");
    }
}
