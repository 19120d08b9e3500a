//! A command's arguments as a line of text, and the tree that COMMAND DOCS answers, from which clients take their
//! hints. The grammar:
//!
//! * `name` is an argument; `name:type` gives its type where the name does not (see [`default_type`]).
//! * `WORD` in upper case is a literal; `WORD=name` names it where the name is not the word in lower case. A literal
//!   before a lower-case argument or a group of angle brackets is that argument's token.
//! * `[a]` is optional, `<label=a b>` and `[label=a b]` a block, `<label=a|b>` and `[label=a|b]` a choice.
//! * `a...` repeats; `[TOKEN a]***` repeats with its token.
//!
//! Knows nothing of commands or replies.

/// One argument of the tree.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Argument {
    pub(crate) name: String,
    pub(crate) kind: String,
    pub(crate) token: Option<String>,
    pub(crate) optional: bool,
    pub(crate) multiple: bool,
    pub(crate) multiple_token: bool,
    pub(crate) children: Vec<Argument>,
}

/// The arguments that a row's syntax stands for.
///
/// # Panics
/// If the text does not follow the grammar: rows are constants, and a test parses them all.
pub(crate) fn parse(text: &str) -> Vec<Argument> {
    let mut parser = Parser { rest: text };
    let arguments = parser.sequence();
    assert!(parser.rest.is_empty(), "unbalanced syntax: {text}");
    arguments
}

/// The arguments as people read them: `key value [NX|XX] [EX seconds]`.
pub(crate) fn render(arguments: &[Argument]) -> String {
    let items: Vec<String> = arguments.iter().map(Argument::render).collect();
    items.join(" ")
}

impl Argument {
    fn render(&self) -> String {
        let children = |separator: &str| {
            let items: Vec<String> = self.children.iter().map(Argument::render).collect();
            items.join(separator)
        };
        let value = match self.kind.as_str() {
            "pure-token" => String::new(),
            "oneof" if self.optional && self.token.is_none() => children("|"),
            "oneof" => format!("<{}>", children("|")),
            "block" => children(" "),
            _ => self.name.clone(),
        };
        let mut text = match &self.token {
            Some(token) if value.is_empty() => token.clone(),
            Some(token) => format!("{token} {value}"),
            None => value.clone(),
        };
        if self.multiple {
            let again = if self.multiple_token { &text } else { &value };
            text = format!("{text} [{again} ...]");
        }
        if self.optional { format!("[{text}]") } else { text }
    }
}

/// What tokens consist of that are not words.
const SYMBOLS: [char; 4] = ['*', '=', '~', '$'];

struct Parser<'a> {
    rest: &'a str,
}

impl<'a> Parser<'a> {
    fn eat(&mut self, prefix: &str) -> bool {
        match self.rest.strip_prefix(prefix) {
            Some(rest) => {
                self.rest = rest;
                true
            }
            None => false,
        }
    }

    fn expect(&mut self, prefix: &str) {
        assert!(self.eat(prefix), "expected {prefix} before {}", self.rest);
    }

    /// Items up to a closing bracket, a bar or the end.
    fn sequence(&mut self) -> Vec<Argument> {
        let mut items = Vec::new();
        loop {
            while self.eat(" ") {}
            if self.rest.is_empty() || self.rest.starts_with(['|', ']', '>']) {
                return items;
            }
            items.push(self.item());
        }
    }

    fn item(&mut self) -> Argument {
        let mut item = if self.eat("[") {
            let mut inner = self.group();
            self.expect("]");
            inner.optional = true;
            inner
        } else if self.eat("<") {
            let inner = self.group();
            self.expect(">");
            inner
        } else {
            self.word_item()
        };
        if self.eat("***") {
            item.multiple = true;
            item.multiple_token = true;
        } else if self.eat("...") {
            item.multiple = true;
        }
        item
    }

    /// The inside of brackets: a labelled block or choice, or one item.
    fn group(&mut self) -> Argument {
        let label = self.label();
        let mut alternatives = vec![self.sequence()];
        while self.eat("|") {
            alternatives.push(self.sequence());
        }
        let Some(label) = label else {
            let mut items = alternatives.pop().expect("there is one alternative");
            assert!(alternatives.is_empty() && items.len() == 1, "a group of several items needs a label");
            return items.pop().expect("there is one item");
        };
        let (kind, children) = if alternatives.len() == 1 {
            ("block", alternatives.pop().expect("there is one alternative"))
        } else {
            ("oneof", alternatives.into_iter().flatten().collect())
        };
        Argument { children, ..argument(label, kind) }
    }

    /// `label=`, which is in lower case; `WORD=name` is not a label.
    fn label(&mut self) -> Option<&'a str> {
        let end = self.rest.find(|c: char| !(c.is_ascii_lowercase() || c.is_ascii_digit() || c == '-'))?;
        let (label, rest) = self.rest.split_at(end);
        self.rest = rest.strip_prefix('=')?;
        Some(label)
    }

    fn word(&mut self) -> &'a str {
        // A token of one symbol may be one that ends other words.
        let first = usize::from(self.rest.starts_with(SYMBOLS));
        let end = self.rest[first..].find([' ', '|', '[', ']', '<', '>', '.', '*']);
        let end = end.map_or(self.rest.len(), |end| first + end);
        assert!(end > 0, "expected a word before {}", self.rest);
        let (word, rest) = self.rest.split_at(end);
        self.rest = rest;
        word
    }

    fn word_item(&mut self) -> Argument {
        let word = self.word();
        if !word.starts_with(|c: char| c.is_ascii_uppercase() || c == '"' || SYMBOLS.contains(&c)) {
            let (name, kind) = word.split_once(':').unwrap_or((word, default_type(word)));
            return argument(name, kind);
        }
        let value_follows = self
            .rest
            .strip_prefix(' ')
            .is_some_and(|next| next.starts_with(|c: char| c.is_ascii_lowercase() || c == '<'));
        // A token has at least one byte, which may be `=`.
        let (token, name) = match word[1..].find('=') {
            Some(end) => (&word[..=end], word[end + 2..].to_owned()),
            None => (word, word.to_ascii_lowercase()),
        };
        let inner = if value_follows {
            self.expect(" ");
            if self.eat("<") {
                let group = self.group();
                self.expect(">");
                group
            } else {
                self.word_item()
            }
        } else {
            argument(&name, "pure-token")
        };
        Argument { token: Some(token.to_owned()), ..inner }
    }
}

fn argument(name: &str, kind: &str) -> Argument {
    Argument {
        name: name.to_owned(),
        kind: kind.to_owned(),
        token: None,
        optional: false,
        multiple: false,
        multiple_token: false,
        children: Vec::new(),
    }
}

/// The type of an argument that is written without one.
fn default_type(name: &str) -> &'static str {
    match name {
        "key" => "key",
        "pattern" => "pattern",
        "count" | "seconds" | "milliseconds" | "index" | "start" | "end" | "offset" | "cursor"
        | "increment" | "decrement" | "db" | "timeout" => "integer",
        _ if name.starts_with("unix-time") => "unix-time",
        _ => "string",
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The tree in a form that is quick to compare.
    fn show(text: &str) -> String {
        let items: Vec<_> = parse(text).iter().map(show_one).collect();
        items.join(" ")
    }

    fn show_one(argument: &Argument) -> String {
        let mut text = String::new();
        if let Some(token) = &argument.token {
            text.push_str(&format!("{token}/"));
        }
        text.push_str(&format!("{}:{}", argument.name, argument.kind));
        if !argument.children.is_empty() {
            let children: Vec<_> = argument.children.iter().map(show_one).collect();
            text.push_str(&format!("({})", children.join(" ")));
        }
        for (flag, mark) in
            [(argument.optional, "?"), (argument.multiple, "+"), (argument.multiple_token, "t")]
        {
            text.push_str(if flag { mark } else { "" });
        }
        text
    }

    #[test]
    fn words_have_types() {
        assert_eq!(show("key value"), "key:key value:string");
        assert_eq!(show("key newkey:key seconds"), "key:key newkey:key seconds:integer");
        assert_eq!(show("key...  unix-time-seconds"), "key:key+ unix-time-seconds:unix-time");
    }

    #[test]
    fn literals_are_tokens() {
        assert_eq!(show("[GET]"), "GET/get:pure-token?");
        assert_eq!(show("[MATCH pattern] [COUNT count]"), "MATCH/pattern:pattern? COUNT/count:integer?");
        assert_eq!(show("[ALPHA=sorting]"), "ALPHA/sorting:pure-token?");
        assert_eq!(show("[GET get-pattern:pattern]***"), "GET/get-pattern:pattern?+t");
    }

    #[test]
    fn people_read_the_usual_notation() {
        let read = |text| render(&parse(text));
        assert_eq!(read("key value [condition=NX|XX] [GET]"), "key value [NX|XX] [GET]");
        assert_eq!(read("<data=key value>..."), "key value [key value ...]");
        assert_eq!(read("[ID client-id:integer]..."), "[ID client-id [client-id ...]]");
        assert_eq!(
            read("key [LIMIT <limit=offset count>] <mode=YES|NO>"),
            "key [LIMIT offset count] <YES|NO>"
        );
    }

    #[test]
    fn groups_nest() {
        assert_eq!(
            show("[condition=NX|XX] <data=key value>..."),
            "condition:oneof(NX/nx:pure-token XX/xx:pure-token)? data:block(key:key value:string)+"
        );
        assert_eq!(
            show("[LIMIT <limit=offset count>] [x=EX seconds|KEEPTTL]"),
            "LIMIT/limit:block(offset:integer count:integer)? x:oneof(EX/seconds:integer KEEPTTL/keepttl:pure-token)?"
        );
    }
}
