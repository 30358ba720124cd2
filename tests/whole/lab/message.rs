//! A received message as a mailbox holds it: header fields unfolded for reading, the raw text beside them.

/// One message, line ends as `\n`.
#[derive(Clone, Debug)]
pub struct Message {
    pub raw: String,
}

impl Message {
    pub fn new(raw: &str) -> Message {
        Message { raw: raw.replace("\r\n", "\n") }
    }

    /// Every field of this name, topmost first, unfolded to one line.
    pub fn fields(&self, name: &str) -> Vec<String> {
        let mut found: Vec<String> = Vec::new();
        let mut inside = false;
        for line in self.raw.lines().take_while(|line| !line.is_empty()) {
            if line.starts_with([' ', '\t']) {
                if let (true, Some(last)) = (inside, found.last_mut()) {
                    last.push(' ');
                    last.push_str(line.trim());
                }
                continue;
            }
            let field = line.split_once(':').filter(|(n, _)| n.eq_ignore_ascii_case(name));
            inside = field.is_some();
            found.extend(field.map(|(_, value)| value.trim().to_owned()));
        }
        found
    }

    /// The topmost field of this name; panics with the message when there is none.
    #[track_caller]
    pub fn field(&self, name: &str) -> String {
        let first = self.fields(name).into_iter().next();
        first.unwrap_or_else(|| panic!("no {name}: in\n{}", self.raw))
    }

    /// What the receiver wrote of its client: its own `Received:` field, the topmost.
    #[track_caller]
    pub fn received(&self) -> String {
        self.field("Received")
    }

    pub fn subject(&self) -> String {
        self.field("Subject")
    }

    /// What follows the header section.
    pub fn body(&self) -> &str {
        self.raw.split_once("\n\n").map_or("", |(_, body)| body)
    }
}

/// The messages of an mbox file; their `From ` lines are dropped.
pub fn split_mbox(text: &str) -> Vec<Message> {
    let mut messages: Vec<String> = Vec::new();
    let mut blank_before = true;
    for line in text.lines() {
        if blank_before && line.starts_with("From ") {
            messages.push(String::new());
        } else if let Some(message) = messages.last_mut() {
            message.push_str(line);
            message.push('\n');
        }
        blank_before = line.is_empty();
    }
    messages.iter().map(|raw| Message::new(raw)).collect()
}
