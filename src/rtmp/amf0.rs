//! Values as commands carry them (AMF0), both ways. No deeper than [`DEPTH`], and no room is made for what a count claims.

use bytes::BytesMut;

/// How many values can lie inside one another.
pub const DEPTH: usize = 16;
/// The most values of one message.
pub const VALUES: usize = 4096;

/// A value.
#[derive(Debug, Clone, PartialEq)]
pub enum Value {
    /// A number, or a date in milliseconds.
    Number(f64),
    /// Yes or no.
    Boolean(bool),
    /// A text.
    String(String),
    /// Names and values: an object, an array by names, or an object with a class.
    Object(Vec<(String, Value)>),
    /// Values in a row.
    Array(Vec<Value>),
    /// Nothing.
    Null,
}

/// Why it cannot be read.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum AmfError {
    /// It ends in the middle of a value.
    #[error("a command ends in the middle")]
    Short,
    /// Values inside values without end.
    #[error("a command has values more than {DEPTH} deep")]
    Deep,
    /// More values than anybody needs.
    #[error("a command has more than {VALUES} values")]
    Many,
    /// A kind of value that is not known.
    #[error("a command has a value of the unknown kind {0}")]
    Kind(u8),
}

impl Value {
    /// The value of this name, in an object.
    #[must_use]
    pub fn get(&self, name: &str) -> Option<&Self> {
        let Self::Object(fields) = self else { return None };
        fields.iter().find(|(found, _)| found == name).map(|(_, value)| value)
    }

    /// The text, if it is one.
    #[must_use]
    pub fn text(&self) -> Option<&str> {
        if let Self::String(text) = self { Some(text) } else { None }
    }

    /// The number, if it is one.
    #[must_use]
    pub fn number(&self) -> Option<f64> {
        if let Self::Number(number) = self { Some(*number) } else { None }
    }

    /// A text.
    #[must_use]
    pub fn of(text: &str) -> Self {
        Self::String(text.to_owned())
    }
}

/// Reads all values of a message.
///
/// # Errors
/// [`AmfError`], for what is none.
pub fn read(bytes: &[u8]) -> Result<Vec<Value>, AmfError> {
    let mut reader = Reader { bytes, values: 0 };
    let mut values = Vec::new();
    while !reader.bytes.is_empty() {
        values.push(reader.value(DEPTH)?);
    }
    Ok(values)
}

struct Reader<'a> {
    bytes: &'a [u8],
    values: usize,
}

impl<'a> Reader<'a> {
    fn take(&mut self, count: usize) -> Result<&'a [u8], AmfError> {
        let (taken, rest) = self.bytes.split_at_checked(count).ok_or(AmfError::Short)?;
        self.bytes = rest;
        Ok(taken)
    }

    fn array<const N: usize>(&mut self) -> Result<[u8; N], AmfError> {
        self.take(N)?.first_chunk().copied().ok_or(AmfError::Short)
    }

    fn string(&mut self) -> Result<String, AmfError> {
        let length = u16::from_be_bytes(self.array()?);
        Ok(String::from_utf8_lossy(self.take(usize::from(length))?).into_owned())
    }

    fn long_string(&mut self) -> Result<String, AmfError> {
        let length = usize::try_from(u32::from_be_bytes(self.array()?)).map_err(|_| AmfError::Short)?;
        Ok(String::from_utf8_lossy(self.take(length)?).into_owned())
    }

    /// A value that has at most `depth` levels.
    fn value(&mut self, depth: usize) -> Result<Value, AmfError> {
        self.values += 1;
        if self.values > VALUES {
            return Err(AmfError::Many);
        }
        let [kind] = self.array()?;
        if matches!(kind, 3 | 8 | 10 | 16) && depth == 0 {
            return Err(AmfError::Deep);
        }
        Ok(match kind {
            0 => Value::Number(f64::from_be_bytes(self.array()?)),
            1 => Value::Boolean(self.array::<1>()? != [0]),
            2 => Value::String(self.string()?),
            3 => Value::Object(self.fields(depth)?),
            5 | 6 => Value::Null,
            8 => {
                // The count is only a hint.
                self.array::<4>()?;
                Value::Object(self.fields(depth)?)
            }
            10 => {
                let count = u32::from_be_bytes(self.array()?);
                let mut values = Vec::new();
                for _ in 0..count {
                    values.push(self.value(depth - 1)?);
                }
                Value::Array(values)
            }
            11 => {
                let milliseconds = f64::from_be_bytes(self.array()?);
                self.array::<2>()?;
                Value::Number(milliseconds)
            }
            12 | 15 => Value::String(self.long_string()?),
            16 => {
                self.string()?;
                Value::Object(self.fields(depth)?)
            }
            kind => return Err(AmfError::Kind(kind)),
        })
    }

    /// Names and values up to the mark of their end.
    fn fields(&mut self, depth: usize) -> Result<Vec<(String, Value)>, AmfError> {
        let mut fields = Vec::new();
        loop {
            let name = self.string()?;
            if name.is_empty() && self.bytes.first() == Some(&9) {
                self.take(1)?;
                return Ok(fields);
            }
            fields.push((name, self.value(depth - 1)?));
        }
    }
}

/// Writes values in a row.
pub fn write(out: &mut BytesMut, values: &[Value]) {
    for value in values {
        match value {
            Value::Number(number) => {
                out.extend_from_slice(&[0]);
                out.extend_from_slice(&number.to_be_bytes());
            }
            Value::Boolean(yes) => out.extend_from_slice(&[1, u8::from(*yes)]),
            Value::String(text) => {
                out.extend_from_slice(&[2]);
                write_name(out, text);
            }
            Value::Object(fields) => {
                out.extend_from_slice(&[3]);
                for (name, value) in fields {
                    write_name(out, name);
                    write(out, std::slice::from_ref(value));
                }
                out.extend_from_slice(&[0, 0, 9]);
            }
            Value::Array(values) => {
                out.extend_from_slice(&[10]);
                out.extend_from_slice(&u32::try_from(values.len()).unwrap_or(u32::MAX).to_be_bytes());
                write(out, values);
            }
            Value::Null => out.extend_from_slice(&[5]),
        }
    }
}

/// A text with its length in front, cut where that would not hold it.
fn write_name(out: &mut BytesMut, text: &str) {
    let text = text.get(..text.floor_char_boundary(usize::from(u16::MAX))).unwrap_or_default();
    out.extend_from_slice(&u16::try_from(text.len()).unwrap_or(u16::MAX).to_be_bytes());
    out.extend_from_slice(text.as_bytes());
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn values() -> impl Strategy<Value = Value> {
        let leaf = prop_oneof![
            (-1e9..1e9).prop_map(Value::Number),
            any::<bool>().prop_map(Value::Boolean),
            "[a-zé]{0,9}".prop_map(Value::String),
            Just(Value::Null),
        ];
        leaf.prop_recursive(5, 40, 6, |inner| {
            prop_oneof![
                prop::collection::vec(("[a-z]{1,4}", inner.clone()), 0..5).prop_map(Value::Object),
                prop::collection::vec(inner, 0..5).prop_map(Value::Array),
            ]
        })
    }

    fn written(values: &[Value]) -> BytesMut {
        let mut out = BytesMut::new();
        write(&mut out, values);
        out
    }

    proptest! {
        #[test]
        fn what_is_written_is_read(values in prop::collection::vec(values(), 0..6)) {
            prop_assert_eq!(read(&written(&values)), Ok(values));
        }

        #[test]
        fn no_bytes_make_it_fail(values in prop::collection::vec(values(), 1..4), at in any::<prop::sample::Index>(), byte in any::<u8>(), cut in any::<prop::sample::Index>()) {
            let mut bytes = written(&values);
            let at = at.index(bytes.len());
            bytes[at] = byte;
            drop(read(&bytes));
            drop(read(&bytes[..cut.index(bytes.len())]));
        }
    }

    #[test]
    fn values_inside_values_have_an_end() {
        for (kind, deeper) in [(3, &[3, 0, 1, b'a'][..]), (8, &[8, 0, 0, 0, 1, 0, 1, b'a']), (10, &[10, 0, 0, 0, 1])] {
            assert_eq!(read(&deeper.repeat(20_000)), Err(AmfError::Deep), "{kind}");
            let mut just = deeper.repeat(DEPTH);
            just.push(5);
            let ends: &[u8] = if kind == 10 { &[] } else { &[0, 0, 9] };
            just.extend_from_slice(&ends.repeat(DEPTH));
            assert!(read(&just).is_ok(), "{kind}");
        }
    }

    #[test]
    fn counts_cost_nothing_and_values_are_counted() {
        assert_eq!(read(&[10, 0xff, 0xff, 0xff, 0xff]), Err(AmfError::Short));
        assert_eq!(read(&[8, 0xff, 0xff, 0xff, 0xff]), Err(AmfError::Short));
        assert_eq!(read(&[12, 0xff, 0xff, 0xff, 0xff, 1]), Err(AmfError::Short));
        assert_eq!(read(&[5; VALUES + 1]), Err(AmfError::Many));
        assert_eq!(read(&[13]), Err(AmfError::Kind(13)));
    }

    #[test]
    fn other_forms_of_the_same_are_understood() {
        let object = Value::Object(vec![("a".into(), Value::Boolean(true))]);
        for bytes in [
            &[3, 0, 1, b'a', 1, 1, 0, 0, 9][..],
            &[8, 0, 0, 0, 0, 0, 1, b'a', 1, 2, 0, 0, 9],
            &[16, 0, 2, b'X', b'Y', 0, 1, b'a', 1, 1, 0, 0, 9],
        ] {
            assert_eq!(read(bytes), Ok(vec![object.clone()]));
        }
        assert_eq!(read(&[12, 0, 0, 0, 1, b'x', 6]), Ok(vec![Value::of("x"), Value::Null]));
        let date = [&[11][..], &5f64.to_be_bytes(), &[0, 0]].concat();
        assert_eq!(read(&date), Ok(vec![Value::Number(5.0)]));
        assert_eq!(object.get("a"), Some(&Value::Boolean(true)));
    }
}
