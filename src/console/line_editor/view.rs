//! What stands on the terminal's last line, and how to turn it into something else with nothing but printable
//! characters, blanks, CR and backspace, which every terminal ever made understands. A line longer than the
//! terminal is seen through a window that follows the cursor.

/// The line as it is drawn now: its characters after the prompt, and where among them the cursor stands.
#[derive(Debug)]
pub struct View {
    width: usize,
    prompt: String,
    shown: Vec<char>,
    at: usize,
    /// The first character of the line inside the window.
    first: usize,
}

/// The window is never narrower.
const WINDOW_COLUMNS_MIN: usize = 10;

impl View {
    pub fn new(width: usize) -> Self {
        View { width, prompt: String::new(), shown: Vec::new(), at: 0, first: 0 }
    }

    /// Begins a line: draws the prompt, nothing after it.
    pub fn begin(&mut self, out: &mut Vec<u8>, prompt: &str) {
        prompt.clone_into(&mut self.prompt);
        self.first = 0;
        self.again(out);
    }

    /// Draws the prompt anew on an empty line.
    pub fn again(&mut self, out: &mut Vec<u8>) {
        out.extend(self.prompt.as_bytes());
        self.shown.clear();
        self.at = 0;
    }

    /// Makes the terminal show `line` with the cursor before its character number `cursor`.
    pub fn show(&mut self, out: &mut Vec<u8>, line: &[char], cursor: usize) {
        let window = self.window();
        if line.len() <= window {
            self.first = 0;
        } else if cursor < self.first {
            self.first = cursor.saturating_sub(window / 3);
        } else if cursor > self.first + window {
            self.first = cursor - window + window / 3;
        }
        let end = line.len().min(self.first + window);
        let wanted = &line[self.first.min(end)..end];
        self.draw(out, wanted, cursor - self.first);
    }

    fn window(&self) -> usize {
        self.width.saturating_sub(self.prompt.chars().count() + 1).max(WINDOW_COLUMNS_MIN)
    }

    fn draw(&mut self, out: &mut Vec<u8>, wanted: &[char], cursor: usize) {
        let same = self.shown.iter().zip(wanted).take_while(|(a, b)| a == b).count();
        let differs = same < wanted.len() || same < self.shown.len();
        if differs {
            self.go_to(out, same);
            put(out, &wanted[same..]);
            let rest = self.shown.len().saturating_sub(wanted.len());
            out.extend(std::iter::repeat_n(b' ', rest));
            self.at = wanted.len() + rest;
            self.shown.clear();
            self.shown.extend_from_slice(wanted);
        }
        self.go_to(out, cursor);
    }

    /// Moves the cursor: left by backspaces, right by writing again what stands there.
    fn go_to(&mut self, out: &mut Vec<u8>, column: usize) {
        if column < self.at {
            out.extend(std::iter::repeat_n(0x08, self.at - column));
        } else {
            put(out, &self.shown[self.at..column]);
        }
        self.at = column;
    }
}

fn put(out: &mut Vec<u8>, chars: &[char]) {
    for c in chars {
        out.extend(c.encode_utf8(&mut [0; 4]).as_bytes());
    }
}
