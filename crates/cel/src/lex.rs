//! Text to tokens. Knows nothing of the grammar.

use crate::ast::Literal;
use crate::error::Issue;

#[derive(Debug, Clone, PartialEq)]
pub(crate) enum Token {
    Literal(Literal),
    /// A name, a keyword included.
    Name(String),
    /// 2^63, which is a number only behind a minus.
    Limit,
    /// Punctuation and operators.
    Sign(&'static str),
    End,
}

/// Longest first.
const SIGNS: [&str; 27] = [
    "==", "!=", "<=", ">=", "&&", "||", "[", "]", "{", "}", "(", ")", ".", ",", "-", "!", "?", ":", "+", "*",
    "/", "%", "<", ">", "=", ";", "@",
];

pub(crate) fn lex(source: &str) -> Result<Vec<(usize, Token)>, Issue> {
    let mut lexer = Lexer { source, at: 0 };
    let mut tokens = Vec::new();
    loop {
        lexer.skip_blanks();
        let at = lexer.at;
        let token = lexer.token()?;
        let end = token == Token::End;
        tokens.push((at, token));
        if end {
            return Ok(tokens);
        }
    }
}

struct Lexer<'a> {
    source: &'a str,
    at: usize,
}

impl<'a> Lexer<'a> {
    fn rest(&self) -> &'a str {
        &self.source[self.at..]
    }

    fn error<T>(&self, at: usize, message: impl Into<String>) -> Result<T, Issue> {
        Err(Issue { at, message: format!("Syntax error: {}", message.into()) })
    }

    fn skip_blanks(&mut self) {
        loop {
            let rest = self.rest();
            let trimmed = rest.trim_start_matches([' ', '\t', '\n', '\r', '\u{c}']);
            self.at += rest.len() - trimmed.len();
            if !trimmed.starts_with("//") {
                return;
            }
            self.at += trimmed.find('\n').unwrap_or(trimmed.len());
        }
    }

    fn token(&mut self) -> Result<Token, Issue> {
        let rest = self.rest();
        let Some(first) = rest.chars().next() else { return Ok(Token::End) };
        if let Some(literal) = self.quoted()? {
            return Ok(Token::Literal(literal));
        }
        if first.is_ascii_digit() || first == '.' && rest[1..].starts_with(|c: char| c.is_ascii_digit()) {
            return self.number();
        }
        if first.is_ascii_alphabetic() || first == '_' {
            let end = rest.find(|c: char| !c.is_ascii_alphanumeric() && c != '_').unwrap_or(rest.len());
            self.at += end;
            return Ok(Token::Name(rest[..end].into()));
        }
        match SIGNS.iter().find(|sign| rest.starts_with(**sign)) {
            Some(sign) => {
                self.at += sign.len();
                Ok(Token::Sign(sign))
            }
            None => self.error(self.at, format!("token recognition error at: '{first}'")),
        }
    }

    fn number(&mut self) -> Result<Token, Issue> {
        let (start, rest) = (self.at, self.rest());
        let digits = |text: &str| text.find(|c: char| !c.is_ascii_digit()).unwrap_or(text.len());
        if let Some(hex) = rest.strip_prefix("0x").or_else(|| rest.strip_prefix("0X")) {
            let length = hex.find(|c: char| !c.is_ascii_hexdigit()).unwrap_or(hex.len());
            self.at += 2 + length;
            return self.integer(start, &hex[..length], 16);
        }
        let mut length = digits(rest);
        let mut double = false;
        if rest[length..].starts_with('.') && rest[length + 1..].starts_with(|c: char| c.is_ascii_digit()) {
            double = true;
            length += 1 + digits(&rest[length + 1..]);
        }
        if rest[length..].starts_with(['e', 'E']) {
            let sign = usize::from(rest[length + 1..].starts_with(['+', '-']));
            let exponent = digits(&rest[length + 1 + sign..]);
            if exponent > 0 {
                double = true;
                length += 1 + sign + exponent;
            }
        }
        self.at += length;
        if !double {
            return self.integer(start, &rest[..length], 10);
        }
        match rest[..length].parse() {
            Ok(value) => Ok(Token::Literal(Literal::Double(value))),
            Err(_) => self.error(start, "invalid double literal"),
        }
    }

    fn integer(&mut self, start: usize, digits: &str, radix: u32) -> Result<Token, Issue> {
        let unsigned = self.rest().starts_with(['u', 'U']);
        self.at += usize::from(unsigned);
        let Ok(value) = u64::from_str_radix(digits, radix) else {
            return self.error(start, if unsigned { "invalid uint literal" } else { "invalid int literal" });
        };
        if unsigned {
            return Ok(Token::Literal(Literal::Uint(value)));
        }
        match i64::try_from(value) {
            Ok(value) => Ok(Token::Literal(Literal::Int(value))),
            Err(_) if value == 1 << 63 => Ok(Token::Limit),
            Err(_) => self.error(start, "invalid int literal"),
        }
    }

    /// A string or bytes literal, if one begins here.
    fn quoted(&mut self) -> Result<Option<Literal>, Issue> {
        let (start, rest) = (self.at, self.rest());
        // No more than two letters stand before the quote.
        let Some(prefix) = rest.bytes().take(3).position(|byte| byte == b'"' || byte == b'\'') else {
            return Ok(None);
        };
        let (mut raw, mut bytes) = (false, false);
        for letter in rest[..prefix].chars() {
            match letter {
                'r' | 'R' if !raw => raw = true,
                'b' | 'B' if !bytes => bytes = true,
                _ => return Ok(None),
            }
        }
        let body = &rest[prefix..];
        let Some(quote) = body.chars().next() else { return Ok(None) };
        let mark: String =
            quote.to_string().repeat(if body.starts_with(&quote.to_string().repeat(3)) { 3 } else { 1 });
        let mut content = body[mark.len()..].char_indices();
        let mut out = Vec::new();
        while let Some((at, c)) = content.next() {
            let text = &body[mark.len()..];
            if text[at..].starts_with(&mark) {
                self.at += prefix + 2 * mark.len() + at;
                return self.finish(start, out, bytes).map(Some);
            }
            if (c == '\n' || c == '\r') && mark.len() == 1 {
                break;
            }
            if c != '\\' {
                out.extend_from_slice(c.encode_utf8(&mut [0; 4]).as_bytes());
                continue;
            }
            if raw {
                out.push(b'\\');
                // A quote behind a backslash does not end a raw string either.
                if let Some((_, next)) = content.next() {
                    out.extend_from_slice(next.encode_utf8(&mut [0; 4]).as_bytes());
                }
                continue;
            }
            let Some(length) = escape(&text[at + 1..], bytes, &mut out) else {
                return self.error(start, "unable to unescape string");
            };
            // The escape is made of ASCII characters only.
            for _ in 0..length {
                content.next();
            }
        }
        self.error(
            start,
            format!("token recognition error at: '{}'", rest.lines().next().unwrap_or_default()),
        )
    }

    fn finish(&self, start: usize, out: Vec<u8>, bytes: bool) -> Result<Literal, Issue> {
        if bytes {
            return Ok(Literal::Bytes(out));
        }
        match String::from_utf8(out) {
            Ok(text) => Ok(Literal::String(text)),
            Err(_) => self.error(start, "unable to unescape string"),
        }
    }
}

/// Appends what an escape stands for; the length of the escape without its backslash.
fn escape(text: &str, bytes: bool, out: &mut Vec<u8>) -> Option<usize> {
    let letter = text.chars().next()?;
    let plain = match letter {
        'a' => 7,
        'b' => 8,
        'f' => 12,
        'n' => b'\n',
        'r' => b'\r',
        't' => b'\t',
        'v' => 11,
        '\\' | '\'' | '"' | '`' | '?' => letter as u8,
        _ => 0,
    };
    if plain != 0 {
        out.push(plain);
        return Some(1);
    }
    let (skip, length, radix) = match letter {
        'x' | 'X' => (1, 2, 16),
        'u' if !bytes => (1, 4, 16),
        'U' if !bytes => (1, 8, 16),
        '0'..='3' => (0, 3, 8),
        _ => return None,
    };
    let digits = text.get(skip..skip + length)?;
    let code =
        digits.chars().all(|c| c.is_digit(radix)).then(|| u32::from_str_radix(digits, radix).ok())??;
    if bytes {
        out.push(u8::try_from(code).ok()?);
    } else {
        out.extend_from_slice(char::from_u32(code)?.encode_utf8(&mut [0; 4]).as_bytes());
    }
    Some(skip + length)
}
