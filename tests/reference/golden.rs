//! Reads the reference vectors beside the repository; their absence is said aloud.

use std::path::PathBuf;

/// One case of a file of reference vectors.
pub(crate) struct Case {
    pub head: String,
    pub fields: Vec<(String, Vec<usize>, Vec<f64>)>,
}

impl Case {
    /// Returns the numbers of a field.
    pub(crate) fn get(&self, name: &str) -> Option<&[f64]> {
        self.fields
            .iter()
            .find(|f| f.0 == name)
            .map(|f| f.2.as_slice())
    }

    /// Returns the numbers of a field in `f32`; they are exactly representable there.
    pub(crate) fn get32(&self, name: &str) -> Vec<f32> {
        self.get(name)
            .unwrap_or_default()
            .iter()
            .map(|&x| x as f32)
            .collect()
    }

    /// Returns the value of a key of the case line.
    pub(crate) fn key(&self, name: &str) -> Option<&str> {
        self.head
            .split_whitespace()
            .find_map(|w| w.strip_prefix(name)?.strip_prefix('='))
    }
}

/// Returns the path of a file in the folder of shared test data, if it is there.
pub(crate) fn shared(path: &str) -> Option<PathBuf> {
    let root = std::env::var_os("SUANZI_SHARED").map_or_else(
        || PathBuf::from(concat!(env!("CARGO_MANIFEST_DIR"), "/../shared")),
        PathBuf::from,
    );
    let path = root.join(path);
    if path.exists() {
        return Some(path);
    }
    eprintln!(
        "SKIPPED: no shared test data ({})",
        path.file_name().unwrap_or_default().to_string_lossy()
    );
    None
}

/// Reads a file of reference vectors; none where the shared data are absent.
pub(crate) fn read(name: &str) -> Vec<Case> {
    let Some(path) = shared(&format!("golden/{name}")) else {
        return Vec::new();
    };
    let text = std::fs::read_to_string(path).expect("a readable file");
    let mut cases: Vec<Case> = Vec::new();
    for line in text.lines() {
        let mut words = line.split_whitespace();
        match words.next() {
            None | Some("end") => {}
            Some(word) if word.starts_with('#') => {}
            Some("case") => cases.push(Case {
                head: line.to_owned(),
                fields: Vec::new(),
            }),
            Some(name) => {
                let kind = words.next().expect("a type");
                if kind == "str" {
                    continue;
                }
                let shape = words
                    .next()
                    .expect("a shape")
                    .split('x')
                    .map(|d| d.parse().expect("a size"))
                    .collect();
                let numbers = words.map(|w| w.parse().expect("a number")).collect();
                cases
                    .last_mut()
                    .expect("a case")
                    .fields
                    .push((name.to_owned(), shape, numbers));
            }
        }
    }
    cases
}
