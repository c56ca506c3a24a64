//! Whether the expressions of a validating policy fit the kinds that its rules name. Mistakes do not
//! keep the policy from being used; they are told in its status.

use crate::env::Known;
use crate::expression::Scope;
use api::read::{at, has, list, text, texts};
use apimachinery::gvk::{GroupVersion, GroupVersionKind};
use cel::{Decl, Field, ListKind, ObjectDecl, Shape};
use schema::{FieldRef, Item, ListType, Scalar, Shape as Holds, TypeRef};
use serde_json::{Value, json};
use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

/// Kinds of one rule that are looked at.
const MAX_KINDS: usize = 10;
/// How deep schemas are followed; kinds that contain themselves are not known below.
const MAX_DEPTH: usize = 24;

/// `status.typeChecking.expressionWarnings` of a policy: empty if nothing is wrong, or nothing known.
pub fn warnings(policy: &Value) -> Vec<Value> {
    let spec = at(policy, "spec");
    let kinds: Vec<(GroupVersionKind, Arc<Decl>)> =
        kinds(spec).into_iter().filter_map(|kind| Some((kind.clone(), shape(&kind)?))).collect();
    let params = has(spec, "paramKind").then(|| {
        let kind = at(spec, "paramKind");
        let version = GroupVersion::parse(text(kind, "apiVersion")).unwrap_or_default();
        shape(&version.with_kind(text(kind, "kind")))
    });
    let mut warnings = Vec::new();
    for (index, validation) in list(spec, "validations").iter().enumerate() {
        for field in ["expression", "messageExpression"] {
            let source = text(validation, field);
            if source.is_empty() {
                continue;
            }
            let problems: Vec<String> =
                kinds.iter().filter_map(|(kind, decl)| problem(spec, source, kind, decl, &params)).collect();
            if !problems.is_empty() {
                warnings.push(json!({
                    "fieldRef": format!("spec.validations[{index}].{field}"),
                    "warning": problems.join("\n"),
                }));
            }
        }
    }
    warnings
}

/// What is wrong with an expression where objects are of this kind.
fn problem(
    spec: &Value,
    source: &str,
    kind: &GroupVersionKind,
    object: &Arc<Decl>,
    params: &Option<Option<Arc<Decl>>>,
) -> Option<String> {
    let known = Known { object: Some(object.clone()), params: params.clone().flatten() };
    let mut scope = Scope::new(params.is_some(), true, known);
    for variable in list(spec, "variables") {
        scope.declare(text(variable, "name"), text(variable, "expression"));
    }
    let issues = scope.env(true, false).compile(source).err()?;
    Some(format!("{}/{}, Kind={}: {issues}\n", kind.group, kind.version, kind.kind))
}

/// The kinds that the rules name without stars, in order.
fn kinds(spec: &Value) -> Vec<GroupVersionKind> {
    let mut found = BTreeSet::new();
    for rule in list(at(spec, "matchConstraints"), "resourceRules") {
        let sorted = |field| {
            let mut all: Vec<&str> = texts(rule, field).collect();
            all.sort_unstable();
            all
        };
        let (groups, versions) = (sorted("apiGroups"), sorted("apiVersions"));
        if groups.iter().chain(&versions).any(|part| part.contains('*')) {
            continue;
        }
        let resources = sorted("resources");
        let mut count = 0;
        for (group, version, resource) in groups
            .iter()
            .flat_map(|group| versions.iter().map(move |version| (group, version)))
            .flat_map(|(group, version)| resources.iter().map(move |resource| (group, version, resource)))
            .filter(|(_, _, resource)| !resource.contains(['*', '/']))
        {
            let Some(info) = api::find(group, version, resource) else { continue };
            found.insert((info.group, info.version, info.kind));
            count += 1;
            if count == MAX_KINDS {
                return found.into_iter().map(|(g, v, k)| GroupVersionKind::new(g, v, k)).collect();
            }
        }
    }
    found.into_iter().map(|(g, v, k)| GroupVersionKind::new(g, v, k)).collect()
}

/// The shape of a built-in kind.
fn shape(kind: &GroupVersionKind) -> Option<Arc<Decl>> {
    let ty = schema::table().kind(&kind.group, &kind.version, &kind.kind)?;
    Some(Arc::new(object(ty, &kind.kind, MAX_DEPTH)))
}

fn object(ty: TypeRef, name: &str, depth: usize) -> Decl {
    if ty.fields().len() == 0 || depth == 0 {
        return Decl::dynamic();
    }
    let mut fields = BTreeMap::new();
    for field in ty.fields() {
        let Some(escaped) = cel::escape(field.name()) else { continue };
        let decl = value(field, &format!("{name}.{}", field.name()), depth - 1);
        fields.insert(escaped, Field { json: field.name().into(), decl: Arc::new(decl) });
    }
    Decl::new(Shape::Object(Arc::new(ObjectDecl { name: name.into(), fields })))
}

fn value(field: FieldRef, name: &str, depth: usize) -> Decl {
    let item = |part: &str| match field.item() {
        Item::Object(target) => object(target, &format!("{name}{part}"), depth),
        Item::Scalar(leaf) => scalar(leaf),
    };
    match field.shape() {
        Holds::One => item(""),
        Holds::List | Holds::WrappedList => Decl::new(Shape::List(Arc::new(item(".@idx")), list_kind(field))),
        Holds::Map => Decl::map(item(".@prop")),
        Holds::MapOfWrappedLists => Decl::map(Decl::list(item(".@prop.@idx"))),
    }
}

fn list_kind(field: FieldRef) -> ListKind {
    match field.list_type() {
        Some(ListType::Set) => ListKind::Set,
        Some(ListType::Map) => ListKind::Map(field.map_keys().map(str::to_owned).collect()),
        Some(ListType::Atomic) | None => ListKind::Atomic,
    }
}

fn scalar(leaf: Scalar) -> Decl {
    Decl::new(match leaf {
        Scalar::String => Shape::String,
        Scalar::Int32 | Scalar::Int64 => Shape::Int,
        Scalar::Bool => Shape::Bool,
        Scalar::Double => Shape::Double,
        Scalar::Bytes => Shape::Bytes,
        Scalar::Time | Scalar::MicroTime => Shape::Timestamp,
        Scalar::Duration => Shape::String,
        Scalar::Quantity
        | Scalar::IntOrString
        | Scalar::Raw
        | Scalar::Any
        | Scalar::Json
        | Scalar::Fields
        | Scalar::PropsOrBool
        | Scalar::PropsOrArray
        | Scalar::PropsOrStrings => Shape::Dyn,
    })
}
