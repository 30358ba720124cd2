//! Domain names beyond ASCII: each U-label becomes the A-label that DNS knows (RFC 5890 §2.3.2.1; Punycode,
//! RFC 3492 §6.3). Everything behind `mail::address` sees A-labels alone, so that both spellings are one domain.
//! Danger: no tables of Unicode are here. A label that is not in its normal form (NFC), or that IDNA2008 does
//! not allow, becomes a name that no registry gives out: the mail fails, it never goes to another's domain.

const PREFIX: &str = "xn--";
const BASE: u32 = 36;
const T_MIN: u32 = 1;
const T_MAX: u32 = 26;
const SKEW: u32 = 38;
const DAMP: u32 = 700;
const INITIAL_BIAS: u32 = 72;
const INITIAL_N: u32 = 0x80;

/// `text` with each U-label as its A-label. `None` when a label cannot be one; what is ASCII is left as it is.
pub fn to_ascii(text: &str) -> Option<String> {
    // The full stops of other scripts part labels too (RFC 5895 §2).
    let labels = text.split(['.', '\u{3002}', '\u{ff0e}', '\u{ff61}']).map(a_label);
    Some(labels.collect::<Option<Vec<String>>>()?.join("."))
}

fn a_label(label: &str) -> Option<String> {
    if label.is_ascii() {
        return Some(label.to_owned());
    }
    let lower: Vec<char> = label.chars().flat_map(char::to_lowercase).collect();
    let begins_well = lower.first().is_some_and(|c| c.is_alphanumeric());
    if !begins_well || !lower.iter().all(|c| is_allowed(*c)) || lower.get(2..4) == Some(&['-', '-']) {
        return None;
    }
    Some(format!("{PREFIX}{}", punycode(&lower)?))
}

/// Letters, digits and hyphens; beyond ASCII all but what could break out of a line or hide in it.
fn is_allowed(c: char) -> bool {
    match c {
        c if c.is_ascii() => c.is_ascii_alphanumeric() || c == '-',
        '\u{ad}' | '\u{200b}' | '\u{200e}'..='\u{200f}' | '\u{2010}'..='\u{206f}' | '\u{feff}' => false,
        '\u{fe00}'..='\u{fe0f}' | '\u{fff0}'..='\u{ffff}' | '\u{e0000}'.. => false,
        c => !c.is_control() && !c.is_whitespace(),
    }
}

/// RFC 3492 §6.3; `None` when the numbers overflow.
fn punycode(label: &[char]) -> Option<String> {
    let mut out: String = label.iter().filter(|c| c.is_ascii()).collect();
    let basic = u32::try_from(out.len()).ok()?;
    if basic > 0 {
        out.push('-');
    }
    let (mut n, mut delta, mut bias, mut handled) = (INITIAL_N, 0u32, INITIAL_BIAS, basic);
    while (handled as usize) < label.len() {
        let next = label.iter().map(|c| u32::from(*c)).filter(|c| *c >= n).min()?;
        delta = delta.checked_add((next - n).checked_mul(handled + 1)?)?;
        n = next;
        for code in label.iter().map(|c| u32::from(*c)) {
            if code < n {
                delta = delta.checked_add(1)?;
            } else if code == n {
                append_integer(&mut out, delta, bias);
                bias = adapt(delta, handled + 1, handled == basic);
                delta = 0;
                handled += 1;
            }
        }
        delta = delta.checked_add(1)?;
        n += 1;
    }
    Some(out)
}

/// A generalized variable-length integer (RFC 3492 §3.3).
fn append_integer(out: &mut String, delta: u32, bias: u32) {
    let mut rest = delta;
    for k in (BASE..).step_by(BASE as usize) {
        let threshold = k.saturating_sub(bias).clamp(T_MIN, T_MAX);
        if rest < threshold {
            break;
        }
        out.push(digit(threshold + (rest - threshold) % (BASE - threshold)));
        rest = (rest - threshold) / (BASE - threshold);
    }
    out.push(digit(rest));
}

/// `a` to `z` are 0 to 25, `0` to `9` are 26 to 35.
fn digit(value: u32) -> char {
    const DIGITS: &[u8; BASE as usize] = b"abcdefghijklmnopqrstuvwxyz0123456789";
    char::from(DIGITS[value as usize])
}

/// RFC 3492 §6.1.
fn adapt(delta: u32, points: u32, first: bool) -> u32 {
    let mut delta = if first { delta / DAMP } else { delta / 2 };
    delta += delta / points;
    let mut k = 0;
    while delta > ((BASE - T_MIN) * T_MAX) / 2 {
        delta /= BASE - T_MIN;
        k += BASE;
    }
    k + (BASE - T_MIN + 1) * delta / (delta + SKEW)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_have_the_a_labels_that_registries_give_them() {
        for (name, expected) in [
            ("abc.com", "abc.com"),
            ("bücher.example", "xn--bcher-kva.example"),
            ("BÜCHER.example", "xn--bcher-kva.example"),
            ("münchen.de", "xn--mnchen-3ya.de"),
            ("faß.de", "xn--fa-hia.de"),
            ("παράδειγμα.δοκιμή", "xn--hxajbheg2az3al.xn--jxalpdlp"),
            ("пример.испытание", "xn--e1afmkfd.xn--80akhbyknj4f"),
            ("उदाहरण.परीक्षा", "xn--p1b6ci4b4b3a.xn--11b5bs3a9aj6g"),
            ("例え。テスト", "xn--r8jz45g.xn--zckzah"),
            ("مثال.إختبار", "xn--mgbh0fb.xn--kgbechtv"),
            ("실례.테스트", "xn--9n2bp8q.xn--9t4b11yi5a"),
            ("mail.例え.jp", "mail.xn--r8jz45g.jp"),
        ] {
            assert_eq!(to_ascii(name).as_deref(), Some(expected), "{name}");
        }
    }

    #[test]
    fn what_no_registry_gives_out_is_no_name() {
        for (caption, name) in [
            ("a blank", "bü cher.example"),
            ("a line end", "bü\r\ncher.example"),
            ("a hidden character", "bü\u{200b}cher.example"),
            ("text turned round", "bü\u{202e}cher.example"),
            ("an underscore", "bü_cher.example"),
            ("a hyphen first", "-bücher.example"),
            ("a mark first", "\u{301}bücher.example"),
            ("hyphens where the prefix has them", "bü--cher.example"),
        ] {
            assert_eq!(to_ascii(name), None, "{caption}");
        }
    }
}
