//! Named formats: `format.dns1123Label().validate(text)` gives what is wrong, or nothing.

use super::{opaque, texts, this};
use crate::eval::{Outcome, no_overload};
use crate::table::Sig::{self, List, Opaque, Optional, String as Text};
use crate::table::{Overload, global, member};
use crate::value::Value;
use apimachinery::validation;
use base64::Engine;

const NAME: &str = "kubernetes.NamedFormat";
const FORMAT: Sig = Opaque(NAME);

#[derive(Debug)]
struct Format {
    name: &'static str,
    problems: fn(&str) -> Vec<String>,
}

#[derive(Debug, PartialEq, Clone, Copy)]
struct Named(&'static str);

opaque!(Named, NAME);

static FORMATS: [Format; 13] = [
    Format { name: "dns1123Label", problems: validation::dns1123_label },
    Format { name: "dns1123Subdomain", problems: validation::dns1123_subdomain },
    Format { name: "dns1035Label", problems: validation::dns1035_label },
    Format { name: "qualifiedName", problems: validation::qualified_name },
    Format { name: "dns1123LabelPrefix", problems: |text| validation::dns1123_label(&masked(text)) },
    Format { name: "dns1123SubdomainPrefix", problems: |text| validation::dns1123_subdomain(&masked(text)) },
    Format { name: "dns1035LabelPrefix", problems: |text| validation::dns1035_label(&masked(text)) },
    Format { name: "labelValue", problems: validation::label_value },
    Format { name: "uri", problems: |text| unless(super::url::is_valid(text), "invalid URI") },
    Format { name: "uuid", problems: |text| unless(is_uuid(text), "does not match the UUID format") },
    Format {
        name: "byte",
        problems: |text| {
            unless(base64::engine::general_purpose::STANDARD.decode(text).is_ok(), "invalid base64")
        },
    },
    Format {
        name: "date",
        problems: |text| {
            unless(text.parse::<jiff::civil::Date>().is_ok() && text.len() == 10, "invalid date")
        },
    },
    Format {
        name: "datetime",
        problems: |text| {
            unless(text.len() > 10 && super::time::parse_timestamp(text).is_some(), "invalid datetime")
        },
    },
];

macro_rules! named {
    ($($function:literal => $name:literal),*) => {
        &[
            $(global($function, "format_named_constant", &[], FORMAT, |_, _| Ok(Value::opaque(Named($name)))),)*
            global("format.named", "format-named", &[Text], Optional(&FORMAT), |_, args| {
                let [name] = texts(args)?;
                let found = FORMATS.iter().find(|format| format.name == name);
                Ok(found.map_or(Value::Optional(None), |format| Value::some(Value::opaque(Named(format.name)))))
            }),
            member("validate", "format-validate", &[FORMAT, Text], Optional(&List(&Text)), validate),
        ]
    };
}

pub(super) static FUNCTIONS: &[Overload] = named!(
    "format.dns1123Label" => "dns1123Label",
    "format.dns1123Subdomain" => "dns1123Subdomain",
    "format.dns1035Label" => "dns1035Label",
    "format.qualifiedName" => "qualifiedName",
    "format.dns1123LabelPrefix" => "dns1123LabelPrefix",
    "format.dns1123SubdomainPrefix" => "dns1123SubdomainPrefix",
    "format.dns1035LabelPrefix" => "dns1035LabelPrefix",
    "format.labelValue" => "labelValue",
    "format.uri" => "uri",
    "format.uuid" => "uuid",
    "format.byte" => "byte",
    "format.date" => "date",
    "format.datetime" => "datetime"
);

fn validate<'a>(_: &crate::Program, args: &[Value<'a>]) -> Outcome<'a> {
    let name = this::<Named>(args)?.0;
    let Some(text) = args[1].as_text() else { return no_overload() };
    let format = FORMATS.iter().find(|format| format.name == name);
    let problems = format.map(|format| (format.problems)(text)).unwrap_or_default();
    Ok(if problems.is_empty() {
        Value::Optional(None)
    } else {
        Value::some(Value::values(problems.into_iter().map(Value::text).collect()))
    })
}

fn unless(good: bool, problem: &str) -> Vec<String> {
    if good { Vec::new() } else { vec![problem.to_string()] }
}

/// A prefix may end in a dash: something would follow.
fn masked(text: &str) -> String {
    match text.strip_suffix('-') {
        Some(rest) if !rest.is_empty() => format!("{rest}a"),
        _ => text.to_string(),
    }
}

fn is_uuid(text: &str) -> bool {
    let hex: Vec<&str> = text.split('-').collect();
    let lengths: Vec<usize> = hex.iter().map(|part| part.len()).collect();
    (lengths == [8, 4, 4, 4, 12] || lengths == [32])
        && hex.iter().all(|part| part.bytes().all(|byte| byte.is_ascii_hexdigit()))
}
