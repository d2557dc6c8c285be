//! The format of the golden files: `[name]`, lines of `key value`, and `hex` lines that are joined.

/// One `[name]` of a file.
pub(crate) struct Entry {
    pub(crate) name: &'static str,
    fields: Vec<(&'static str, &'static str)>,
    pub(crate) bytes: Vec<u8>,
}

impl Entry {
    pub(crate) fn get(&self, key: &str) -> Option<&'static str> {
        self.fields.iter().find(|(k, _)| *k == key).map(|(_, value)| *value)
    }

    pub(crate) fn text(&self, key: &str) -> &'static str {
        self.get(key).unwrap_or_else(|| panic!("[{}] has no {key}", self.name))
    }

    pub(crate) fn number<T: TryFrom<u64>>(&self, key: &str) -> T {
        number(self.text(key)).unwrap_or_else(|| panic!("[{}] {key} is no number that fits", self.name))
    }

    pub(crate) fn yes(&self, key: &str) -> bool {
        match self.text(key) {
            "yes" => true,
            "no" => false,
            other => panic!("[{}] {key} {other}", self.name),
        }
    }

    pub(crate) fn payload(&self) -> &'static [u8] {
        hex(self.text("payload")).leak()
    }

    pub(crate) fn all(&self, key: &str) -> impl Iterator<Item = &'static str> {
        self.fields.iter().filter(move |(k, _)| *k == key).map(|(_, value)| *value)
    }
}

pub(crate) fn read(file: &'static str) -> Vec<Entry> {
    let mut entries: Vec<Entry> = Vec::new();
    for line in file.lines().map(str::trim).filter(|line| !line.is_empty() && !line.starts_with('#')) {
        if let Some(name) = line.strip_prefix('[').and_then(|rest| rest.strip_suffix(']')) {
            entries.push(Entry { name, fields: Vec::new(), bytes: Vec::new() });
            continue;
        }
        let entry = entries.last_mut().expect("a name comes first");
        let (key, value) = line.split_once(' ').unwrap_or((line, ""));
        if key == "hex" {
            entry.bytes.extend(hex(value));
        } else {
            entry.fields.push((key, value));
        }
    }
    assert!(entries.len() > 5);
    entries
}

fn hex(text: &str) -> Vec<u8> {
    let digits: Vec<u8> = text.bytes().filter(|b| *b != b' ').collect();
    digits
        .chunks(2)
        .map(|pair| u8::from_str_radix(str::from_utf8(pair).expect("hex"), 16).expect("hex"))
        .collect()
}

pub(crate) fn number<T: TryFrom<u64>>(text: &str) -> Option<T> {
    let value = match text.strip_prefix("0x") {
        Some(digits) => u64::from_str_radix(digits, 16),
        None => text.parse(),
    };
    T::try_from(value.ok()?).ok()
}
