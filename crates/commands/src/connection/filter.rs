//! The filters of CLIENT LIST and CLIENT KILL: any combination of conditions, each of which may be negated with a
//! `NOT-` before its name.

use carnelian_resp::number;

use super::DEFAULT_USER;
use crate::args::{Rest, is, text};
use crate::client::{Client, ClientFlags};
use crate::context::Ctx;
use crate::error::Error;
use crate::links::{Address, LinkInfo};

/// Letters that CLIENT LIST may show as flags.
const FLAGS: &[u8] = b"AbBcdeEiIMNOPrRSTtuUx";

/// Which clients a command is about.
pub(super) struct Filter {
    /// Each condition, and whether it must not hold.
    conditions: Vec<(Condition, bool)>,
    /// Whether the client that asks is left out.
    pub(super) skips_own: bool,
    /// Exactly these clients, in this order, some maybe several times.
    pub(super) listed: Option<Vec<i64>>,
}

/// The types of clients.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Kind {
    Normal,
    Subscriber,
    /// Masters and replicas; there are none yet.
    Replicating,
}

impl Kind {
    fn of(client: &Client) -> Kind {
        if client.subscriptions.is_some() { Kind::Subscriber } else { Kind::Normal }
    }
}

enum Condition {
    Id(Vec<i64>),
    Kind(Kind),
    /// The user exists; there is only one.
    User,
    Addr(Vec<u8>),
    Laddr(Vec<u8>),
    Ip(Vec<u8>),
    MinAge(i64),
    MinIdle(i64),
    Name(Vec<u8>),
    LibName(Vec<u8>),
    LibVersion(Vec<u8>),
    Flags(Vec<u8>),
    Db(usize),
    Capabilities(Vec<u8>),
}

impl Filter {
    /// The client at one address.
    pub(super) fn of_address(address: &[u8]) -> Filter {
        Filter { conditions: vec![(Condition::Addr(address.to_vec()), false)], ..Filter::all(false) }
    }

    fn all(skips_own: bool) -> Filter {
        Filter { conditions: Vec::new(), skips_own, listed: None }
    }

    /// Adds a condition. Of several ones of a kind the last one counts; but numbers of clients add up, unless it is
    /// said `as_redis` does.
    fn add(&mut self, mut condition: Condition, negated: bool, as_redis: bool) -> Result<(), Error> {
        let kind = std::mem::discriminant(&condition);
        let before = self
            .conditions
            .iter()
            .position(|(other, not)| std::mem::discriminant(other) == kind && *not == negated);
        let before = before.map(|index| self.conditions.swap_remove(index).0);
        if let Condition::Id(ids) = &mut condition {
            match before {
                Some(Condition::Id(before)) if !as_redis => ids.extend(before),
                _ => {}
            }
            if ids.is_empty() {
                return Err(Error::Syntax);
            }
        }
        self.conditions.push((condition, negated));
        Ok(())
    }

    /// Whether all conditions hold.
    pub(super) fn passes(&self, client: &Client, link: &LinkInfo, now_ms: u64) -> bool {
        self.conditions.iter().all(|(condition, negated)| condition.holds(client, link, now_ms) != *negated)
    }
}

impl Condition {
    fn holds(&self, client: &Client, link: &LinkInfo, now_ms: u64) -> bool {
        let same = |value: &Option<Box<[u8]>>, wanted: &[u8]| value.as_deref() == Some(wanted);
        match self {
            Condition::Id(ids) => ids.contains(&(client.id.serial as i64)),
            Condition::Kind(kind) => *kind == Kind::of(client),
            Condition::User => true,
            Condition::Addr(address) => link.peer.to_string().as_bytes() == address,
            Condition::Laddr(address) => link.local.to_string().as_bytes() == address,
            Condition::Ip(ip) => match &link.peer {
                Address::Tcp(address) => address.ip().to_string().as_bytes() == ip,
                Address::Unix(path) => path.as_os_str().as_encoded_bytes() == ip,
            },
            Condition::MinAge(seconds) => client.age_seconds(now_ms) as i64 >= *seconds,
            Condition::MinIdle(seconds) => client.idle_seconds(now_ms) as i64 >= *seconds,
            Condition::Name(name) => same(&client.name, name),
            Condition::LibName(name) => same(&client.lib_name, name),
            Condition::LibVersion(version) => same(&client.lib_version, version),
            Condition::Flags(wanted) => {
                let letters = client.flag_letters();
                // A client that monitors is a kind of replica.
                let has = |letter| letters.as_bytes().contains(if letter == &b'S' { &b'O' } else { letter });
                wanted.iter().all(has)
            }
            Condition::Db(db) => client.db == *db,
            Condition::Capabilities(wanted) => {
                wanted.is_empty() || client.flags.contains(ClientFlags::CAPA_REDIRECT)
            }
        }
    }
}

/// The filter of a CLIENT LIST command. What only Valkey accepts is read as Valkey reads it.
pub(super) fn parse_list(cx: &Ctx<'_>) -> Result<Filter, Error> {
    let words = cx.argv.skip(2);
    let by_ids = words.get(0).is_some_and(|word| is(word, "ID")) && words.len() > 1;
    if by_ids && let Some(ids) = words.skip(1).iter().map(number::parse_i64).collect() {
        return Ok(Filter { listed: Some(ids), ..Filter::all(false) });
    }
    parse(cx, Filter::all(false), Form::List)
        .map_err(|error| if by_ids { Error::ClientIdInvalid } else { error })
}

/// The filter of a CLIENT KILL command in the form with options.
pub(super) fn parse_kill(cx: &Ctx<'_>) -> Result<Filter, Error> {
    let words = cx.argv.skip(2);
    let known = |word| KILL_OPTIONS.iter().any(|name| is(word, name));
    let as_redis = words.len().is_multiple_of(2) && words.iter().step_by(2).all(known);
    parse(cx, Filter::all(true), Form::Kill { as_redis })
}

/// The options of CLIENT KILL in Redis, where each takes one word, and the last of its kind counts.
const KILL_OPTIONS: [&str; 7] = ["ID", "TYPE", "USER", "ADDR", "LADDR", "SKIPME", "MAXAGE"];

/// Whose conditions are parsed.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Form {
    List,
    Kill { as_redis: bool },
}

fn parse(cx: &Ctx<'_>, mut filter: Filter, form: Form) -> Result<Filter, Error> {
    let as_redis = form == Form::Kill { as_redis: true };
    let mut rest = Rest::new(cx.argv, 2);
    while let Some(option) = rest.next() {
        if is(option, "SKIPME") {
            filter.skips_own = match rest.value()? {
                word if is(word, "yes") => true,
                word if is(word, "no") => false,
                _ => return Err(Error::Syntax),
            };
            continue;
        }
        let (negated, name) = match option.split_at_checked(4) {
            Some((prefix, name)) if is(prefix, "NOT-") => (true, name),
            _ => (false, option),
        };
        let parser = Parser { cx, form, negated };
        let condition = parser.condition(name, &mut rest)?.ok_or(Error::Syntax)?;
        filter.add(condition, negated, as_redis)?;
    }
    Ok(filter)
}

struct Parser<'p, 'a> {
    cx: &'p Ctx<'a>,
    form: Form,
    negated: bool,
}

impl Parser<'_, '_> {
    /// The condition called `name`, if there is one.
    fn condition(&self, name: &[u8], rest: &mut Rest<'_>) -> Result<Option<Condition>, Error> {
        let name = name.to_ascii_lowercase();
        let condition = match name.as_slice() {
            b"id" => Condition::Id(self.ids(rest)?),
            b"maxage" if !self.negated => Condition::MinAge(positive(rest.value()?, "maxage")?),
            b"idle" if !self.negated => Condition::MinIdle(positive(rest.value()?, "idle")?),
            b"type" => Condition::Kind(kind(rest.value()?)?),
            b"user" => user(rest.value()?)?,
            b"addr" => Condition::Addr(rest.value()?.to_vec()),
            b"laddr" => Condition::Laddr(rest.value()?.to_vec()),
            b"ip" => Condition::Ip(rest.value()?.to_vec()),
            b"name" => Condition::Name(rest.value()?.to_vec()),
            b"lib-name" => Condition::LibName(rest.value()?.to_vec()),
            b"lib-ver" => Condition::LibVersion(rest.value()?.to_vec()),
            b"flags" => Condition::Flags(self.letters(rest.value()?, FLAGS, "flags")?),
            b"capa" => Condition::Capabilities(self.letters(rest.value()?, b"r", "capa")?),
            b"db" => Condition::Db(self.db(rest.value()?)?),
            _ => return Ok(None),
        };
        Ok(Some(condition))
    }

    /// One number as Redis takes it, or all that follow.
    fn ids(&self, rest: &mut Rest<'_>) -> Result<Vec<i64>, Error> {
        if self.form == (Form::Kill { as_redis: true }) {
            return Ok(vec![redis_id(rest.value()?)?]);
        }
        if !self.negated
            && self.form != Form::List
            && let Some(first) = rest.peek()
        {
            redis_id(first)?;
        }
        ids(rest)
    }

    /// A set of letters out of `known`.
    fn letters(&self, value: &[u8], known: &[u8], what: &str) -> Result<Vec<u8>, Error> {
        if value.iter().all(|letter| known.contains(letter)) {
            return Ok(value.to_vec());
        }
        let place = if self.negated { format!("NOT-{}", what.to_uppercase()) } else { "provided".to_owned() };
        Err(Error::other(format!("ERR Unknown {what} found in the {place} filter: {}", text(value))))
    }

    fn db(&self, value: &[u8]) -> Result<usize, Error> {
        let name = if self.negated { "NOT-DB" } else { "DB" };
        let number = number::parse_i64(value).filter(|db| i32::try_from(*db).is_ok());
        let number =
            number.ok_or_else(|| Error::other(format!("ERR {name} is not an integer or out of range")))?;
        let databases = self.cx.keyspace.databases();
        match usize::try_from(number) {
            Ok(db) if db < databases => Ok(db),
            _ => Err(Error::other(format!("ERR {name} number should be between 0 and {}", databases - 1))),
        }
    }
}

/// The number of a client as Redis takes it.
fn redis_id(value: &[u8]) -> Result<i64, Error> {
    number::parse_i64(value).filter(|id| *id > 0).ok_or(Error::ClientIdNotPositive)
}

/// The numbers that follow.
fn ids(rest: &mut Rest<'_>) -> Result<Vec<i64>, Error> {
    let mut ids = Vec::new();
    while let Some(id) = rest.peek().and_then(number::parse_i64) {
        if id < 1 {
            return Err(Error::ClientIdNotPositive);
        }
        ids.push(id);
        rest.next();
    }
    Ok(ids)
}

fn positive(value: &[u8], what: &str) -> Result<i64, Error> {
    match number::parse_i64(value) {
        Some(seconds) if seconds > 0 => Ok(seconds),
        Some(_) => Err(Error::other(format!("ERR {what} should be greater than 0"))),
        None => Err(Error::other(format!("ERR {what} is not an integer or out of range"))),
    }
}

/// The type of clients with a name.
fn kind(value: &[u8]) -> Result<Kind, Error> {
    match value {
        word if is(word, "normal") => Ok(Kind::Normal),
        word if is(word, "pubsub") => Ok(Kind::Subscriber),
        word if ["master", "primary", "slave", "replica"].iter().any(|kind| is(word, kind)) => {
            Ok(Kind::Replicating)
        }
        _ => Err(Error::quoting(b"ERR Unknown client type '", value, b"'")),
    }
}

fn user(name: &[u8]) -> Result<Condition, Error> {
    match name == DEFAULT_USER {
        true => Ok(Condition::User),
        false => Err(Error::quoting(b"ERR No such user '", name, b"'")),
    }
}
