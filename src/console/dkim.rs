//! `show dkim`: what a domain's owner puts into its zone so that the signatures of its mail can be checked
//! (RFC 6376 §3.6.2). The lines are not broken: they are there to be pasted.

use serde_json::{Value, json};

use crate::console::layout::wrap;

/// A domain's keys.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct DkimReport {
    pub domain: String,
    pub selector: String,
    /// One for each key that is there.
    pub records: Vec<DkimRecord>,
    /// A key is still being made.
    pub making: bool,
}

/// The record of one key.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct DkimRecord {
    pub algorithm: String,
    /// `mail-rsa._domainkey.bcd.com`
    pub name: String,
    /// The whole value.
    pub value: String,
    /// A line of a zone file; the value is in strings of at most 255 bytes.
    pub zone: String,
}

impl DkimReport {
    pub fn text(&self, out: &mut String, width: usize) {
        let intro = format!("{}: two records for its zone, one for each key", self.domain);
        wrap(out, width, "", "", &intro);
        for record in &self.records {
            out.extend(["\n", &record.zone, "\n"]);
        }
        if self.making {
            out.push('\n');
            wrap(out, width, "", "", "the RSA key is being made; ask again in a moment");
        }
    }

    pub fn json(&self) -> Value {
        let record = |r: &DkimRecord| json!({ "algorithm": r.algorithm, "name": r.name, "value": r.value, "zone": r.zone });
        let records: Vec<Value> = self.records.iter().map(record).collect();
        json!({
            "domain": self.domain,
            "selector": self.selector,
            "records": records,
            "making": self.making,
        })
    }
}
