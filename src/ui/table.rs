//! Tables without lines, such as kubectl's.

use comfy_table::{ContentArrangement, presets};

/// A table with a head.
pub struct Table {
    inner: comfy_table::Table,
}

impl Table {
    /// A table with these column titles, as wide as its content needs.
    #[must_use]
    pub fn new(head: &[&str]) -> Self {
        let mut inner = comfy_table::Table::new();
        inner.load_style(presets::NOTHING).set_content_arrangement(ContentArrangement::Disabled);
        inner.set_header(head.iter().map(|title| title.to_uppercase()));
        Self { inner }
    }

    /// Adds a row.
    pub fn row(&mut self, cells: impl IntoIterator<Item = String>) {
        self.inner.add_row(cells);
    }

    /// The table as lines.
    #[must_use]
    pub fn render(mut self) -> String {
        for column in self.inner.column_iter_mut() {
            column.set_padding((0, 3));
        }
        self.inner.lines().map(|line| line.trim_end().to_owned() + "\n").collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn columns_are_aligned_and_nothing_trails() {
        let mut table = Table::new(&["name", "state"]);
        table.row(["default".to_owned(), "running".to_owned()]);
        table.row(["a".to_owned(), String::new()]);
        insta::assert_snapshot!(table.render(), @r"
        NAME      STATE
        default   running
        a
        ");
    }
}
