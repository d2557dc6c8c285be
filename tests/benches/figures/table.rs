//! Markdown tables whose columns are level in plain text, too.

/// A table that is printed when it is complete.
pub(crate) struct Table {
    rows: Vec<Vec<String>>,
}

impl Table {
    pub(crate) fn new(head: &[&str]) -> Self {
        Self { rows: vec![head.iter().map(ToString::to_string).collect()] }
    }

    pub(crate) fn row(&mut self, cells: Vec<String>) {
        assert_eq!(cells.len(), self.rows[0].len(), "each row has all columns");
        self.rows.push(cells);
    }

    /// The first column is words and stands left, the others are figures and stand right.
    pub(crate) fn print(&self) {
        let columns = 0..self.rows[0].len();
        let width = |at: usize| self.rows.iter().map(|row| row[at].chars().count()).max().unwrap_or_default();
        let widths: Vec<usize> = columns.map(width).collect();
        println!();
        for (number, row) in self.rows.iter().enumerate() {
            let cells = row.iter().zip(&widths).enumerate().map(|(at, (cell, width))| match at {
                0 => format!("| {cell:<width$} "),
                _ => format!("| {cell:>width$} "),
            });
            println!("{}|", cells.collect::<String>());
            if number == 0 {
                let rule = widths.iter().enumerate().map(|(at, width)| match at {
                    0 => format!("|:{}-", "-".repeat(*width)),
                    _ => format!("|-{}:", "-".repeat(*width)),
                });
                println!("{}|", rule.collect::<String>());
            }
        }
    }
}

/// Whether a goal is met.
pub(crate) fn verdict(met: bool) -> String {
    if met { "met" } else { "missed" }.into()
}

/// A span in ms.
pub(crate) fn ms(us: u64) -> String {
    format!("{:.1}", us as f64 / 1000.0)
}

/// A bit error rate, short.
pub(crate) fn rate(bit_error: f64) -> String {
    if bit_error == 0.0 { "0".into() } else { format!("{bit_error:.0e}") }
}

/// The value that a share `p` of all are not above. `values` are sorted by it.
pub(crate) fn percentile(values: &mut [u64], p: f64) -> u64 {
    values.sort_unstable();
    let rank = (values.len() as f64 * p).ceil() as usize;
    values[rank.saturating_sub(1).min(values.len() - 1)]
}
