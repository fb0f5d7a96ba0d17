//! Texts that go into headers, queries and messages.

/// One line of at most `max` characters, without control characters.
pub(crate) fn one_line(text: &str, max: usize) -> String {
    let line: String = text.chars().map(|c| if c.is_control() { ' ' } else { c }).collect();
    line.trim().chars().take(max).collect::<String>().trim_end().to_owned()
}

/// Percent-encodes every byte except RFC 3986's unreserved ones, so that any text fits into a header.
pub(crate) fn percent_encode(text: &str) -> String {
    use std::fmt::Write as _;
    let mut encoded = String::with_capacity(text.len());
    for byte in text.bytes() {
        if byte.is_ascii_alphanumeric() || matches!(byte, b'-' | b'.' | b'_' | b'~') {
            encoded.push(char::from(byte));
        } else {
            // Writing to a String cannot fail.
            let _ = write!(encoded, "%{byte:02X}");
        }
    }
    encoded
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lines_are_printable_and_bounded() {
        assert_eq!(one_line(" a\r\nb\u{7}", 10), "a  b");
        assert_eq!(one_line("ab  cd", 4), "ab");
        assert_eq!(one_line("äöü", 2), "äö");
    }

    #[test]
    fn everything_but_unreserved_is_encoded() {
        assert_eq!(percent_encode("Zür 1%\n-._~"), "Z%C3%BCr%201%25%0A-._~");
    }
}
