//! The names that expressions of webhooks and policies may use, and their types.

use cel::{Authorizer, Decl, Env, ObjectDecl, Shape, Type};
use std::sync::{Arc, LazyLock};

/// What expressions of one sort see.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Sees {
    pub params: bool,
    pub authorizer: bool,
    /// `Object{…}` and `JSONPatch{…}`.
    pub patches: bool,
}

/// The shapes of data where they are known; everything else is dynamic.
#[derive(Debug, Clone, Default)]
pub(crate) struct Known {
    pub object: Option<Arc<Decl>>,
    pub params: Option<Arc<Decl>>,
}

pub(crate) fn env(sees: Sees, known: &Known) -> Env {
    let dynamic = || Arc::new(Decl::dynamic());
    let object = known.object.clone().unwrap_or_else(dynamic);
    let mut env = Env::new()
        .with("object", object.clone())
        .with("oldObject", object)
        .with("namespaceObject", NAMESPACE.clone())
        .with("request", REQUEST.clone());
    if sees.params {
        env = env.with("params", known.params.clone().unwrap_or_else(dynamic));
    }
    if sees.authorizer {
        env = env
            .with_type("authorizer", Authorizer::ty())
            .with_type("authorizer.requestResource", Authorizer::resource_ty());
    }
    if sees.patches {
        env = env.with_open_objects().with_constructor(JSON_PATCH.clone());
    }
    env
}

/// What a variable is to those who use it: types of objects and of libraries are not passed on.
pub(crate) fn passed_on(found: &Type) -> Type {
    match found {
        Type::List(element) => Type::list(passed_on(element)),
        Type::Map(key, value) => Type::map(passed_on(key), passed_on(value)),
        Type::Object(_) | Type::Opaque(_) | Type::Optional(_) | Type::Type | Type::Var(_) | Type::Error => {
            Type::Dyn
        }
        plain => plain.clone(),
    }
}

fn text() -> Decl {
    Decl::new(Shape::String)
}

fn texts() -> Decl {
    Decl::list(text())
}

pub(crate) static REQUEST: LazyLock<Arc<Decl>> = LazyLock::new(|| {
    let all =
        |name: &str, fields: &[&'static str]| Decl::object(name, fields.iter().map(|field| (*field, text())));
    let kind = || all("kubernetes.GroupVersionKind", &["group", "version", "kind"]);
    let resource = || all("kubernetes.GroupVersionResource", &["group", "version", "resource"]);
    let user = Decl::object(
        "kubernetes.UserInfo",
        [("username", text()), ("uid", text()), ("groups", texts()), ("extra", Decl::map(texts()))],
    );
    Arc::new(Decl::object(
        "kubernetes.AdmissionRequest",
        [
            ("kind", kind()),
            ("resource", resource()),
            ("subResource", text()),
            ("requestKind", kind()),
            ("requestResource", resource()),
            ("requestSubResource", text()),
            ("name", text()),
            ("namespace", text()),
            ("operation", text()),
            ("userInfo", user),
            ("dryRun", Decl::new(Shape::Bool)),
            ("options", Decl::dynamic()),
        ],
    ))
});

pub(crate) static NAMESPACE: LazyLock<Arc<Decl>> = LazyLock::new(|| {
    let (time, int) = (|| Decl::new(Shape::Timestamp), || Decl::new(Shape::Int));
    let condition = Decl::object(
        "kubernetes.NamespaceCondition",
        [
            ("status", text()),
            ("type", text()),
            ("lastTransitionTime", time()),
            ("message", text()),
            ("reason", text()),
        ],
    );
    let metadata = Decl::object(
        "kubernetes.NamespaceMetadata",
        [
            ("name", text()),
            ("generateName", text()),
            ("namespace", text()),
            ("labels", Decl::map(text())),
            ("annotations", Decl::map(text())),
            ("UID", text()),
            ("creationTimestamp", time()),
            ("deletionGracePeriodSeconds", int()),
            ("deletionTimestamp", time()),
            ("generation", int()),
            ("resourceVersion", text()),
            ("finalizers", texts()),
        ],
    );
    let spec = Decl::object("kubernetes.NamespaceSpec", [("finalizers", texts())]);
    let status = Decl::object(
        "kubernetes.NamespaceStatus",
        [("conditions", Decl::list(condition)), ("phase", text())],
    );
    Arc::new(Decl::object(
        "kubernetes.Namespace",
        [("metadata", metadata), ("spec", spec), ("status", status)],
    ))
});

static JSON_PATCH: LazyLock<Arc<ObjectDecl>> = LazyLock::new(|| {
    let fields = [("op", text()), ("path", text()), ("from", text()), ("value", Decl::dynamic())];
    match Decl::object("JSONPatch", fields).shape {
        Shape::Object(decl) => decl,
        _ => Arc::new(ObjectDecl::open("JSONPatch")),
    }
});
