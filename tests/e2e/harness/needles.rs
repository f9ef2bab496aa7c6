//! Secrets looked for in what a process has written, in every form in which programs print bytes.

use std::{
    collections::BTreeMap,
    io::{BufReader, Read as _},
    path::Path,
};

/// As much of a secret as is enough to say that it is shown.
const SHOWN_BYTES: usize = 8;
/// Base64 of that many bytes, without the digit that depends on what follows.
const SHOWN_DIGITS: usize = 10;
/// Of where a form may begin, by a hash of its first bytes.
const FILTER_BITS: u32 = 20;

/// What to look for, each with the name of what it shows.
#[derive(Default)]
pub(crate) struct Needles {
    by_beginning: BTreeMap<u64, Vec<(Vec<u8>, String)>>,
    filter: Vec<bool>,
}

impl Needles {
    /// Looks for the beginning of a secret too, in either order of its bytes.
    pub(crate) fn add(&mut self, name: &str, secret: &[u8; 32]) {
        assert_ne!(secret, &[0; 32], "{name} is no secret");
        self.filter.resize(1 << FILTER_BITS, false);
        let mut backwards = *secret;
        backwards.reverse();
        for bytes in [secret, &backwards] {
            for (what, form) in forms(bytes) {
                let beginning = form[..SHOWN_BYTES].try_into().expect("no form is shorter");
                let beginning = u64::from_be_bytes(beginning);
                self.filter[slot(beginning)] = true;
                let same = self.by_beginning.entry(beginning).or_default();
                same.push((form, format!("{name} ({what})")));
            }
        }
    }

    /// How many forms are looked for.
    pub(crate) fn count(&self) -> usize {
        self.by_beginning.values().map(Vec::len).sum()
    }

    /// The names of what is shown in these bytes.
    pub(crate) fn shown_in(&self, text: &[u8]) -> Vec<String> {
        let mut found = Vec::new();
        let mut window = 0_u64;
        for (end, byte) in text.iter().enumerate() {
            window = window << 8 | u64::from(*byte);
            if !self.filter[slot(window)] || end + 1 < SHOWN_BYTES {
                continue;
            }
            let here = &text[end + 1 - SHOWN_BYTES..];
            let candidates = self.by_beginning.get(&window).into_iter().flatten();
            found.extend(
                candidates.filter(|(form, _)| here.starts_with(form)).map(|(_, name)| name.clone()),
            );
        }
        found
    }

    /// The same of a file, a piece at a time, and how long it is.
    pub(crate) fn shown_in_file(&self, path: &Path) -> (Vec<String>, u64) {
        const PIECE: u64 = 8 << 20;
        const OVERLAP: usize = 128;
        let file = std::fs::File::open(path).expect("a file opens");
        let (mut file, mut kept, mut length) = (BufReader::new(file), Vec::new(), 0);
        let mut found = Vec::new();
        loop {
            let read = file.by_ref().take(PIECE).read_to_end(&mut kept).expect("a file reads");
            length += read as u64;
            found.extend(self.shown_in(&kept));
            if read == 0 {
                return (found, length);
            }
            kept.drain(..kept.len().saturating_sub(OVERLAP));
        }
    }
}

fn slot(window: u64) -> usize {
    let mixed = window.wrapping_mul(0x9e37_79b9_7f4a_7c15) >> (u64::BITS - FILTER_BITS);
    usize::try_from(mixed).expect("20 bits")
}

/// The first bytes as they are, in hexadecimal, as a list of numbers, as a byte string, and in base64 at any place of a
/// group of three.
fn forms(secret: &[u8; 32]) -> Vec<(&'static str, Vec<u8>)> {
    let shown = &secret[..SHOWN_BYTES];
    let digits: String = shown.iter().map(|byte| format!("{byte:02x}")).collect();
    let list = |separator: &str| {
        shown.iter().map(ToString::to_string).collect::<Vec<_>>().join(separator).into_bytes()
    };
    let mut forms = vec![
        ("bytes", shown.to_vec()),
        ("hexadecimal", digits.clone().into_bytes()),
        ("HEXADECIMAL", digits.to_uppercase().into_bytes()),
        ("list", list(", ")),
        ("JSON", list(",")),
        ("words", list(" ")),
        ("byte string", shown.escape_ascii().to_string().into_bytes()),
    ];
    for from in 0..3 {
        for (what, alphabet) in [("base64", b"+/"), ("base64url", b"-_")] {
            forms.push((what, base64(&secret[from..], *alphabet)));
        }
    }
    forms
}

/// The first digits of the base64 of some bytes.
fn base64(bytes: &[u8], last: [u8; 2]) -> Vec<u8> {
    let alphabet: Vec<u8> =
        (b'A'..=b'Z').chain(b'a'..=b'z').chain(b'0'..=b'9').chain(last).collect();
    let digits = bytes.chunks_exact(3).flat_map(|group| {
        let bits = group.iter().fold(0_usize, |bits, byte| bits << 8 | usize::from(*byte));
        [18, 12, 6, 0].map(|shift| alphabet[bits >> shift & 63])
    });
    digits.take(SHOWN_DIGITS).collect()
}

#[test]
fn a_secret_is_found_in_whatever_form_it_is_printed() {
    let secret: [u8; 32] =
        std::array::from_fn(|at| u8::try_from((at * 37 + 3) % 256).expect("a byte"));
    let mut needles = Needles::default();
    needles.add("it", &secret);
    assert_eq!(needles.count(), 26);
    let hex = |bytes: &[u8]| bytes.iter().map(|byte| format!("{byte:02x}")).collect::<String>();
    let reversed: Vec<u8> = secret.iter().rev().copied().collect();
    let shown = [
        format!("key={} of", hex(&secret)),
        format!("key=0x{}…", hex(&secret[..8])),
        format!("…{}", hex(&reversed)),
        hex(&secret).to_uppercase(),
        format!("{secret:?}"),
        format!("{:?}", &secret[..8]),
        serde_json::to_string(&secret).expect("JSON"),
        secret.escape_ascii().to_string(),
        // By another's hand: `printf … | base64`.
        String::from_utf8_lossy(&base64(&secret, *b"+/")).into_owned(),
    ];
    for text in &shown {
        assert!(!needles.shown_in(text.as_bytes()).is_empty(), "{text}");
    }
    assert!(!needles.shown_in(&[&[1, 2][..], &secret].concat()).is_empty());
    for text in ["", "key", &hex(&secret[1..]), &hex(&[7; 32])] {
        assert_eq!(needles.shown_in(text.as_bytes()), [""; 0], "{text}");
    }
    assert_eq!(base64(b"any carnal pleas", *b"+/"), b"YW55IGNhcm");
}
