//! Rows of all other kinds.

use super::core::load_balancer;
use super::{Cells, age, count, labels, or, selector, selector_or_none, since, with_more};
use crate::read::{at, flag, has, int, list, opt_flag, opt_text, text, texts, time};
use apimachinery::{Time, meta};
use serde_json::Value;

pub(super) const CELLS: &[(&str, &str, Cells)] = &[
    ("apiregistration.k8s.io", "apiservices", api_service),
    ("certificates.k8s.io", "certificatesigningrequests", signing_request),
    ("certificates.k8s.io", "clustertrustbundles", trust_bundle),
    ("certificates.k8s.io", "podcertificaterequests", pod_certificate),
    ("networking.k8s.io", "ingressclasses", ingress_class),
    ("networking.k8s.io", "ingresses", ingress),
    ("networking.k8s.io", "ipaddresses", ip_address),
    ("networking.k8s.io", "networkpolicies", network_policy),
    ("networking.k8s.io", "servicecidrs", service_cidr),
    ("rbac.authorization.k8s.io", "clusterrolebindings", role_binding),
    ("rbac.authorization.k8s.io", "rolebindings", role_binding),
    ("storage.k8s.io", "csidrivers", csi_driver),
    ("storage.k8s.io", "csinodes", |o, now| counted(o, list(at(o, "spec"), "drivers"), now)),
    ("storage.k8s.io", "storageclasses", storage_class),
    ("storage.k8s.io", "volumeattachments", volume_attachment),
    ("storage.k8s.io", "volumeattributesclasses", |o, now| named(o, &[text(o, "driverName")], now)),
    ("admissionregistration.k8s.io", "mutatingadmissionpolicies", |o, now| policy(o, "mutations", now)),
    ("admissionregistration.k8s.io", "validatingadmissionpolicies", |o, now| policy(o, "validations", now)),
    ("admissionregistration.k8s.io", "mutatingadmissionpolicybindings", policy_binding),
    ("admissionregistration.k8s.io", "validatingadmissionpolicybindings", policy_binding),
    ("admissionregistration.k8s.io", "mutatingwebhookconfigurations", |o, now| {
        counted(o, list(o, "webhooks"), now)
    }),
    ("admissionregistration.k8s.io", "validatingwebhookconfigurations", |o, now| {
        counted(o, list(o, "webhooks"), now)
    }),
    ("scheduling.k8s.io", "priorityclasses", priority_class),
    ("coordination.k8s.io", "leasecandidates", lease_candidate),
    ("node.k8s.io", "runtimeclasses", |o, now| named(o, &[text(o, "handler")], now)),
    ("resource.k8s.io", "deviceclasses", |o, now| named(o, &[], now)),
    ("resource.k8s.io", "resourceclaimtemplates", |o, now| named(o, &[], now)),
    ("resource.k8s.io", "resourceclaims", resource_claim),
    ("resource.k8s.io", "resourceslices", resource_slice),
    ("resource.k8s.io", "devicetaintrules", device_taint),
    ("resource.k8s.io", "resourcepoolstatusrequests", pool_status),
    ("flowcontrol.apiserver.k8s.io", "flowschemas", flow_schema),
    ("flowcontrol.apiserver.k8s.io", "prioritylevelconfigurations", priority_level),
    ("internal.apiserver.k8s.io", "storageversions", storage_version),
    ("storagemigration.k8s.io", "storageversionmigrations", migration),
];

/// Name, some texts, age.
fn named(object: &Value, texts: &[&str], now: Time) -> Vec<Value> {
    let name = meta::name(object).into();
    std::iter::once(name).chain(texts.iter().map(|text| (*text).into())).chain([age(object, now)]).collect()
}

/// Name, how many, age.
fn counted(object: &Value, items: &[Value], now: Time) -> Vec<Value> {
    vec![meta::name(object).into(), items.len().into(), age(object, now)]
}

fn api_service(object: &Value, now: Time) -> Vec<Value> {
    let service = at(at(object, "spec"), "service");
    let service = match service {
        Value::Null => "Local".to_owned(),
        service => format!("{}/{}", text(service, "namespace"), text(service, "name")),
    };
    let available = list(at(object, "status"), "conditions").iter().find(|c| text(c, "type") == "Available");
    let available = match available {
        Some(c) if text(c, "status") == "True" => "True".to_owned(),
        Some(c) => format!("{} ({})", text(c, "status"), text(c, "reason")),
        None => "Unknown".to_owned(),
    };
    named(object, &[&service, &available], now)
}

fn signing_request(object: &Value, now: Time) -> Vec<Value> {
    let (spec, status) = (at(object, "spec"), at(object, "status"));
    let is = |kind: &str| list(status, "conditions").iter().any(|c| text(c, "type") == kind);
    let mut state = if is("Denied") {
        "Denied"
    } else if is("Approved") {
        "Approved"
    } else {
        "Pending"
    }
    .to_owned();
    if is("Failed") {
        state.push_str(",Failed");
    }
    if !text(status, "certificate").is_empty() {
        state.push_str(",Issued");
    }
    let asked = int(spec, "expirationSeconds").map(jiff::SignedDuration::from_secs);
    vec![
        meta::name(object).into(),
        age(object, now),
        or(text(spec, "signerName"), "<none>").into(),
        text(spec, "username").into(),
        asked.map_or_else(|| "<none>".into(), apimachinery::time::human_duration).into(),
        state.into(),
    ]
}

fn trust_bundle(object: &Value, _: Time) -> Vec<Value> {
    vec![meta::name(object).into(), or(text(at(object, "spec"), "signerName"), "<none>").into()]
}

fn pod_certificate(object: &Value, _: Time) -> Vec<Value> {
    let spec = at(object, "spec");
    let conditions = list(at(object, "status"), "conditions").iter().map(|c| text(c, "type"));
    let state =
        conditions.rev().find(|kind| matches!(*kind, "Issued" | "Denied" | "Failed")).unwrap_or("Pending");
    let mut cells: Vec<Value> = vec![meta::name(object).into()];
    cells.extend(
        ["podName", "serviceAccountName", "nodeName", "signerName"].map(|field| text(spec, field).into()),
    );
    cells.push(state.into());
    cells.push(labels(at(spec, "unverifiedUserAnnotations")).into());
    cells
}

fn with_default(object: &Value, annotations: &[&str]) -> String {
    let name = meta::name(object);
    let default = annotations.iter().any(|key| meta::annotation(object, key) == Some("true"));
    if default { format!("{name} (default)") } else { name.to_owned() }
}

fn ingress_class(object: &Value, now: Time) -> Vec<Value> {
    let spec = at(object, "spec");
    let parameters = match at(spec, "parameters") {
        Value::Null => "<none>".to_owned(),
        p => {
            let group = opt_text(p, "apiGroup").map(|group| format!(".{group}")).unwrap_or_default();
            format!("{}{group}/{}", text(p, "kind"), text(p, "name"))
        }
    };
    let name = with_default(object, &["ingressclass.kubernetes.io/is-default-class"]);
    vec![name.into(), text(spec, "controller").into(), parameters.into(), age(object, now)]
}

fn ingress(object: &Value, now: Time) -> Vec<Value> {
    const SHOWN: usize = 3;
    let spec = at(object, "spec");
    let (mut hosts, mut more) = (Vec::new(), false);
    for rule in list(spec, "rules") {
        more |= hosts.len() == SHOWN;
        if !more && !text(rule, "host").is_empty() {
            hosts.push(text(rule, "host"));
        }
    }
    let mut shown = or(&hosts.join(","), "*").to_owned();
    if more {
        shown = format!("{shown} + {} more...", list(spec, "rules").len() - SHOWN);
    }
    let ports = if list(spec, "tls").is_empty() { "80" } else { "80, 443" };
    let class = opt_text(spec, "ingressClassName").unwrap_or("<none>");
    named(object, &[class, &shown, &load_balancer(at(object, "status")).join(","), ports], now)
}

fn ip_address(object: &Value, now: Time) -> Vec<Value> {
    let parent = match at(at(object, "spec"), "parentRef") {
        Value::Null => "<none>".to_owned(),
        parent => {
            let group = text(parent, "group");
            let mut path = vec![match group {
                "" => text(parent, "resource").to_lowercase(),
                group => format!("{}.{group}", text(parent, "resource")).to_lowercase(),
            }];
            path.extend(
                ["namespace", "name"]
                    .iter()
                    .map(|f| text(parent, f))
                    .filter(|t| !t.is_empty())
                    .map(str::to_owned),
            );
            path.join("/")
        }
    };
    named(object, &[&parent], now)
}

fn network_policy(object: &Value, now: Time) -> Vec<Value> {
    named(object, &[&selector_or_none(at(at(object, "spec"), "podSelector"))], now)
}

fn service_cidr(object: &Value, now: Time) -> Vec<Value> {
    named(object, &[&texts(at(object, "spec"), "cidrs").collect::<Vec<_>>().join(",")], now)
}

fn role_binding(object: &Value, now: Time) -> Vec<Value> {
    let role = at(object, "roleRef");
    let subjects = |kind: &str| {
        let all = list(object, "subjects").iter().filter(|s| text(s, "kind") == kind);
        let name = |s: &Value| match kind {
            "ServiceAccount" => format!("{}/{}", text(s, "namespace"), text(s, "name")),
            _ => text(s, "name").to_owned(),
        };
        all.map(name).collect::<Vec<_>>().join(", ")
    };
    let mut cells = named(object, &[&format!("{}/{}", text(role, "kind"), text(role, "name"))], now);
    cells.extend(["User", "Group", "ServiceAccount"].map(|kind| subjects(kind).into()));
    cells
}

fn csi_driver(object: &Value, now: Time) -> Vec<Value> {
    let spec = at(object, "spec");
    let audiences = if has(spec, "tokenRequests") {
        list(spec, "tokenRequests").iter().map(|t| text(t, "audience")).collect::<Vec<_>>().join(",")
    } else {
        "<unset>".into()
    };
    let modes = texts(spec, "volumeLifecycleModes").collect::<Vec<_>>().join(",");
    vec![
        meta::name(object).into(),
        opt_flag(spec, "attachRequired").unwrap_or(true).into(),
        flag(spec, "podInfoOnMount").into(),
        flag(spec, "storageCapacity").into(),
        audiences.into(),
        flag(spec, "requiresRepublish").into(),
        or(&modes, "<none>").into(),
        age(object, now),
    ]
}

fn storage_class(object: &Value, now: Time) -> Vec<Value> {
    let default =
        ["storageclass.kubernetes.io/is-default-class", "storageclass.beta.kubernetes.io/is-default-class"];
    vec![
        with_default(object, &default).into(),
        text(object, "provisioner").into(),
        opt_text(object, "reclaimPolicy").unwrap_or("Delete").into(),
        opt_text(object, "volumeBindingMode").unwrap_or("Immediate").into(),
        flag(object, "allowVolumeExpansion").into(),
        age(object, now),
    ]
}

fn volume_attachment(object: &Value, now: Time) -> Vec<Value> {
    let spec = at(object, "spec");
    vec![
        meta::name(object).into(),
        text(spec, "attacher").into(),
        text(at(spec, "source"), "persistentVolumeName").into(),
        text(spec, "nodeName").into(),
        flag(at(object, "status"), "attached").into(),
        age(object, now),
    ]
}

fn policy(object: &Value, rules: &str, now: Time) -> Vec<Value> {
    let spec = at(object, "spec");
    let param = match at(spec, "paramKind") {
        Value::Null => "<unset>".to_owned(),
        kind => format!("{}/{}", text(kind, "apiVersion"), text(kind, "kind")),
    };
    vec![meta::name(object).into(), list(spec, rules).len().into(), param.into(), age(object, now)]
}

fn policy_binding(object: &Value, now: Time) -> Vec<Value> {
    let spec = at(object, "spec");
    let param = at(spec, "paramRef");
    let param = match (text(param, "name"), at(param, "selector")) {
        ("", Value::Null) => "<unset>".to_owned(),
        ("", chosen) => selector(chosen).unwrap_or_default(),
        (name, _) => format!("{}/{name}", or(text(param, "namespace"), "*")),
    };
    named(object, &[text(spec, "policyName"), &param], now)
}

fn priority_class(object: &Value, now: Time) -> Vec<Value> {
    vec![
        meta::name(object).into(),
        count(object, "value"),
        flag(object, "globalDefault").into(),
        age(object, now),
        text(object, "preemptionPolicy").into(),
    ]
}

fn lease_candidate(object: &Value, now: Time) -> Vec<Value> {
    let spec = at(object, "spec");
    named(object, &["leaseName", "binaryVersion", "emulationVersion"].map(|field| text(spec, field)), now)
}

fn resource_claim(object: &Value, now: Time) -> Vec<Value> {
    let status = at(object, "status");
    let deleted = meta::is_deleting(object);
    let mut states = Vec::new();
    if deleted {
        states.push("deleted");
    }
    if has(status, "allocation") {
        states.push("allocated");
        if !list(status, "reservedFor").is_empty() {
            states.push("reserved");
        }
    } else if !deleted {
        states.push("pending");
    }
    named(object, &[&states.join(",")], now)
}

fn resource_slice(object: &Value, now: Time) -> Vec<Value> {
    let spec = at(object, "spec");
    named(object, &[text(spec, "nodeName"), text(spec, "driver"), text(at(spec, "pool"), "name")], now)
}

fn device_taint(object: &Value, now: Time) -> Vec<Value> {
    let taint = at(at(object, "spec"), "taint");
    let added = time(taint, "timeAdded").map(|added| since(Some(added), now)).unwrap_or_default();
    named(object, &[text(taint, "key"), text(taint, "value"), text(taint, "effect"), &added], now)
}

fn pool_status(object: &Value, now: Time) -> Vec<Value> {
    let status = at(object, "status");
    let holds = |kind: &str| {
        let holds = |c: &&Value| text(c, "type") == kind && text(c, "status") == "True";
        list(status, "conditions").iter().find(holds)
    };
    let (complete, failed) = (holds("Complete"), holds("Failed").is_some());
    let pools = list(status, "pools");
    let total = int(status, "poolCount").unwrap_or(0);
    let state = match complete {
        Some(_) if total > pools.len() as i64 => format!("Complete ({}/{total} pools)", pools.len()),
        Some(_) => "Complete".into(),
        None if failed => "Failed".into(),
        None => "Pending".into(),
    };
    let known = has(object, "status") && (complete.is_some() || !failed);
    let sum = |field: &str| {
        let sum: i64 = pools.iter().filter_map(|pool| int(pool, field)).sum();
        Value::from(if known { sum.to_string() } else { "-".into() })
    };
    let errors = pools.iter().filter(|pool| has(pool, "validationError")).count();
    let mut cells: Vec<Value> = vec![meta::name(object).into(), text(at(object, "spec"), "driver").into()];
    cells.extend(["totalDevices", "availableDevices", "allocatedDevices", "unavailableDevices"].map(sum));
    cells.push(if known { errors.to_string().into() } else { "-".into() });
    cells.push(total.into());
    cells.push(state.into());
    let completed = complete.and_then(|c| time(c, "lastTransitionTime"));
    cells.push(completed.map_or_else(|| "<none>".into(), |t| since(Some(t), now)).into());
    cells
}

fn flow_schema(object: &Value, now: Time) -> Vec<Value> {
    let spec = at(object, "spec");
    let dangling = list(at(object, "status"), "conditions").iter().find(|c| text(c, "type") == "Dangling");
    vec![
        meta::name(object).into(),
        text(at(spec, "priorityLevelConfiguration"), "name").into(),
        count(spec, "matchingPrecedence"),
        opt_text(at(spec, "distinguisherMethod"), "type").unwrap_or("<none>").into(),
        age(object, now),
        dangling.map_or("?", |c| text(c, "status")).into(),
    ]
}

fn priority_level(object: &Value, now: Time) -> Vec<Value> {
    let spec = at(object, "spec");
    let limited = at(spec, "limited");
    let queuing = at(at(limited, "limitResponse"), "queuing");
    let number =
        |value: &Value, field: &str| int(value, field).map_or_else(|| Value::from("<none>"), Value::from);
    vec![
        meta::name(object).into(),
        text(spec, "type").into(),
        number(limited, "nominalConcurrencyShares"),
        number(queuing, "queues"),
        number(queuing, "handSize"),
        number(queuing, "queueLengthLimit"),
        age(object, now),
    ]
}

fn storage_version(object: &Value, now: Time) -> Vec<Value> {
    let status = at(object, "status");
    let version = |v: &Value| format!("{}={}", text(v, "apiServerID"), text(v, "encodingVersion"));
    let versions = list(status, "storageVersions").iter().map(version).collect();
    let common = opt_text(status, "commonEncodingVersion").unwrap_or("<unset>");
    named(object, &[common, &with_more(versions, 3)], now)
}

fn migration(object: &Value, _: Time) -> Vec<Value> {
    let resource = at(at(object, "spec"), "resource");
    let resource = match text(resource, "group") {
        "" => text(resource, "resource").to_owned(),
        group => format!("{}.{group}", text(resource, "resource")),
    };
    let conditions = list(at(object, "status"), "conditions").iter();
    let state = conditions.rev().find(|c| {
        text(c, "status") == "True" && matches!(text(c, "type"), "Running" | "Failed" | "Succeeded")
    });
    vec![meta::name(object).into(), resource.into(), state.map_or("Unknown", |c| text(c, "type")).into()]
}
