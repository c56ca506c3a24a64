//! Which requests a webhook, a policy or a binding is about: rules with operations, groups, versions,
//! resources and scope, selectors of namespaces and objects, and the other versions of what is asked.

use crate::request::{Operation, Request};
use api::read::{at, list, opt_text, texts};
use apimachinery::Status;
use apimachinery::gvk::{GroupVersionKind, GroupVersionResource};
use apimachinery::labels::Selector;
use apimachinery::meta;
use serde_json::Value;
use std::sync::Arc;

/// One rule.
#[derive(Debug, Clone, Default)]
struct Rule {
    operations: Vec<String>,
    groups: Vec<String>,
    versions: Vec<String>,
    resources: Vec<String>,
    /// `Namespaced` or `Cluster`; anything else is both.
    scope: String,
    /// Empty: all names.
    names: Vec<String>,
}

impl Rule {
    fn parse(rule: &Value) -> Rule {
        let owned = |field| texts(rule, field).map(str::to_owned).collect();
        Rule {
            operations: owned("operations"),
            groups: owned("apiGroups"),
            versions: owned("apiVersions"),
            resources: owned("resources"),
            scope: opt_text(rule, "scope").unwrap_or("*").to_owned(),
            names: owned("resourceNames"),
        }
    }

    fn matches(&self, request: &Request, resource: &GroupVersionResource) -> bool {
        let has = |items: &[String], wanted: &str| items.iter().any(|item| item == "*" || item == wanted);
        self.in_scope(request, resource)
            && has(&self.operations, request.operation.as_str())
            && has(&self.groups, &resource.group)
            && has(&self.versions, &resource.version)
            && self.resources.iter().any(|rule| {
                let (name, sub) = rule.split_once('/').unwrap_or((rule, ""));
                (name == "*" || name == resource.resource) && (sub == "*" || sub == request.subresource)
            })
    }

    fn in_scope(&self, request: &Request, resource: &GroupVersionResource) -> bool {
        let namespace =
            resource.group.is_empty() && resource.version == "v1" && resource.resource == "namespaces";
        let cluster = namespace || request.namespace.is_empty();
        match self.scope.as_str() {
            "Namespaced" => !cluster,
            "Cluster" => cluster,
            "*" => true,
            _ => false,
        }
    }

    fn names(&self, request: &Request) -> bool {
        self.names.is_empty() || self.names.contains(&request.name)
    }
}

/// A resource and the kind of its body: what was asked, or what is equivalent to it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Matched {
    pub resource: GroupVersionResource,
    pub kind: GroupVersionKind,
}

/// Finds a namespace by its name.
pub type FindNamespace<'a> = &'a dyn Fn(&str) -> Result<Arc<Value>, Box<Status>>;

/// A request and what is known about it.
pub struct Asked<'a> {
    pub request: &'a Request,
    pub object: Option<&'a Value>,
    pub old: Option<&'a Value>,
    /// The same resource under other groups and versions.
    pub equivalents: &'a [Matched],
    pub namespace: FindNamespace<'a>,
}

impl Asked<'_> {
    fn itself(&self) -> Matched {
        Matched { resource: self.request.resource.clone(), kind: self.request.kind.clone() }
    }
}

/// What decides whether a request is concerned.
#[derive(Debug, Clone)]
pub struct Criteria {
    namespaces: Result<Selector, String>,
    objects: Result<Selector, String>,
    rules: Vec<Rule>,
    exclude: Vec<Rule>,
    /// Whether other versions of a resource count.
    equivalent: bool,
    /// Whether no rules at all mean everything.
    open: bool,
}

fn selector(of: &Value) -> Result<Selector, String> {
    // What is not there selects everything: the defaults say so.
    if of.is_null() { Ok(Selector::default()) } else { Selector::from_label_selector(Some(of)) }
}

impl Criteria {
    /// Those of a webhook.
    pub fn of_webhook(hook: &Value) -> Criteria {
        Criteria {
            namespaces: selector(at(hook, "namespaceSelector")),
            objects: selector(at(hook, "objectSelector")),
            rules: list(hook, "rules").iter().map(Rule::parse).collect(),
            exclude: Vec::new(),
            equivalent: opt_text(hook, "matchPolicy") == Some("Equivalent"),
            open: false,
        }
    }

    /// Those of a policy or a binding (`MatchResources`).
    pub fn of_policy(resources: &Value) -> Criteria {
        Criteria {
            namespaces: selector(at(resources, "namespaceSelector")),
            objects: selector(at(resources, "objectSelector")),
            rules: list(resources, "resourceRules").iter().map(Rule::parse).collect(),
            exclude: list(resources, "excludeResourceRules").iter().map(Rule::parse).collect(),
            equivalent: opt_text(resources, "matchPolicy") == Some("Equivalent"),
            open: true,
        }
    }

    /// As what the request is concerned, if it is.
    ///
    /// # Errors
    /// The namespace is not there, or a selector is none, of something that is otherwise concerned.
    pub fn matches(&self, asked: &Asked<'_>) -> Result<Option<Matched>, Box<Status>> {
        if self.by_rules(&self.exclude, asked).is_some() {
            return Ok(None);
        }
        let found = if self.open && self.rules.is_empty() {
            Some(asked.itself())
        } else {
            self.by_rules(&self.rules, asked)
        };
        let Some(found) = found else { return Ok(None) };
        Ok((self.selects_namespace(asked)? && self.selects_object(asked)?).then_some(found))
    }

    fn by_rules(&self, rules: &[Rule], asked: &Asked<'_>) -> Option<Matched> {
        let request = asked.request;
        let hit = |rule: &Rule, resource| rule.matches(request, resource) && rule.names(request);
        if rules.iter().any(|rule| hit(rule, &request.resource)) {
            return Some(asked.itself());
        }
        if !self.equivalent {
            return None;
        }
        let others = || asked.equivalents.iter().filter(|other| other.resource != request.resource);
        rules.iter().find_map(|rule| others().find(|other| hit(rule, &other.resource))).cloned()
    }

    fn selects_namespace(&self, asked: &Asked<'_>) -> Result<bool, Box<Status>> {
        let request = asked.request;
        if request.namespace.is_empty() && !request.is_namespace() {
            return Ok(true);
        }
        let selector = self.namespaces.as_ref().map_err(|text| Box::new(Status::internal(text)))?;
        if selector.is_everything() {
            return Ok(true);
        }
        let written = matches!(request.operation, Operation::Create | Operation::Update);
        if request.is_namespace() && request.subresource.is_empty() && written {
            return Ok(asked.object.is_some_and(|object| selector.matches_object(object)));
        }
        let namespace = (asked.namespace)(&request.namespace)?;
        Ok(selector.matches_object(&namespace))
    }

    fn selects_object(&self, asked: &Asked<'_>) -> Result<bool, Box<Status>> {
        let selector = self.objects.as_ref().map_err(|text| Box::new(Status::internal(text)))?;
        let selects = |object: &Value| meta::metadata(object).is_some() && selector.matches_object(object);
        Ok(selector.is_everything() || asked.object.is_some_and(selects) || asked.old.is_some_and(selects))
    }
}
