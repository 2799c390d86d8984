//! Renders tables that fit a terminal without breaking a word.
//!
//! If the longest words of all columns fit side by side, cells are wrapped between words. Otherwise each row becomes a
//! paragraph: the name of the row, followed by the heading and the cell of every other column.

use comfy_table::{Cell, Color, ColumnConstraint, ContentArrangement, LineStyle, Table, TableStyle, Width};

/// A style with a line under the header and no lines between rows, because the table has to fit a screen.
const STYLE: TableStyle = TableStyle::new().header_separator(LineStyle::none().fill('─').junction('─'));

/// The total width of the space to the left and right of a cell, in columns. Two cells have one more column between
/// them.
const PADDING: usize = 2;

/// The outcome that a cell reports, each of which has a colour of its own.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Shade {
    /// A MUST that is violated, or users who are mixed up or who can never log on.
    Bad,
    /// A SHOULD that is not followed, or something that holds in part.
    Partly,
    /// An outcome that was tested and is kept.
    Good,
    /// An outcome that was not tested, or not to the end.
    Unknown,
    /// A run that was not performed to its end, or that is not as expected without a violation of a MUST.
    Unexpected,
}

/// The meaning of the colours, as a sentence below a table.
pub(crate) const SHADES: &str = "Red: a MUST is violated; yellow: a SHOULD is not followed, or it holds in part; green: kept; \
    magenta: not as expected or not performed to the end; no colour: not put to the test.";

impl Shade {
    const fn color(self) -> Option<Color> {
        match self {
            Self::Bad => Some(Color::Red),
            Self::Partly => Some(Color::Yellow),
            Self::Good => Some(Color::Green),
            Self::Unexpected => Some(Color::Magenta),
            Self::Unknown => None,
        }
    }
}

/// The text of a cell, with its colour if the terminal supports colours.
pub(crate) struct Text {
    pub(crate) text: String,
    pub(crate) color: Option<Color>,
}

impl Text {
    /// Returns a text without a colour.
    pub(crate) fn plain(text: impl Into<String>) -> Self {
        Self { text: text.into(), color: None }
    }

    /// Returns a text in the colour of its outcome, if `color` says that there are colours.
    pub(crate) fn painted(text: String, shade: Shade, color: bool) -> Self {
        Self { text, color: if color { shade.color() } else { None } }
    }

    fn cell(&self) -> Cell {
        let cell = Cell::new(&self.text);
        self.color.map_or(cell.clone(), |color| cell.fg(color))
    }
}

/// Returns the table in at most `width` columns. Without a width, the table is as wide as the terminal, if there is
/// one. The first column names the rows. A word that is longer than a line, such as the name of a user's own script, is
/// not shortened.
pub(crate) fn render(headings: &[String], rows: &[Vec<Text>], width: Option<u16>) -> String {
    let mut table = Table::new();
    table.load_style(STYLE).set_content_arrangement(ContentArrangement::Dynamic);
    if let Some(width) = width {
        table.set_width(width);
    }
    if rows.iter().flatten().any(|text| text.color.is_some()) {
        // A caller that passes colours wants them even without a terminal.
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

/// Returns the number of columns of the terminal to which standard output goes; `None` if standard output goes
/// elsewhere.
pub(crate) fn columns() -> Option<u16> {
    Table::new().width()
}

/// Returns the width of the longest word of a column.
fn longest_word(headings: &[String], rows: &[Vec<Text>], column: usize) -> usize {
    let cells = rows.iter().filter_map(|row| row.get(column)).map(|cell| &*cell.text);
    let words = headings.get(column).map(|heading| &**heading).into_iter().chain(cells).flat_map(str::split_whitespace);
    words.map(|word| word.chars().count()).max().unwrap_or(0)
}

/// Returns the table with one paragraph for each row.
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

/// Returns the text in lines of at most `width` characters, including the indent. Only a word that is longer than a
/// line exceeds the width.
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

/// Returns the head, followed by the text. If a width is given, lines have at most `width` characters, and further
/// lines begin at the same column as the text. If that leaves too little room, the text starts below the head.
pub fn hanging(head: &str, text: &str, width: Option<usize>) -> String {
    let Some(width) = width else { return format!("{head}{text}\n") };
    let indent = head.chars().count();
    if width < indent + LITTLE {
        return format!("{}\n{}", head.trim_end(), wrapped(text, "      ", width));
    }
    let lines = wrapped(text, &" ".repeat(indent), width);
    format!("{head}{}", lines.trim_start())
}

/// The minimum number of columns for text beside a head.
const LITTLE: usize = 32;

#[cfg(test)]
mod tests {
    use super::*;

    fn table(width: u16) -> String {
        let headings = ["balancer", "NTLM", "users kept apart", "HS"].map(String::from);
        let row = |cells: [&str; 4]| cells.map(Text::plain).into();
        let rows: [Vec<Text>; 2] = [
            row(["trafficserver-not-private", "partly", "no: NTLM, Kerberos, Negotiate", "HS-1 HS-2 HS-3"]),
            row(["l4", "yes", "yes", "ok"]),
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
            "trafficserver-not-private\n    NTLM: partly; users kept apart: no:\n    NTLM, Kerberos, Negotiate; HS: HS-1\n    HS-2 HS-3\n\
             l4\n    NTLM: yes; users kept apart: yes;\n    HS: ok\n"
        );
        assert!(table(120).starts_with(" balancer "), "{}", table(120));
    }
}
