//! Tables that fit a terminal without breaking a word.
//!
//! Where the longest words of all columns fit side by side, cells are wrapped between words. Where they do not, each row becomes a
//! paragraph: its name, and below it each other column's heading with its cell.

use comfy_table::{Cell, Color, ColumnConstraint, ContentArrangement, LineStyle, Table, TableStyle, Width};

/// A line under the header, and none between rows: the table has to fit a screen.
const STYLE: TableStyle = TableStyle::new().header_separator(LineStyle::none().fill('─').junction('─'));

/// What stands left and right of a cell, in columns. Between two cells, there is one column more.
const PADDING: usize = 2;

/// A cell's text, and its colour where the terminal has any.
pub(crate) struct Text {
    pub(crate) text: String,
    pub(crate) color: Option<Color>,
}

impl Text {
    /// A text without a colour.
    pub(crate) fn plain(text: impl Into<String>) -> Self {
        Self { text: text.into(), color: None }
    }

    fn cell(&self) -> Cell {
        let cell = Cell::new(&self.text);
        self.color.map_or(cell.clone(), |color| cell.fg(color))
    }
}

/// Returns the table in at most `width` columns, or in those of the terminal where there is one and nothing is given. Its first
/// column names the rows. Text that is longer than a line, as the name of a user's own script may be, is not shortened.
pub(crate) fn render(headings: &[String], rows: &[Vec<Text>], width: Option<u16>) -> String {
    let mut table = Table::new();
    table.load_style(STYLE).set_content_arrangement(ContentArrangement::Dynamic);
    if let Some(width) = width {
        table.set_width(width);
    }
    if rows.iter().flatten().any(|text| text.color.is_some()) {
        // Whoever hands in colours wants them, terminal or not.
        table.enforce_styling();
    }
    let widths: Vec<usize> = (0..headings.len()).map(|column| longest_word(headings, rows, column)).collect();
    let needed = widths.iter().map(|width| width + PADDING).sum::<usize>() + widths.len().saturating_sub(1);
    if table.width().is_some_and(|width| needed > width.into()) {
        return paragraphs(headings, rows, table.width().unwrap_or(u16::MAX).into());
    }
    table.set_header(headings);
    for row in rows {
        table.add_row(row.iter().map(Text::cell));
    }
    for (column, width) in table.column_iter_mut().zip(widths) {
        let width = u16::try_from(width + PADDING).unwrap_or(u16::MAX);
        column.set_constraint(ColumnConstraint::LowerBoundary(Width::Fixed(width)));
    }
    let lines: Vec<String> = table.lines().map(|line| line.trim_end().to_owned()).collect();
    lines.join("\n") + "\n"
}

/// Returns how many columns the terminal has to which standard output goes; `None` where it goes elsewhere.
pub(crate) fn columns() -> Option<u16> {
    Table::new().width()
}

/// The width of the longest word of a column.
fn longest_word(headings: &[String], rows: &[Vec<Text>], column: usize) -> usize {
    let cells = rows.iter().filter_map(|row| row.get(column)).map(|cell| &*cell.text);
    let words = headings.get(column).map(|heading| &**heading).into_iter().chain(cells).flat_map(str::split_whitespace);
    words.map(|word| word.chars().count()).max().unwrap_or(0)
}

/// A paragraph for each row.
fn paragraphs(headings: &[String], rows: &[Vec<Text>], width: usize) -> String {
    let mut text = String::new();
    for row in rows {
        let Some((name, cells)) = row.split_first() else { continue };
        text.push_str(&name.text);
        text.push('\n');
        let told = headings.iter().skip(1).zip(cells).map(|(heading, cell)| format!("{heading}: {}", cell.text));
        text.push_str(&wrapped(&told.collect::<Vec<_>>().join("; "), "    ", width));
    }
    text
}

/// Words in lines of at most `width` characters, the indent among them, unless a word is longer than that.
pub(crate) fn wrapped(text: &str, indent: &str, width: usize) -> String {
    let mut out = String::new();
    let mut length = 0;
    for word in text.split_whitespace() {
        let wide = word.chars().count();
        if length > 0 && length + 1 + wide > width {
            out.push('\n');
            length = 0;
        }
        if length == 0 {
            out.push_str(indent);
            length = indent.chars().count();
        } else {
            out.push(' ');
            length += 1;
        }
        out.push_str(word);
        length += wide;
    }
    out.push('\n');
    out
}

/// Returns the head and behind it the text, in lines of at most `width` characters where one is given; further lines begin where the
/// text does. Where that leaves little room, the text stands below the head.
pub fn hanging(head: &str, text: &str, width: Option<usize>) -> String {
    let Some(width) = width else { return format!("{head}{text}\n") };
    let indent = head.chars().count();
    if width < indent + LITTLE {
        return format!("{}\n{}", head.trim_end(), wrapped(text, "      ", width));
    }
    let lines = wrapped(text, &" ".repeat(indent), width);
    format!("{head}{}", lines.trim_start())
}

/// Columns that are too few for text beside a head.
const LITTLE: usize = 32;

#[cfg(test)]
mod tests {
    use super::*;

    fn table(width: u16) -> String {
        let headings = ["balancer", "NTLM", "users mixed up", "HS"].map(String::from);
        let row = |cells: [&str; 4]| cells.map(Text::plain).into();
        let rows: [Vec<Text>; 2] = [
            row(["trafficserver-not-private", "partly", "NTLM, Kerberos, Negotiate", "HS-1 HS-2 HS-3"]),
            row(["l4", "yes", "no", "ok"]),
        ];
        render(&headings, &rows, Some(width))
    }

    #[test]
    fn no_word_is_broken_and_no_line_is_too_long_whatever_the_width() {
        for width in 30..200 {
            let text = table(width);
            for word in ["balancer", "NTLM", "trafficserver-not-private", "partly", "Kerberos,", "HS-1", "HS-3"] {
                let is_whole = text.split(|c: char| c.is_whitespace() || ";:".contains(c)).any(|part| part == word);
                assert!(is_whole || (word == "balancer" && !text.contains('─')), "{word} at {width}:\n{text}");
            }
            assert!(text.lines().all(|line| line.chars().count() <= width.into()), "{width}:\n{text}");
        }
    }

    #[test]
    fn text_hangs_behind_its_head_and_stands_below_it_where_there_is_no_room() {
        let (head, text) = ("  name  ", "a balancer of connections, which keeps each of them");
        assert_eq!(hanging(head, text, None), "  name  a balancer of connections, which keeps each of them\n");
        assert_eq!(
            hanging(head, text, Some(40)),
            "  name  a balancer of connections, which\n        keeps each of them\n"
        );
        assert_eq!(
            hanging(head, text, Some(30)),
            "  name\n      a balancer of\n      connections, which keeps\n      each of them\n"
        );
    }

    #[test]
    fn a_narrow_terminal_has_a_paragraph_for_each_row() {
        assert_eq!(
            table(40),
            "trafficserver-not-private\n    NTLM: partly; users mixed up: NTLM,\n    Kerberos, Negotiate; HS: HS-1 HS-2\n    HS-3\n\
             l4\n    NTLM: yes; users mixed up: no; HS:\n    ok\n"
        );
        assert!(table(120).starts_with(" balancer "), "{}", table(120));
    }
}
