//! The HELP subcommand of every container, derived from the rows of its subcommands.

use crate::context::Ctx;
use crate::error::Error;
use crate::syntax;

/// Lists the subcommands of the container that the running command belongs to.
pub(crate) fn help(cx: &mut Ctx<'_>) -> Result<(), Error> {
    let table = &cx.state.table;
    let container = table.command(cx.command).parent.expect("HELP is a subcommand");
    let mut lines = Vec::new();
    for id in table.children(container).filter(|id| *id != cx.command) {
        let row = table.command(id).row;
        let arguments = syntax::render(&syntax::parse(row.syntax));
        lines.push(format!("{} {arguments}", row.name.to_uppercase()).trim_end().to_owned());
        lines.push(format!("    {}", row.summary));
    }
    let name = table.command(container).row.name.to_uppercase();
    reply(cx, &name, lines.iter().map(String::as_str));
    Ok(())
}

/// Replies a help text about the subcommands of `container`.
pub(crate) fn reply<'t>(cx: &mut Ctx<'_>, container: &str, lines: impl ExactSizeIterator<Item = &'t str>) {
    cx.out.array(lines.len() + 3);
    cx.out.simple(&format!("{container} <subcommand> [<arg> [value] [opt] ...]. Subcommands are:"));
    lines.for_each(|line| cx.out.simple(line));
    cx.out.simple("HELP");
    cx.out.simple("    Print this help.");
}
