//! What results look like on a terminal: columns, a little colour, and no control characters of anybody's choosing.

use doorward_policy::access::explain::Mark;

/// Widest column that others are aligned to.
const WIDEST: usize = 44;

/// Colours, where somebody sees them.
#[derive(Debug, Clone, Copy)]
pub(super) struct Ink {
    pub(super) on: bool,
}

impl Ink {
    fn paint(self, code: &str, text: &str) -> String {
        if self.on { format!("\x1b[{code}m{text}\x1b[0m") } else { text.to_owned() }
    }

    pub(super) fn good(self, text: &str) -> String {
        self.paint("1;32", text)
    }

    pub(super) fn bad(self, text: &str) -> String {
        self.paint("1;31", text)
    }

    pub(super) fn bold(self, text: &str) -> String {
        self.paint("1", text)
    }

    pub(super) fn faint(self, text: &str) -> String {
        self.paint("2", text)
    }

    pub(super) fn mark(self, mark: Mark) -> String {
        match mark {
            Mark::Hit => self.paint("32", "+"),
            Mark::Miss => self.paint("1;31", "-"),
            Mark::May => self.paint("33", "~"),
        }
    }
}

/// Rows whose cells stand below each other.
#[derive(Debug)]
pub(super) struct Table {
    indent: usize,
    rows: Vec<Vec<String>>,
}

impl Table {
    pub(super) fn new(indent: usize) -> Self {
        Self { indent, rows: Vec::new() }
    }

    pub(super) fn row<const N: usize>(&mut self, cells: [String; N]) {
        self.rows.push(cells.into());
    }

    /// Each row is a line.
    pub(super) fn render(&self) -> String {
        let mut widths: Vec<usize> = Vec::new();
        for row in &self.rows {
            widths.resize(widths.len().max(row.len()), 0);
            for (width, cell) in widths.iter_mut().zip(row) {
                *width = (*width).max(seen(cell).min(WIDEST));
            }
        }
        let mut out = String::new();
        for row in &self.rows {
            let mut line = " ".repeat(self.indent);
            for (cell, width) in row.iter().zip(&widths) {
                line.push_str(cell);
                line.push_str(&" ".repeat(width.saturating_sub(seen(cell)) + 2));
            }
            out.push_str(line.trim_end());
            out.push('\n');
        }
        out
    }
}

/// Characters that take room: not those of a colour.
fn seen(cell: &str) -> usize {
    let mut count = 0;
    let mut colour = false;
    for letter in cell.chars() {
        match (colour, letter) {
            (false, '\x1b') => colour = true,
            (false, _) => count += 1,
            (true, 'm') => colour = false,
            (true, _) => {}
        }
    }
    count
}

/// Claims and paths are other people's: nothing in them moves a cursor, hides text or turns it around.
pub(super) fn clean(text: &str) -> String {
    let odd = |letter: char| {
        letter.is_control()
            || matches!(letter, '\u{ad}' | '\u{61c}' | '\u{180e}' | '\u{200b}'..='\u{200f}' | '\u{2028}'..='\u{202e}' | '\u{2060}'..='\u{206f}' | '\u{feff}' | '\u{e0000}'..='\u{e007f}')
    };
    let mut out = String::with_capacity(text.len());
    for letter in text.chars() {
        if odd(letter) {
            out.extend(letter.escape_unicode());
        } else {
            out.push(letter);
        }
    }
    out
}

/// `1 rule`, `2 rules`
pub(super) fn counted(count: usize, what: &str) -> String {
    if count == 1 { format!("1 {what}") } else { format!("{count} {what}s") }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn columns_stand_below_each_other_whatever_their_colour() {
        let mut table = Table::new(2);
        let ink = Ink { on: true };
        table.row(["a".into(), "b".into()]);
        table.row([ink.good("long"), "c".into()]);
        assert_eq!(table.render(), "  a     b\n  \x1b[1;32mlong\x1b[0m  c\n");
    }

    #[test]
    fn nothing_of_somebody_elses_steers_the_terminal() {
        assert_eq!(clean("a\x1b[2Jb\r\n\u{202e}c\u{7f}"), "a\\u{1b}[2Jb\\u{d}\\u{a}\\u{202e}c\\u{7f}");
        assert_eq!(clean("Zo\u{eb} 日本"), "Zo\u{eb} 日本");
    }
}
