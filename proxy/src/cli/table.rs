//! Tables of text, aligned by columns.

/// Draws rows under their headings; the last column is not padded.
pub(super) fn draw(headings: &[&str], rows: &[Vec<String>]) -> String {
    let mut widths: Vec<usize> = headings.iter().map(|heading| heading.chars().count()).collect();
    for row in rows {
        for (width, cell) in widths.iter_mut().zip(row) {
            *width = (*width).max(cell.chars().count());
        }
    }
    let headings: Vec<String> = headings.iter().map(|heading| (*heading).to_owned()).collect();
    std::iter::once(&headings).chain(rows).map(|row| line(row, &widths)).collect()
}

fn line(cells: &[String], widths: &[usize]) -> String {
    let padded: Vec<String> =
        cells.iter().zip(widths).map(|(cell, width)| format!("{cell:<width$}")).collect();
    let mut line = padded.join("  ").trim_end().to_owned();
    line.push('\n');
    line
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn columns_are_as_wide_as_their_widest_cell() {
        let rows = vec![
            vec!["192.0.2.1".to_owned(), "rule".to_owned()],
            vec!["user:ä".to_owned(), "operator:uid:0".to_owned()],
        ];
        assert_eq!(
            draw(&["KEY", "BY"], &rows),
            "KEY        BY\n192.0.2.1  rule\nuser:ä     operator:uid:0\n"
        );
    }
}
