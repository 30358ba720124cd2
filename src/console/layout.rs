//! How answers look on a serial line: 80 columns, plain characters, aligned. Danger: a remote server's reply
//! may hold escape sequences that would take over the operator's terminal, so all foreign text goes through
//! [`clean`].

use std::time::Duration;

/// Columns of a terminal that has not said how many it has.
pub const WIDTH_USUAL: usize = 80;

/// `text` with every control character, and every character that changes the direction of writing, as `?`.
pub fn clean(text: &str) -> String {
    let turns =
        |c: char| matches!(c, '\u{200e}' | '\u{200f}' | '\u{202a}'..='\u{202e}' | '\u{2066}'..='\u{2069}');
    text.chars().map(|c| if c.is_control() || turns(c) { '?' } else { c }).collect()
}

/// A length of time in its two largest units: `45s`, `5m`, `2h10m`, `3d4h`.
pub fn span(time: Duration) -> String {
    let s = time.as_secs();
    let (days, hours, minutes, seconds) = (s / 86_400, s / 3600 % 24, s / 60 % 60, s % 60);
    match (days, hours, minutes) {
        (0, 0, 0) => format!("{seconds}s"),
        (0, 0, m) => two(m, "m", seconds, "s"),
        (0, h, m) => two(h, "h", m, "m"),
        (d, h, _) => two(d, "d", h, "h"),
    }
}

fn two(large: u64, large_unit: &str, small: u64, small_unit: &str) -> String {
    if small == 0 {
        format!("{large}{large_unit}")
    } else {
        format!("{large}{large_unit}{small}{small_unit}")
    }
}

/// A number of bytes in at most five characters: `999`, `2.1K`, `64K`, `10M`.
pub fn size(bytes: u64) -> String {
    let mut unit = 1u64;
    for letter in ["", "K", "M", "G", "T"] {
        let whole = bytes / unit;
        if whole < 1024 || letter == "T" {
            let tenths = bytes % unit * 10 / unit;
            let fine = !letter.is_empty() && whole < 10 && tenths > 0;
            return if fine { format!("{whole}.{tenths}{letter}") } else { format!("{whole}{letter}") };
        }
        unit *= 1024;
    }
    unreachable!("the last unit takes every size")
}

/// Appends `text` in lines of at most `width` columns, the first after `first`, the others after `other`.
/// Breaks at blanks where there are any.
pub fn wrap(out: &mut String, width: usize, first: &str, other: &str, text: &str) {
    let mut line = first.to_owned();
    let mut bare = true;
    for word in text.split(' ') {
        let gap = usize::from(!bare);
        if !bare && columns(&line) + gap + columns(word) > width {
            push_line(out, &line);
            line = other.to_owned();
            bare = true;
        }
        if !bare {
            line.push(' ');
        }
        line.push_str(word);
        bare = false;
        while columns(&line) > width.max(columns(other) + 10) {
            let cut =
                line.char_indices().nth(width.max(columns(other) + 10)).map_or(line.len(), |(at, _)| at);
            let rest = line.split_off(cut);
            push_line(out, &line);
            line = format!("{other}{rest}");
        }
    }
    push_line(out, &line);
}

fn push_line(out: &mut String, line: &str) {
    out.push_str(line.trim_end());
    out.push('\n');
}

fn columns(text: &str) -> usize {
    text.chars().count()
}

/// Appends rows of cells in aligned columns, two blanks apart. Columns in `right` are aligned to the right.
pub fn table(out: &mut String, rows: &[Vec<String>], right: &[usize]) {
    let count = rows.iter().map(Vec::len).max().unwrap_or(0);
    let width = |column: usize| rows.iter().filter_map(|row| row.get(column)).map(|c| columns(c)).max();
    let widths: Vec<usize> = (0..count).map(|column| width(column).unwrap_or(0)).collect();
    for row in rows {
        let mut line = String::new();
        for (column, cell) in row.iter().enumerate() {
            let wide = widths[column];
            let cell =
                if right.contains(&column) { format!("{cell:>wide$}") } else { format!("{cell:wide$}") };
            line.push_str(if column == 0 { "" } else { "  " });
            line.push_str(&cell);
        }
        push_line(out, &line);
    }
}

/// A name that takes more columns has a line of its own.
const NAME_COLUMNS_MAX: usize = 34;

/// Appends two columns, the second wrapped beside the first: `help` and name-value lists.
pub fn pairs(out: &mut String, width: usize, rows: &[(String, String)]) {
    let most = NAME_COLUMNS_MAX.min(width / 2);
    let wide = rows.iter().map(|(name, _)| columns(name)).filter(|n| *n <= most).max().unwrap_or(0);
    let indent = " ".repeat(wide + 2);
    for (name, value) in rows {
        if columns(name) > wide {
            wrap(out, width, "", "    ", name);
            wrap(out, width, &indent, &indent, value);
        } else {
            wrap(out, width, &format!("{name:wide$}  "), &indent, value);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn spans_and_sizes_are_short() {
        for (s, text) in
            [(0, "0s"), (59, "59s"), (300, "5m"), (330, "5m30s"), (7800, "2h10m"), (273_600, "3d4h")]
        {
            assert_eq!(span(Duration::from_secs(s)), text);
        }
        for (bytes, text) in [
            (0, "0"),
            (1023, "1023"),
            (1024, "1K"),
            (2150, "2K"),
            (2200, "2.1K"),
            (65_536, "64K"),
            (u64::MAX, "16777215T"),
        ] {
            assert_eq!(size(bytes), text);
        }
    }

    #[test]
    fn foreign_text_cannot_steer_the_terminal() {
        assert_eq!(clean("550 \x1b[2Jno\r\n\u{202e}x"), "550 ?[2Jno???x");
    }

    #[test]
    fn long_text_is_broken_at_blanks_and_else_anywhere() {
        let mut out = String::new();
        wrap(&mut out, 20, "to: ", "  ", "one two three four five");
        wrap(&mut out, 12, "", "  ", &"x".repeat(25));
        assert_eq!(out, "to: one two three\n  four five\nxxxxxxxxxxxx\n  xxxxxxxxxx\n  xxx\n");
    }

    #[test]
    fn columns_are_aligned() {
        let mut out = String::new();
        let row = |a: &str, b: &str| vec![a.to_owned(), b.to_owned()];
        table(&mut out, &[row("name", "1"), row("a", "100")], &[1]);
        assert_eq!(out, "name    1\na     100\n");
    }
}
