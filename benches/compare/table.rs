//! Markdown tables and the few statistics that fill them.

use std::time::Duration;

use hdrhistogram::Histogram;

/// A table whose columns are printed equally wide.
pub(crate) struct Table {
    rows: Vec<Vec<String>>,
}

impl Table {
    /// A table with a row of headings.
    pub(crate) fn new<S: Into<String>>(headings: impl IntoIterator<Item = S>) -> Self {
        Table { rows: vec![headings.into_iter().map(Into::into).collect()] }
    }

    /// Adds a row.
    pub(crate) fn row(&mut self, cells: Vec<String>) {
        self.rows.push(cells);
    }

    /// Prints a heading and the table.
    pub(crate) fn print(&self, title: &str) {
        let columns = self.rows.iter().map(Vec::len).max().unwrap_or(0);
        let width =
            |column| self.rows.iter().filter_map(|row| row.get(column)).map(String::len).max().unwrap_or(0);
        let widths: Vec<usize> = (0..columns).map(width).collect();
        println!("\n### {title}\n");
        for (number, row) in self.rows.iter().enumerate() {
            let cells: Vec<String> =
                row.iter().zip(&widths).map(|(cell, width)| format!(" {cell:<width$} ")).collect();
            println!("|{}|", cells.join("|"));
            if number == 0 {
                let rules: Vec<String> = widths.iter().map(|width| "-".repeat(width + 2)).collect();
                println!("|{}|", rules.join("|"));
            }
        }
    }
}

/// The middle value; of an even number of values the mean of the two in the middle.
pub(crate) fn median(values: impl IntoIterator<Item = f64>) -> f64 {
    let mut values: Vec<f64> = values.into_iter().collect();
    values.sort_by(f64::total_cmp);
    let middle = values.len() / 2;
    match values.len() {
        0 => f64::NAN,
        n if n % 2 == 1 => values[middle],
        _ => (values[middle - 1] + values[middle]) / 2.0,
    }
}

/// `met` or `missed`, with the bar.
pub(crate) fn verdict(value: f64, bar: f64) -> String {
    format!("<= {bar}: {}", if value <= bar { "met" } else { "missed" })
}

/// Latencies, kept in nanoseconds with three digits.
pub(crate) struct Latencies(Histogram<u64>);

impl Latencies {
    /// Nothing recorded yet.
    pub(crate) fn new() -> Self {
        Latencies(Histogram::new(3).expect("three digits are allowed"))
    }

    /// Counts a latency for a number of requests.
    pub(crate) fn record(&mut self, latency: Duration, requests: u64) {
        let nanos = u64::try_from(latency.as_nanos()).expect("nobody waits for centuries");
        self.0.record_n(nanos, requests).expect("the histogram grows as needed");
    }

    /// The latency that the given share of requests does not exceed, in milliseconds.
    pub(crate) fn quantile_ms(&self, share: f64) -> f64 {
        self.0.value_at_quantile(share) as f64 / 1e6
    }
}

/// Milliseconds with as many digits as matter.
pub(crate) fn ms(value: f64) -> String {
    if value < 10.0 { format!("{value:.2} ms") } else { format!("{value:.0} ms") }
}

/// Bytes in MB of 10^6.
pub(crate) fn mb(bytes: u64) -> String {
    format!("{:.1} MB", bytes as f64 / 1e6)
}
