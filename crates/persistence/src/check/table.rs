//! Plain tables: columns as wide as they need to be, numbers to the right.

use std::fmt::Write;

/// A column's title, and whether it holds numbers.
pub(super) struct Column(pub(super) &'static str, pub(super) Side);

/// Where a column's texts stand.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(super) enum Side {
    Left,
    Right,
}

/// Appends a table: a line of titles and a line for each row.
pub(super) fn write<const N: usize>(out: &mut String, columns: &[Column; N], rows: &[[String; N]]) {
    let width = |i: usize| {
        let widest = rows.iter().map(|row| row[i].chars().count()).max().unwrap_or(0);
        widest.max(columns[i].0.len())
    };
    let widths: [usize; N] = std::array::from_fn(width);
    line(out, columns, &widths, &columns.each_ref().map(|column| column.0));
    for row in rows {
        line(out, columns, &widths, &row.each_ref().map(String::as_str));
    }
}

fn line<const N: usize>(out: &mut String, columns: &[Column; N], widths: &[usize; N], texts: &[&str; N]) {
    let start = out.len();
    for ((text, width), Column(_, side)) in texts.iter().zip(widths).zip(columns) {
        let gap = if out.len() == start { "" } else { "  " };
        // Writing to a string cannot fail.
        let written = match side {
            Side::Left => write!(out, "{gap}{text:<width$}"),
            Side::Right => write!(out, "{gap}{text:>width$}"),
        };
        written.expect("a string takes any text");
    }
    out.truncate(out.trim_end().len().max(start));
    out.push('\n');
}

#[cfg(test)]
mod tests {
    use super::{Column, Side, write};

    #[test]
    fn columns_are_aligned() {
        let columns = [Column("name", Side::Left), Column("keys", Side::Right), Column("", Side::Left)];
        let rows = [["a", "1", "x"], ["longer", "12345", ""]].map(|row| row.map(str::to_owned));
        let mut out = String::new();
        write(&mut out, &columns, &rows);
        assert_eq!(out, "name     keys\na           1  x\nlonger  12345\n");
    }
}
