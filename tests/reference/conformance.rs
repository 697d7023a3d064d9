//! Reads the operator cases of the ONNX node tests; their absence is said aloud.

use suanzi::storage::{Bf16, F16};

use super::golden::shared;

/// One tensor of a case.
pub(crate) struct Tensor {
    pub name: String,
    pub dtype: String,
    pub shape: Vec<usize>,
    bytes: Vec<u8>,
}

/// One operator case.
pub(crate) struct Case {
    pub name: String,
    attributes: String,
    pub inputs: Vec<Tensor>,
    pub outputs: Vec<Tensor>,
    pub relative: f64,
    pub absolute: f64,
}

impl Tensor {
    /// Returns the numbers of a float32 tensor.
    pub(crate) fn f32s(&self) -> Vec<f32> {
        assert_eq!(self.dtype, "float32", "{}", self.name);
        self.bytes
            .as_chunks()
            .0
            .iter()
            .map(|&b| f32::from_le_bytes(b))
            .collect()
    }

    /// Returns the numbers of a tensor of any type, those of truth values as 0 and 1.
    pub(crate) fn numbers(&self) -> Vec<f64> {
        let words = |size: usize| {
            self.bytes.chunks(size).map(|bytes| {
                let word = bytes.iter().rev();
                word.fold(0_u64, |word, &byte| word << 8 | u64::from(byte))
            })
        };
        match self.dtype.as_str() {
            "float32" => self.f32s().into_iter().map(f64::from).collect(),
            "float64" => words(8).map(f64::from_bits).collect(),
            "float16" => words(2)
                .map(|word| f64::from(F16::from_bits(word as u16).to_f32()))
                .collect(),
            "bfloat16" => words(2)
                .map(|word| f64::from(Bf16::from_bits(word as u16).to_f32()))
                .collect(),
            "int64" => words(8).map(|word| word as i64 as f64).collect(),
            "bool" => words(1).map(|word| word as f64).collect(),
            other => panic!("{}: what is {other}?", self.name),
        }
    }

    /// Returns the numbers of an int64 tensor.
    pub(crate) fn i64s(&self) -> Vec<i64> {
        assert_eq!(self.dtype, "int64", "{}", self.name);
        self.bytes
            .as_chunks()
            .0
            .iter()
            .map(|&b| i64::from_le_bytes(b))
            .collect()
    }
}

impl Case {
    /// Returns the input of a name.
    pub(crate) fn input(&self, name: &str) -> Option<&Tensor> {
        self.inputs.iter().find(|t| t.name == name)
    }

    /// Returns the output of a name.
    pub(crate) fn output(&self, name: &str) -> Option<&Tensor> {
        self.outputs.iter().find(|t| t.name == name)
    }

    /// Returns a numeric attribute, if it is set.
    pub(crate) fn number(&self, name: &str) -> Option<f64> {
        let rest = after(&self.attributes, &format!("\"{name}\":"))?;
        let word = rest.split([',', '}']).next()?;
        Some(word.trim().parse().expect("a number"))
    }

    /// Returns the attribute axis, the last one if it is not set.
    pub(crate) fn axis(&self) -> i64 {
        after(&self.attributes, "\"axis\":")
            .and_then(|s| s.split([',', '}']).next())
            .map_or(-1, |s| s.trim().parse().expect("an axis"))
    }

    /// Returns the text of an attribute, if it is set.
    pub(crate) fn text(&self, name: &str) -> Option<&str> {
        after(&self.attributes, &format!("\"{name}\":"))
            .and_then(|s| s.split([',', '}']).next())
            .map(|s| s.trim().trim_matches('"'))
    }

    /// Returns an integer attribute, zero if it is not set.
    pub(crate) fn integer(&self, name: &str) -> usize {
        after(&self.attributes, &format!("\"{name}\":"))
            .and_then(|s| s.split([',', '}']).next())
            .map_or(0, |s| s.trim().parse().expect("an integer attribute"))
    }
}

/// Returns what follows the first occurrence of `key`.
fn after<'a>(text: &'a str, key: &str) -> Option<&'a str> {
    text.split_once(key).map(|(_, rest)| rest)
}

/// Returns the text of the value of `key` up to `end`.
fn value<'a>(text: &'a str, key: &str, end: char) -> &'a str {
    let rest = after(text, &format!("\"{key}\":")).unwrap_or_else(|| panic!("no {key} in {text}"));
    rest.split(end)
        .next()
        .unwrap_or_default()
        .trim_matches(['"', ' ', '['])
}

fn tensors(text: &str, data: &[u8]) -> Vec<Tensor> {
    let objects = text.split("{\"name\":").skip(1);
    objects
        .map(|object| {
            let object = format!("\"name\":{object}");
            let dtype = value(&object, "dtype", ',').to_owned();
            let shape: Vec<usize> = value(&object, "shape", ']')
                .split(',')
                .filter(|s| !s.is_empty())
                .map(|s| s.trim().parse().expect("a size"))
                .collect();
            let offset: usize = value(&object, "offset", '}').parse().expect("an offset");
            let size = match dtype.as_str() {
                "float64" | "int64" => 8,
                "float32" => 4,
                "float16" | "bfloat16" => 2,
                _ => 1,
            };
            let bytes = data[offset..offset + size * shape.iter().product::<usize>()].to_vec();
            let name = value(&object, "name", ',').to_owned();
            Tensor {
                name,
                dtype,
                shape,
                bytes,
            }
        })
        .collect()
}

/// Returns the cases of an operator; none where the shared data are absent.
pub(crate) fn cases(operator: &str) -> Vec<Case> {
    let (Some(index), Some(data)) = (
        shared("data/onnx-conformance/index.jsonl"),
        shared("data/onnx-conformance/tensors.bin"),
    ) else {
        return Vec::new();
    };
    let index = std::fs::read_to_string(index).expect("a readable file");
    let data = std::fs::read(data).expect("a readable file");
    let lines = index
        .lines()
        .filter(|line| value(line, "op", ',') == operator);
    lines
        .map(|line| {
            let (head, tail) = line.split_once("\"inputs\":").expect("inputs");
            let (inputs, outputs) = tail.split_once("\"outputs\":").expect("outputs");
            Case {
                name: value(head, "case", ',').to_owned(),
                attributes: format!(
                    "{}}}",
                    after(head, "\"attrs\":")
                        .expect("attrs")
                        .split('}')
                        .next()
                        .unwrap_or("")
                ),
                inputs: tensors(inputs, &data),
                outputs: tensors(outputs, &data),
                relative: value(head, "rtol", ',').parse().expect("a tolerance"),
                absolute: value(head, "atol", ',').parse().expect("a tolerance"),
            }
        })
        .collect()
}
