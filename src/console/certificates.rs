//! `show certificates`: what the box shows of itself under each name, and the authorities that its operator
//! trusts beside the public ones. Danger: names in certificates are foreign text.

use serde_json::{Value, json};

use crate::console::layout::{clean, pairs};
use crate::time::WallTime;

/// One certificate, or the lack of it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct CertificateReport {
    /// The domain or the box that shows it; `None`: an authority, which vouches for other hosts.
    pub name: Option<String>,
    /// What is in use; `None`: nothing.
    pub shown: Option<Shown>,
    /// The file it is from; `None`: the box has made it.
    pub file: Option<String>,
    /// Why the file is not in use as it is.
    pub trouble: Option<String>,
}

/// What a certificate says.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Shown {
    pub subject: String,
    pub not_after: WallTime,
    /// SHA-256, as `AB:CD:...`.
    pub fingerprint: String,
}

impl CertificateReport {
    pub fn text(&self, out: &mut String, width: usize) {
        out.push_str(self.name.as_deref().map_or("an authority", |name| name));
        out.push('\n');
        let mut rows = Vec::new();
        if let Some(shown) = &self.shown {
            rows.push(("subject", clean(&shown.subject)));
            rows.push(("valid until", shown.not_after.rfc3339()));
            rows.push(("SHA-256", shown.fingerprint.clone()));
        }
        rows.push(("from", self.file.as_deref().map_or_else(|| "made by the box".to_owned(), clean)));
        rows.extend(self.trouble.as_deref().map(|why| ("trouble", clean(why))));
        let rows: Vec<(String, String)> = rows.into_iter().map(|(k, v)| (format!("  {k}"), v)).collect();
        pairs(out, width, &rows);
    }

    pub fn json(&self) -> Value {
        let shown = self.shown.as_ref();
        json!({
            "name": self.name,
            "kind": if self.name.is_some() { "own" } else { "authority" },
            "subject": shown.map(|s| &s.subject),
            "not_after": shown.map(|s| s.not_after.rfc3339()),
            "sha256": shown.map(|s| &s.fingerprint),
            "file": self.file,
            "trouble": self.trouble,
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_certificate_says_whose_it_is_until_when_and_where_from() {
        let shown = Shown {
            subject: "CN=bcd.com\x1b[2J".into(),
            not_after: WallTime::from_unix_seconds(2_090_707_200),
            fingerprint: "AB:CD".into(),
        };
        let (name, file) = (Some("bcd.com".to_owned()), Some("/data/ca.pem".to_owned()));
        let own = CertificateReport { name, shown: Some(shown), file: None, trouble: None };
        let lost = CertificateReport { name: None, shown: None, file, trouble: Some("it is gone".into()) };
        let mut out = String::new();
        own.text(&mut out, 80);
        lost.text(&mut out, 80);
        let expected = "\
bcd.com
  subject      CN=bcd.com?[2J
  valid until  2036-04-02T00:00:00Z
  SHA-256      AB:CD
  from         made by the box
an authority
  from     /data/ca.pem
  trouble  it is gone
";
        assert_eq!(out, expected);
        assert_eq!((&own.json()["sha256"], &own.json()["kind"]), (&json!("AB:CD"), &json!("own")));
        assert_eq!((&lost.json()["subject"], &lost.json()["kind"]), (&Value::Null, &json!("authority")));
    }
}
