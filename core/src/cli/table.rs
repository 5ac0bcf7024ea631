//! A table for a terminal: aligned columns without borders. Columns that say nothing are left out, and so are the
//! last ones where the terminal is too narrow.

use comfy_table::{Attribute, Cell, Color, Table as Aligned, presets};

/// Blanks between two columns.
const GAP: u16 = 2;

pub(super) struct Table<'a> {
    header: Vec<&'a str>,
    rows: Vec<Vec<String>>,
}

impl<'a> Table<'a> {
    pub(super) fn new(header: &[&'a str]) -> Self {
        Table { header: header.to_vec(), rows: Vec::new() }
    }

    /// Adds a row with as many texts as the header has.
    pub(super) fn row(&mut self, texts: impl IntoIterator<Item = String>) {
        self.rows.push(texts.into_iter().collect());
    }

    /// The lines of the table, at most `width` columns wide if one column fits at all.
    pub(super) fn lines(mut self, width: Option<u16>, colour: bool) -> Vec<String> {
        self.keep(|table, column| {
            column == 0 || table.rows.is_empty() || table.rows.iter().any(|row| !row[column].is_empty())
        });
        let mut aligned = self.aligned(colour);
        if let Some(width) = width {
            let mut used = 0;
            let widths = aligned.column_max_content_widths();
            let fits: Vec<_> = widths
                .iter()
                .map(|column| {
                    let end: u16 = column.saturating_add(used);
                    used = end.saturating_add(GAP);
                    end <= width
                })
                .collect();
            self.keep(|_, column| column == 0 || fits[column]);
            aligned = self.aligned(colour);
        }
        aligned.lines().map(|line| line.trim_end().to_owned()).collect()
    }

    fn keep(&mut self, wanted: impl Fn(&Self, usize) -> bool) {
        let kept: Vec<usize> = (0..self.header.len()).filter(|column| wanted(self, *column)).collect();
        self.header = kept.iter().map(|column| self.header[*column]).collect();
        for row in &mut self.rows {
            *row = kept.iter().map(|column| std::mem::take(&mut row[*column])).collect();
        }
    }

    fn aligned(&self, colour: bool) -> Aligned {
        let mut table = Aligned::new();
        table.load_style(presets::NOTHING);
        if colour {
            table.enforce_styling();
        } else {
            table.force_no_tty();
        }
        table.set_header(self.header.iter().map(|text| Cell::new(text).add_attribute(Attribute::Bold)));
        for row in &self.rows {
            table.add_row(row.iter().zip(&self.header).map(|(text, header)| match *header {
                "STATUS" => Cell::new(text).fg(colour_of(text)),
                _ => Cell::new(text),
            }));
        }
        for column in table.column_iter_mut() {
            column.set_padding((0, GAP));
        }
        table
    }
}

fn colour_of(status: &str) -> Color {
    match status {
        "passing" => Color::Green,
        "warning" => Color::Yellow,
        "critical" => Color::Red,
        _ => Color::Cyan,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn table() -> Table<'static> {
        let mut table = Table::new(&["INSTANCE", "STATUS", "ZONE", "TAGS"]);
        table.row(["a:1", "passing", "", "blue,green"].map(String::from));
        table.row(["a-long-one:1", "critical", "", ""].map(String::from));
        table
    }

    #[test]
    fn columns_are_aligned_and_empty_ones_left_out() {
        assert_eq!(
            table().lines(None, false),
            ["INSTANCE      STATUS    TAGS", "a:1           passing   blue,green", "a-long-one:1  critical",]
        );
    }

    #[test]
    fn a_narrow_terminal_loses_the_last_columns() {
        assert_eq!(table().lines(Some(34), false)[0], "INSTANCE      STATUS    TAGS");
        assert_eq!(table().lines(Some(33), false)[0], "INSTANCE      STATUS");
        assert_eq!(table().lines(Some(3), false)[2], "a-long-one:1");
    }

    #[test]
    fn a_status_has_its_colour() {
        let lines = table().lines(None, true).join("\n");
        assert!(
            lines.contains("\x1b[38;5;10mpassing") && lines.contains("\x1b[38;5;9mcritical"),
            "{lines:?}"
        );
    }
}
