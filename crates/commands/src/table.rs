//! All commands, indexed: from a name in any case to its row in about ten nanoseconds, without allocating.

use crate::row::{Begin, Row};

/// The rows of every family.
static FAMILIES: &[&[Row]] = &[
    crate::bitmap::ROWS,
    crate::commandlog::ROWS,
    crate::connection::ROWS,
    crate::connection::client::ROWS,
    crate::generic::ROWS,
    crate::geo::ROWS,
    crate::hash::ROWS,
    crate::hyperloglog::ROWS,
    crate::monitor::ROWS,
    crate::persistence::commands::ROWS,
    crate::pubsub::ROWS,
    crate::scripting::ROWS,
    crate::server::ROWS,
    crate::server::configuration::ROWS,
    crate::server::debug::ROWS,
    crate::server::info::ROWS,
    crate::server::introspection::ROWS,
    crate::server::lolwut::ROWS,
    crate::server::memory::ROWS,
    crate::list::ROWS,
    crate::sorted_set::ROWS,
    crate::set::ROWS,
    crate::stream::ROWS,
    crate::string::ROWS,
    crate::transaction::ROWS,
];

/// Index of a command or subcommand in the [`Table`].
pub(crate) type CommandId = usize;

/// A command or subcommand with what is precomputed about it.
pub(crate) struct Command {
    /// Its row.
    pub(crate) row: &'static Row,
    /// `get`, `config|set`.
    pub(crate) name: String,
    /// The container, if it is a subcommand.
    pub(crate) parent: Option<CommandId>,
    /// Where the first key is, if its place does not depend on other arguments; 0 if there is none.
    pub(crate) first_key: usize,
    /// Its subcommands, by name.
    children: Index,
}

/// What a look-up yields.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) enum Found {
    /// A command that can be executed.
    Command(CommandId),
    /// A container, and no or no known subcommand.
    Container(CommandId),
    /// Nothing.
    Unknown,
}

/// All commands and subcommands.
pub(crate) struct Table {
    commands: Vec<Command>,
    top: Index,
}

impl Table {
    /// Indexes the rows of all families.
    pub(crate) fn new() -> Self {
        let mut table = Table { commands: Vec::new(), top: Index::default() };
        let mut top = Vec::new();
        for row in FAMILIES.iter().copied().flatten() {
            top.push((row.name, table.add(row, None)));
        }
        table.top = Index::new(&top);
        table
    }

    fn add(&mut self, row: &'static Row, parent: Option<CommandId>) -> CommandId {
        let id = self.commands.len();
        let name = match parent {
            Some(parent) => format!("{}|{}", self.commands[parent].name, row.name),
            None => row.name.to_owned(),
        };
        let first_key = match row.keys.first().map(|spec| (spec.begin, spec.find)) {
            Some((Begin::Index(index), crate::row::Find::Range { .. })) => index,
            Some((Begin::Index(index), crate::row::Find::Count { first, .. })) => index + first,
            _ => 0,
        };
        self.commands.push(Command { row, name, parent, first_key, children: Index::default() });
        let children: Vec<_> =
            row.subcommands.iter().map(|child| (child.name, self.add(child, Some(id)))).collect();
        self.commands[id].children = Index::new(&children);
        id
    }

    /// Gives a command another name, or takes it away if the name is empty, as `rename-command` does.
    pub(crate) fn rename(&mut self, from: &[u8], to: &[u8]) -> Result<(), &'static str> {
        let id = self.top.find(from).ok_or("No such command in rename-command")?;
        if !to.is_empty() && self.top.find(to).is_some() {
            return Err("Target command name already exists");
        }
        let to = String::from_utf8_lossy(to);
        let mut names = std::mem::take(&mut self.top).names;
        match names.iter_mut().find(|(_, other)| *other == id) {
            Some((name, _)) if !to.is_empty() => *name = to.clone().into(),
            _ => names.retain(|(_, other)| *other != id),
        }
        self.top = Index::of(names);
        for child in self.children(id).collect::<Vec<_>>() {
            self.commands[child].name = format!("{to}|{}", self.commands[child].row.name);
        }
        self.commands[id].name = to.into_owned();
        Ok(())
    }

    /// The command that `name`, and for containers `sub`, stand for.
    #[inline]
    pub(crate) fn find(&self, name: &[u8], sub: Option<&[u8]>) -> Found {
        let Some(id) = self.top.find(name) else { return Found::Unknown };
        let command = &self.commands[id];
        if command.row.subcommands.is_empty() {
            return Found::Command(id);
        }
        match sub {
            Some(sub) => command.children.find(sub).map_or(Found::Container(id), Found::Command),
            // A container whose arity admits one word, such as COMMAND, is a command of its own.
            None if command.row.accepts(1) => Found::Command(id),
            None => Found::Container(id),
        }
    }

    /// The command or subcommand called `full` (`config|get`) in any case.
    pub(crate) fn find_full(&self, full: &[u8]) -> Option<CommandId> {
        match memchr::memchr(b'|', full) {
            Some(bar) => self.commands[self.top.find(&full[..bar])?].children.find(&full[bar + 1..]),
            None => self.top.find(full),
        }
    }

    /// The command with index `id`.
    #[inline]
    pub(crate) fn command(&self, id: CommandId) -> &Command {
        &self.commands[id]
    }

    /// The full name of a command: `get`, `config|set`.
    pub(crate) fn name(&self, id: CommandId) -> &str {
        &self.commands[id].name
    }

    /// Number of commands and subcommands.
    pub(crate) fn len(&self) -> usize {
        self.commands.len()
    }

    /// Commands without their subcommands, in the order of their families.
    pub(crate) fn top(&self) -> impl Iterator<Item = CommandId> + '_ {
        (0..self.commands.len())
            .filter(|id| self.commands[*id].parent.is_none() && !self.commands[*id].name.is_empty())
    }

    /// The subcommands of a container.
    pub(crate) fn children(&self, id: CommandId) -> impl Iterator<Item = CommandId> + '_ {
        (0..self.commands.len()).filter(move |child| self.commands[*child].parent == Some(id))
    }
}

/// Names by hash: open addressing, at most a quarter full, so that a hit nearly always is the first probe.
#[derive(Default)]
struct Index {
    /// Positions in `names` plus one; zero is free.
    slots: Vec<u16>,
    names: Vec<(Box<str>, CommandId)>,
    shift: u32,
}

impl Index {
    fn new(names: &[(&'static str, CommandId)]) -> Self {
        Index::of(names.iter().map(|(name, id)| (Box::from(*name), *id)).collect())
    }

    fn of(names: Vec<(Box<str>, CommandId)>) -> Self {
        if names.is_empty() {
            return Index::default();
        }
        let bits = (names.len() * 4).next_power_of_two().trailing_zeros();
        let mut index = Index { slots: vec![0; 1 << bits], names, shift: u64::BITS - bits };
        for i in 0..index.names.len() {
            let mut slot = index.slot(index.names[i].0.as_bytes());
            while index.slots[slot] != 0 {
                slot = (slot + 1) % index.slots.len();
            }
            index.slots[slot] = u16::try_from(i + 1).expect("there are fewer than 65,535 commands");
        }
        index
    }

    #[inline]
    fn slot(&self, name: &[u8]) -> usize {
        (fold(name) >> self.shift) as usize
    }

    #[inline]
    fn find(&self, name: &[u8]) -> Option<CommandId> {
        if self.slots.is_empty() {
            return None;
        }
        let mut slot = self.slot(name);
        loop {
            let i = self.slots[slot];
            if i == 0 {
                return None;
            }
            let (candidate, id) = &self.names[usize::from(i) - 1];
            if candidate.as_bytes().eq_ignore_ascii_case(name) {
                return Some(*id);
            }
            slot = (slot + 1) & (self.slots.len() - 1);
        }
    }
}

/// A hash of the first and last bytes and the length that is the same for either case.
#[inline]
fn fold(name: &[u8]) -> u64 {
    const UPPER: u64 = 0x2020_2020_2020_2020;
    let (head, tail) = match name {
        [.., _, _, _, _, _, _, _, _] => {
            let head = name.first_chunk().expect("there are eight bytes");
            let tail = name.last_chunk().expect("there are eight bytes");
            (u64::from_le_bytes(*head), u64::from_le_bytes(*tail))
        }
        [.., _, _, _, _] => {
            let head = name.first_chunk().expect("there are four bytes");
            let tail = name.last_chunk().expect("there are four bytes");
            (u64::from(u32::from_le_bytes(*head)), u64::from(u32::from_le_bytes(*tail)))
        }
        [first, .., last] => (u64::from(*first) | u64::from(name[name.len() / 2]) << 8, u64::from(*last)),
        [only] => (u64::from(*only), 0),
        [] => (0, 0),
    };
    let mixed = (head | UPPER).wrapping_mul(0x9e37_79b9_7f4a_7c15)
        ^ (tail | UPPER).wrapping_add(name.len() as u64).wrapping_mul(0xc2b2_ae3d_27d4_eb4f).rotate_left(29);
    mixed.wrapping_mul(0x9e37_79b9_7f4a_7c15)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_are_found_in_any_case() {
        let table = Table::new();
        for id in table.top() {
            let name = table.command(id).row.name;
            assert_eq!(table.find_full(name.as_bytes()), Some(id));
            assert_eq!(table.find_full(name.to_uppercase().as_bytes()), Some(id));
            assert_eq!(table.find_full(format!("{name}~").as_bytes()), None);
            for child in table.children(id) {
                let (name, sub) = (name.to_uppercase(), table.command(child).row.name);
                assert_eq!(table.find(name.as_bytes(), Some(sub.as_bytes())), Found::Command(child));
            }
        }
        assert_eq!(table.find(b"", None), Found::Unknown);
    }

    #[test]
    fn commands_are_renamed_and_removed() {
        let mut table = Table::new();
        let count = table.top().count();
        assert_eq!(table.rename(b"nosuch", b"x"), Err("No such command in rename-command"));
        assert_eq!(table.rename(b"config", b"GET"), Err("Target command name already exists"));
        assert_eq!(table.rename(b"CONFIG", b"Secret"), Ok(()));
        assert_eq!(table.find(b"config", Some(b"get")), Found::Unknown);
        let Found::Command(id) = table.find(b"SECRET", Some(b"get")) else { panic!("it has a new name") };
        assert_eq!(table.name(id), "Secret|get");
        assert_eq!(table.rename(b"flushall", b""), Ok(()));
        assert_eq!(table.find(b"flushall", None), Found::Unknown);
        assert_eq!(table.top().count(), count - 1);
    }

    #[test]
    fn few_names_share_a_slot() {
        let table = Table::new();
        let slots = table.top.names.iter().map(|(name, _)| table.top.slot(name.as_bytes()));
        let distinct = slots.collect::<std::collections::HashSet<_>>().len();
        assert!(distinct * 10 >= table.top.names.len() * 8, "{distinct} of {}", table.top.names.len());
    }
}
