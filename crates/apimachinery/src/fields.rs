//! Field selectors: `spec.nodeName=n1,status.phase!=Running`. Which fields a resource knows is
//! decided by the caller through [`Selector::transform`]; this module only parses and matches.

use std::borrow::Cow;
use std::fmt;

/// One comparison of one field.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct Term {
    pub field: String,
    pub value: String,
    pub negated: bool,
}

/// All terms must hold. The default selects everything.
#[derive(Debug, Clone, PartialEq, Eq, Hash, Default)]
pub struct Selector {
    terms: Vec<Term>,
}

impl Selector {
    /// # Errors
    /// Upstream's words for terms without operator and for bad escapes.
    pub fn parse(text: &str) -> Result<Self, String> {
        let mut parts = split_terms(text);
        parts.sort_unstable();
        let mut terms = Vec::new();
        for part in parts.into_iter().filter(|p| !p.is_empty()) {
            let (field, negated, value) = split_term(part)
                .ok_or_else(|| format!("invalid selector: '{text}'; can't understand '{part}'"))?;
            terms.push(Term { field: field.to_owned(), value: unescape(value)?, negated });
        }
        Ok(Self { terms })
    }

    pub fn equals(field: &str, value: &str) -> Self {
        Self { terms: vec![Term { field: field.to_owned(), value: value.to_owned(), negated: false }] }
    }

    pub fn is_everything(&self) -> bool {
        self.terms.is_empty()
    }

    pub fn terms(&self) -> &[Term] {
        &self.terms
    }

    /// Renames or refuses fields; `map` gets the field and gives its canonical name.
    ///
    /// # Errors
    /// The first error of `map`.
    pub fn transform<E>(mut self, map: impl Fn(&str) -> Result<String, E>) -> Result<Self, E> {
        for term in &mut self.terms {
            term.field = map(&term.field)?;
        }
        Ok(self)
    }

    /// The only value `field` may have, if the selector demands one (used for indexes).
    pub fn exact(&self, field: &str) -> Option<&str> {
        self.terms.iter().find(|t| !t.negated && t.field == field).map(|t| t.value.as_str())
    }

    /// `lookup` gives a field's value; an absent field counts as empty, as upstream has it.
    pub fn matches<'a>(&self, lookup: impl Fn(&str) -> Option<Cow<'a, str>>) -> bool {
        self.terms.iter().all(|t| (lookup(&t.field).unwrap_or_default() == t.value) != t.negated)
    }
}

impl fmt::Display for Selector {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (i, t) in self.terms.iter().enumerate() {
            let comma = if i > 0 { "," } else { "" };
            write!(f, "{comma}{}{}{}", t.field, if t.negated { "!=" } else { "=" }, escape(&t.value))?;
        }
        Ok(())
    }
}

/// Escapes a value for use in a selector.
pub fn escape(value: &str) -> Cow<'_, str> {
    if !value.contains(['\\', ',', '=']) {
        return value.into();
    }
    value.replace('\\', "\\\\").replace(',', "\\,").replace('=', "\\=").into()
}

fn unescape(value: &str) -> Result<String, String> {
    let mut out = String::with_capacity(value.len());
    let mut chars = value.chars();
    while let Some(c) = chars.next() {
        match c {
            '\\' => match chars.next() {
                Some(c @ ('\\' | ',' | '=')) => out.push(c),
                Some(c) => return Err(format!("invalid field selector: invalid escape sequence: \\{c}")),
                None => return Err("invalid field selector: invalid escape sequence: \\".into()),
            },
            // Upstream prints the character's number here.
            ',' | '=' => {
                return Err(format!("invalid field selector: unescaped character in value: {}", c as u32));
            }
            c => out.push(c),
        }
    }
    Ok(out)
}

fn split_terms(text: &str) -> Vec<&str> {
    let mut terms = Vec::new();
    let (mut start, mut escaped) = (0, false);
    for (i, c) in text.char_indices() {
        match c {
            _ if escaped => escaped = false,
            '\\' => escaped = true,
            ',' => {
                terms.push(&text[start..i]);
                start = i + 1;
            }
            _ => {}
        }
    }
    terms.push(&text[start..]);
    terms
}

fn split_term(term: &str) -> Option<(&str, bool, &str)> {
    for (i, _) in term.char_indices() {
        let rest = &term[i..];
        for (operator, negated) in [("!=", true), ("==", false), ("=", false)] {
            if let Some(value) = rest.strip_prefix(operator) {
                return Some((&term[..i], negated, value));
            }
        }
    }
    None
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn selectors_parse_match_and_print() {
        let lookup = |field: &str| match field {
            "a" => Some(Cow::Borrowed("1")),
            "odd" => Some(Cow::Borrowed("x,y=\\")),
            _ => None,
        };
        for (text, printed, matches) in [
            ("", "", true),
            ("a=1", "a=1", true),
            ("a==1,", "a=1", true),
            ("a!=1", "a!=1", false),
            ("z=,a!=2", "a!=2,z=", true),
            (r"odd=x\,y\=\\", r"odd=x\,y\=\\", true),
        ] {
            let selector = Selector::parse(text).unwrap();
            assert_eq!(selector.to_string(), printed);
            assert_eq!(selector.matches(lookup), matches, "{text}");
        }
    }

    #[test]
    fn parse_errors_are_upstreams() {
        for (text, want) in [
            ("abc", "invalid selector: 'abc'; can't understand 'abc'"),
            (r"a=\x", r"invalid field selector: invalid escape sequence: \x"),
            ("a=b=c", "invalid field selector: unescaped character in value: 61"),
        ] {
            assert_eq!(Selector::parse(text).unwrap_err(), want);
        }
    }

    #[test]
    fn fields_can_be_renamed_or_refused() {
        let selector = Selector::parse("spec.host=n").unwrap();
        let renamed = selector
            .clone()
            .transform(|f| if f == "spec.host" { Ok("spec.nodeName".to_owned()) } else { Err(()) });
        assert_eq!(renamed.unwrap().exact("spec.nodeName"), Some("n"));
        assert_eq!(selector.transform(|f| Err::<String, _>(f.to_owned())), Err("spec.host".to_owned()));
    }
}
