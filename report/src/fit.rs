//! Fits text to the width of a terminal: long lines are broken between words, and what belongs to a line is indented.
//!
//! Without a terminal nothing changes, so that programs read whole lines. What is to be copied stays on one line as
//! well: commands, the lines of scripts, and what scripts print.

use std::ops::RangeInclusive;

/// The widths at which descriptions are wrapped in the files that contain them. A line to which the first word of the next
/// one would not have been added is continued by that line. A longer line was not wrapped.
const WRITTEN: RangeInclusive<usize> = 116..=132;

/// The maximum indent that a line gives to its continuation, as a part of the width: one half.
const DEEPEST: usize = 2;

/// Returns the text in lines of at most `width` columns; unchanged if there is no width. Only a word that is longer than
/// a line exceeds the width.
pub fn fit(text: &str, width: Option<usize>) -> String {
    let Some(width) = width else { return text.to_owned() };
    let mut out = String::with_capacity(text.len());
    let mut lines = text.split('\n').peekable();
    while let Some(line) = lines.next() {
        let mut whole = line.to_owned();
        let mut last = line;
        while let Some(next) = lines.next_if(|next| line.chars().count() > width && continues(last, next)) {
            whole.push(' ');
            whole.push_str(next.trim_start());
            last = next;
        }
        out.push_str(&broken(&whole, width));
        if lines.peek().is_some() {
            out.push('\n');
        }
    }
    out
}

/// Returns whether a line was wrapped in its file, so that the next one continues its sentence.
fn continues(line: &str, next: &str) -> bool {
    let first = next.split_whitespace().next().unwrap_or_default();
    let length = line.chars().count();
    indent(line) == indent(next)
        && length <= *WRITTEN.end()
        && length + 1 + first.chars().count() > *WRITTEN.start()
        && first.starts_with(char::is_alphanumeric)
        && !is_whole(next)
}

/// Returns a line broken between words.
fn broken(line: &str, width: usize) -> String {
    if line.chars().count() <= width || is_whole(line) {
        return line.to_owned();
    }
    let hang = hang(line).min(width / DEEPEST);
    let mut out = String::with_capacity(line.len() + 32);
    let mut length = 0;
    // Spaces at the beginning, and those between columns, stay.
    for word in line.split_inclusive(' ') {
        let wide = word.trim_end_matches(' ').chars().count();
        if length + wide > width && !out.trim_start().is_empty() {
            out.truncate(out.trim_end_matches(' ').len());
            out.push('\n');
            out.extend(std::iter::repeat_n(' ', hang));
            length = hang;
        }
        out.push_str(word);
        length += word.chars().count();
    }
    out
}

/// Returns whether a line has to stay whole: a command, or a line of a script with its number.
fn is_whole(line: &str) -> bool {
    let start = line.trim_start();
    let number = start.trim_start_matches(|c: char| c.is_ascii_digit()).trim_start();
    ["replay: ", "stickler ", "printed: "].iter().any(|head| start.starts_with(head))
        || start.contains(": stickler ")
        || number.starts_with("| ")
}

fn indent(line: &str) -> usize {
    line.len() - line.trim_start_matches(' ').len()
}

/// Returns the column at which the continuation of a line begins: below the text behind its columns, or else a little
/// more than the indent of the line.
fn hang(line: &str) -> usize {
    /// The maximum width of the columns in front of a text.
    const COLUMNS: usize = 40;
    let own = indent(line);
    let head: Vec<char> = line.chars().take(COLUMNS).collect();
    let mut gaps = head.windows(3).enumerate().skip(own);
    let last = gaps.rfind(|(_, next)| next[0] == ' ' && next[1] == ' ' && next[2] != ' ');
    last.map_or(own + 2, |(at, _)| at + 2)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_long_line_is_broken_between_words_and_hangs_below_its_text() {
        let evidence = "       0.005000s  iis1       connection 1, request 3: answers r2 with 200 0 0, as CORP\\alice";
        assert_eq!(
            fit(&format!("ID-2 violated: mallory's request r2 was processed as alice\n{evidence}\nend"), Some(56)),
            "ID-2 violated: mallory's request r2 was processed as\n  alice\n       0.005000s  iis1       connection 1, request 3:\n\
             \x20                           answers r2 with 200 0 0, as\n                            CORP\\alice\nend"
        );
    }

    #[test]
    fn nothing_changes_without_a_terminal_or_where_there_is_room() {
        let long = "word ".repeat(100);
        assert_eq!(fit(&long, None), long);
        assert_eq!(fit("  short\n\n  lines\n", Some(80)), "  short\n\n  lines\n");
    }

    #[test]
    fn what_is_copied_stays_whole() {
        for line in [
            "    crowd over shared-pool: stickler run crowd --balancer shared-pool --seed 0",
            "replay: stickler run anonymous-after-user --balancer shared-pool --seed 0",
            "    stickler run anonymous-after-user --balancer shared-pool --seed 0",
            "12 | alice.get(\"/a/very/long/path\", headers = {\"x\": \"y\"})",
            "   |           ^^^^^^^^^^^^^^^^^^^^^^^ actual: 500 and some more words",
        ] {
            assert_eq!(fit(line, Some(40)), line);
        }
    }

    #[test]
    fn a_paragraph_that_its_file_wraps_is_wrapped_again_as_a_whole() {
        let file = format!("{}end\nof the sentence.\nAnother one.", "words ".repeat(20));
        let told = fit(&file, Some(60));
        assert!(told.lines().all(|line| line.chars().count() <= 60), "{told}");
        assert!(told.contains("end of the sentence.\nAnother one."), "{told}");
        let items = format!("{}end.\nanother item.", "words ".repeat(30));
        assert!(
            fit(&items, Some(60)).ends_with("end.\nanother item."),
            "a line that no file wraps is an item of its own"
        );
    }

    #[test]
    fn no_line_is_too_long_whatever_the_width() {
        let text = "HS-1 violated: a client that has valid credentials was not answered, because its legs went to two servers\n"
            .repeat(3);
        for width in 20..140 {
            let told = fit(&text, Some(width));
            assert!(told.lines().all(|line| line.chars().count() <= width), "{width}:\n{told}");
            assert_eq!(told.split_whitespace().collect::<String>(), text.split_whitespace().collect::<String>());
        }
    }
}
