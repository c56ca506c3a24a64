//! Kinds whose rules fit on one line: whether they have a status, count generations, may be created by
//! an update, must say which version they update, and so on. Their fields are checked by the schema
//! and defaulted by [`crate::defaults`].

use crate::{Generic, Strategy, defaults};
use apimachinery::validation;
use serde_json::Value;

/// What differs between plain kinds; the usual answers are those of [`Plain::of`].
struct Plain {
    status: bool,
    generation: bool,
    /// What the generation counts changes of: `spec`, or everything but metadata and status.
    whole: bool,
    create_on_update: bool,
    unconditional_update: bool,
    returns_deleted: bool,
    orphans: bool,
    name: fn(&str) -> Vec<String>,
    labels: &'static [&'static str],
}

impl Plain {
    const fn of() -> Plain {
        Plain {
            status: false,
            generation: false,
            whole: false,
            create_on_update: false,
            unconditional_update: true,
            returns_deleted: false,
            orphans: false,
            name: validation::dns1123_subdomain,
            labels: &[],
        }
    }
    const fn status(mut self) -> Plain {
        self.status = true;
        self
    }
    const fn generation(mut self) -> Plain {
        self.generation = true;
        self
    }
    /// Counts changes of anything but metadata and status: kinds without a spec.
    const fn generation_of_all(mut self) -> Plain {
        self.generation = true;
        self.whole = true;
        self
    }
    const fn create_on_update(mut self) -> Plain {
        self.create_on_update = true;
        self
    }
    const fn needs_version(mut self) -> Plain {
        self.unconditional_update = false;
        self
    }
    const fn returns_deleted(mut self) -> Plain {
        self.returns_deleted = true;
        self
    }
    /// Without a propagation policy its dependents are kept, as clients before 1.9 expected.
    const fn orphans(mut self) -> Plain {
        self.orphans = true;
        self
    }
    const fn name(mut self, rule: fn(&str) -> Vec<String>) -> Plain {
        self.name = rule;
        self
    }
    const fn labels(mut self, labels: &'static [&'static str]) -> Plain {
        self.labels = labels;
        self
    }
}

static PLAIN: &[(&str, &str, Plain)] = &[
    ("", "endpoints", Plain::of().create_on_update()),
    ("", "limitranges", Plain::of().create_on_update()),
    ("", "persistentvolumeclaims", Plain::of().status().returns_deleted()),
    ("", "persistentvolumes", Plain::of().status().returns_deleted()),
    ("", "podtemplates", Plain::of().generation_of_all().returns_deleted()),
    ("", "replicationcontrollers", Plain::of().status().generation().orphans().labels(&["status.replicas"])),
    ("", "resourcequotas", Plain::of().status().returns_deleted()),
    ("apiregistration.k8s.io", "apiservices", Plain::of().status().needs_version()),
    ("apps", "controllerrevisions", Plain::of()),
    ("autoscaling", "horizontalpodautoscalers", Plain::of().status()),
    ("batch", "cronjobs", Plain::of().status().generation()),
    ("certificates.k8s.io", "certificatesigningrequests", Plain::of().status().labels(&["spec.signerName"])),
    (
        "certificates.k8s.io",
        "clustertrustbundles",
        Plain::of().needs_version().name(any_path).labels(&["spec.signerName"]),
    ),
    (
        "certificates.k8s.io",
        "podcertificaterequests",
        Plain::of().status().needs_version().labels(&["spec.nodeName", "spec.signerName", "spec.podName"]),
    ),
    ("networking.k8s.io", "ingressclasses", Plain::of().generation()),
    ("networking.k8s.io", "ingresses", Plain::of().status().generation()),
    ("networking.k8s.io", "ipaddresses", Plain::of().name(ip_name)),
    ("networking.k8s.io", "networkpolicies", Plain::of().generation()),
    ("networking.k8s.io", "servicecidrs", Plain::of().status()),
    ("policy", "poddisruptionbudgets", Plain::of().status().generation().needs_version()),
    (
        "rbac.authorization.k8s.io",
        "clusterrolebindings",
        Plain::of().create_on_update().name(validation::path_segment_name),
    ),
    (
        "rbac.authorization.k8s.io",
        "clusterroles",
        Plain::of().create_on_update().name(validation::path_segment_name),
    ),
    (
        "rbac.authorization.k8s.io",
        "rolebindings",
        Plain::of().create_on_update().name(validation::path_segment_name),
    ),
    (
        "rbac.authorization.k8s.io",
        "roles",
        Plain::of().create_on_update().name(validation::path_segment_name),
    ),
    ("storage.k8s.io", "csidrivers", Plain::of().needs_version().returns_deleted()),
    ("storage.k8s.io", "csinodes", Plain::of().needs_version().returns_deleted()),
    ("storage.k8s.io", "csistoragecapacities", Plain::of().needs_version()),
    ("storage.k8s.io", "storageclasses", Plain::of().returns_deleted()),
    ("storage.k8s.io", "volumeattachments", Plain::of().status().needs_version().returns_deleted()),
    ("storage.k8s.io", "volumeattributesclasses", Plain::of().returns_deleted()),
    ("admissionregistration.k8s.io", "mutatingadmissionpolicies", Plain::of().generation().needs_version()),
    (
        "admissionregistration.k8s.io",
        "mutatingadmissionpolicybindings",
        Plain::of().generation().needs_version(),
    ),
    (
        "admissionregistration.k8s.io",
        "mutatingwebhookconfigurations",
        Plain::of().generation_of_all().needs_version(),
    ),
    (
        "admissionregistration.k8s.io",
        "validatingadmissionpolicies",
        Plain::of().status().generation().needs_version(),
    ),
    (
        "admissionregistration.k8s.io",
        "validatingadmissionpolicybindings",
        Plain::of().generation().needs_version(),
    ),
    (
        "admissionregistration.k8s.io",
        "validatingwebhookconfigurations",
        Plain::of().generation_of_all().needs_version(),
    ),
    ("apiextensions.k8s.io", "customresourcedefinitions", Plain::of().status().generation().needs_version()),
    ("scheduling.k8s.io", "priorityclasses", Plain::of().generation_of_all()),
    (
        "coordination.k8s.io",
        "leasecandidates",
        Plain::of().create_on_update().needs_version().name(validation::config_map_key),
    ),
    ("node.k8s.io", "runtimeclasses", Plain::of().create_on_update().needs_version()),
    ("discovery.k8s.io", "endpointslices", Plain::of().generation_of_all()),
    ("resource.k8s.io", "deviceclasses", Plain::of().generation().returns_deleted()),
    ("resource.k8s.io", "resourceclaims", Plain::of().status().returns_deleted()),
    ("resource.k8s.io", "resourceclaimtemplates", Plain::of().returns_deleted()),
    (
        "resource.k8s.io",
        "resourceslices",
        Plain::of().generation().returns_deleted().labels(&["spec.nodeName", "spec.driver"]),
    ),
    ("resource.k8s.io", "devicetaintrules", Plain::of().status().generation().returns_deleted()),
    ("resource.k8s.io", "resourcepoolstatusrequests", Plain::of().status().needs_version().returns_deleted()),
    ("flowcontrol.apiserver.k8s.io", "flowschemas", Plain::of().status().generation()),
    ("flowcontrol.apiserver.k8s.io", "prioritylevelconfigurations", Plain::of().status().generation()),
    ("internal.apiserver.k8s.io", "storageversions", Plain::of().status().needs_version()),
    ("storagemigration.k8s.io", "storageversionmigrations", Plain::of().status().needs_version()),
];

pub(super) fn find(group: &str, resource: &str) -> &'static dyn Strategy {
    match PLAIN.iter().find(|(g, r, _)| *g == group && *r == resource) {
        Some((_, _, plain)) => plain,
        None => &Generic,
    }
}

/// Names of trust bundles hold colons after their signer's name.
fn any_path(name: &str) -> Vec<String> {
    match name.rsplit_once(':') {
        Some((_, own)) => validation::dns1123_subdomain(own),
        None => validation::dns1123_subdomain(name),
    }
}

/// IPAddress objects are named by their address.
fn ip_name(name: &str) -> Vec<String> {
    match name.parse::<std::net::IpAddr>() {
        Ok(address) if address.to_string() == name => Vec::new(),
        Ok(_) => vec!["must be a canonical IP address".to_owned()],
        Err(_) => vec!["must be a valid IP address".to_owned()],
    }
}

/// An object without what is never counted as a change of what it asks for.
fn asked(object: &Value) -> impl Iterator<Item = (&String, &Value)> {
    let fields = object.as_object().into_iter().flatten();
    fields.filter(|(field, _)| !matches!(field.as_str(), "kind" | "apiVersion" | "metadata" | "status"))
}

impl Strategy for Plain {
    fn default(&self, object: &mut Value) {
        defaults::apply(object);
    }

    fn validate_name(&self, name: &str) -> Vec<String> {
        (self.name)(name)
    }

    fn field_labels(&self) -> &'static [&'static str] {
        self.labels
    }

    fn field_label(&self, object: &Value, label: &str) -> String {
        let pointer = format!("/{}", label.replace('.', "/"));
        match object.pointer(&pointer) {
            Some(Value::String(text)) => text.clone(),
            Some(Value::Null) | None => {
                if label.starts_with("status.") {
                    "0".into()
                } else {
                    String::new()
                }
            }
            Some(other) => other.to_string(),
        }
    }

    fn has_status(&self) -> bool {
        self.status
    }

    fn tracks_generation(&self) -> bool {
        self.generation
    }

    fn bumps_generation(&self, new: &Value, old: &Value) -> bool {
        self.generation
            && if self.whole { !asked(new).eq(asked(old)) } else { new.get("spec") != old.get("spec") }
    }

    fn allow_create_on_update(&self) -> bool {
        self.create_on_update
    }

    fn allow_unconditional_update(&self) -> bool {
        self.unconditional_update
    }

    fn delete_returns_object(&self) -> bool {
        self.returns_deleted
    }

    fn default_propagation(&self) -> Option<&'static str> {
        self.orphans.then_some("orphan")
    }
}
