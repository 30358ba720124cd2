//! The console: keystrokes to lines, and one table of commands.
