//! The forms in which a secret could leak.

use base64::Engine as _;
use base64::engine::general_purpose::{STANDARD_NO_PAD, URL_SAFE_NO_PAD};

/// A secret as it is, in hex, and in base64 of both alphabets at each of the three alignments in which it
/// may stand inside a longer text.
#[must_use]
pub fn forms_of(secret: &str) -> Vec<String> {
    let mut forms = vec![secret.to_owned(), hex::encode(secret), hex::encode_upper(secret)];
    for lead in 0..3 {
        let text = format!("{}{secret}", "\0".repeat(lead));
        for engine in [&STANDARD_NO_PAD, &URL_SAFE_NO_PAD] {
            let encoded = engine.encode(&text);
            // The characters at both ends mix in their neighbours' bits.
            let inner = encoded.get((lead * 8).div_ceil(6)..encoded.len() - 1).unwrap_or_default();
            forms.push(inner.to_owned());
        }
    }
    forms.retain(|form| form.len() >= 8);
    forms
}

#[cfg(test)]
mod tests {
    use base64::engine::general_purpose::STANDARD;

    use super::*;

    #[test]
    fn a_secret_is_recognised_inside_what_is_encoded() {
        let forms = forms_of("k3y-0f-a-rider");
        for before in ["", "a", "ab", "API_KEY:"] {
            let encoded = STANDARD.encode(format!("{before}k3y-0f-a-rider and more"));
            assert!(forms.iter().any(|form| encoded.contains(form)), "{before:?}: {encoded}");
        }
        assert!(forms.contains(&hex::encode("k3y-0f-a-rider")));
    }
}
