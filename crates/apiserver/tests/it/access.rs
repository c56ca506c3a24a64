//! Who may do what.

use super::*;
use base64::Engine;
use client::Verb;

fn role(name: &str, verbs: &[&str], resources: &[&str]) -> Value {
    json!({"apiVersion": "rbac.authorization.k8s.io/v1", "kind": "Role", "metadata": {"name": name},
        "rules": [{"apiGroups": [""], "verbs": verbs, "resources": resources}]})
}

fn binding(name: &str, user: &str) -> Value {
    json!({"apiVersion": "rbac.authorization.k8s.io/v1", "kind": "RoleBinding", "metadata": {"name": name},
        "roleRef": {"apiGroup": "rbac.authorization.k8s.io", "kind": "Role", "name": name},
        "subjects": [{"apiGroup": "rbac.authorization.k8s.io", "kind": "User", "name": user}]})
}

#[tokio::test]
async fn a_role_works_as_soon_as_it_is_bound() {
    let cluster = Cluster::new().await;
    let bob = cluster.user("bob", &[]);
    let maps = bob.resource("", "v1", "configmaps");
    let denied = failure(maps.list("default", Options::default()).await);
    let text = "configmaps is forbidden: User \"bob\" cannot list resource \"configmaps\" in API group \"\" in the namespace \"default\"";
    assert_eq!(denied, (403, text.into()));
    let rbac = |resource| cluster.admin().resource("rbac.authorization.k8s.io", "v1", resource);
    rbac("roles").create("default", role("reader", &["get", "list"], &["configmaps"])).await.expect("role");
    rbac("rolebindings").create("default", binding("reader", "bob")).await.expect("binding");
    maps.list("default", Options::default()).await.expect("allowed now");
    assert_eq!(failure(maps.list("", Options::default()).await).0, 403, "not in all namespaces");
    assert_eq!(failure(maps.create("default", config_map("a")).await).0, 403);
    rbac("rolebindings").delete("default", "reader", Options::default()).await.expect("delete");
    assert_eq!(failure(maps.list("default", Options::default()).await).0, 403);
}

#[tokio::test]
async fn nobody_grants_more_than_they_have() {
    let cluster = Cluster::new().await;
    let rbac = |client: &Client, resource| client.resource("rbac.authorization.k8s.io", "v1", resource);
    let admin = cluster.admin();
    let mut all = role("roler", &["*"], &["roles", "rolebindings"]);
    all["rules"][0]["apiGroups"] = json!(["rbac.authorization.k8s.io"]);
    rbac(&admin, "roles").create("default", all).await.expect("role");
    rbac(&admin, "rolebindings").create("default", binding("roler", "eve")).await.expect("binding");
    let mut weak = role("weak", &["create"], &["roles"]);
    weak["rules"][0]["apiGroups"] = json!(["rbac.authorization.k8s.io"]);
    rbac(&admin, "roles").create("default", weak).await.expect("role");
    rbac(&admin, "rolebindings").create("default", binding("weak", "mallory")).await.expect("binding");
    let mallory = cluster.user("mallory", &[]);
    let (code, text) =
        failure(rbac(&mallory, "roles").create("default", role("x", &["get"], &["secrets"])).await);
    assert_eq!(code, 403);
    assert!(text.contains("is attempting to grant RBAC permissions not currently held"), "{text}");
    // The verb "escalate" (here by "*") allows it.
    let eve = cluster.user("eve", &[]);
    rbac(&eve, "roles").create("default", role("x", &["get"], &["secrets"])).await.expect("escalate");
}

#[tokio::test]
async fn a_node_sees_its_own_pods_and_what_they_use() {
    let cluster = Cluster::new().await;
    with_service_account(&cluster).await;
    let admin = cluster.admin();
    let secrets = admin.resource("", "v1", "secrets");
    for name in ["used", "other"] {
        let secret = json!({"apiVersion": "v1", "kind": "Secret", "metadata": {"name": name}});
        secrets.create("default", secret).await.expect("secret");
    }
    let mut object = pod("p");
    object["spec"]["nodeName"] = "n1".into();
    object["spec"]["volumes"] = json!([{"name": "s", "secret": {"secretName": "used"}}]);
    admin.pods().create("default", object).await.expect("pod");
    let node = |name: &str| cluster.user(&format!("system:node:{name}"), &["system:nodes"]);
    let (n1, n2) = (node("n1"), node("n2"));
    let own = |client: &Client, name: &str| {
        let pods = client.pods();
        let selector = format!("spec.nodeName={name}");
        async move { pods.list("", options(|o| o.field_selector = selector)).await }
    };
    assert_eq!(own(&n1, "n1").await.expect("its own pods").items.len(), 1);
    assert_eq!(failure(own(&n1, "n2").await).0, 403);
    assert_eq!(failure(n1.pods().list("", Options::default()).await).0, 403);
    n1.pods().get("default", "p").await.expect("own pod");
    assert_eq!(failure(n2.pods().get("default", "p").await).0, 403);
    let secret = |client: &Client, name: &'static str| {
        let secrets = client.resource("", "v1", "secrets");
        async move { secrets.get("default", name).await }
    };
    secret(&n1, "used").await.expect("a secret its pod uses");
    assert_eq!(failure(secret(&n1, "other").await).0, 403);
    assert_eq!(failure(secret(&n2, "used").await).0, 403);
    let object = |name: &str| json!({"apiVersion": "v1", "kind": "Node", "metadata": {"name": name}});
    n1.nodes().create("", object("n1")).await.expect("own node");
    assert_eq!(failure(n1.nodes().create("", object("n3")).await).0, 403);
}

#[tokio::test]
async fn reviews_answer_what_is_allowed() {
    let cluster = Cluster::new().await;
    let review = |client: &Client, user: Option<&str>, verb: &str| {
        let mut spec =
            json!({"resourceAttributes": {"verb": verb, "resource": "pods", "namespace": "default"}});
        let mut kind = "SelfSubjectAccessReview";
        if let Some(user) = user {
            spec["user"] = user.into();
            kind = "SubjectAccessReview";
        }
        let resource = client.resource("authorization.k8s.io", "v1", &format!("{}s", kind.to_lowercase()));
        let object = json!({"apiVersion": "authorization.k8s.io/v1", "kind": kind, "spec": spec});
        async move { resource.create("", object).await.expect("review")["status"]["allowed"].clone() }
    };
    assert_eq!(review(&cluster.admin(), None, "create").await, true);
    assert_eq!(review(&cluster.admin(), Some("bob"), "create").await, false);
    assert_eq!(review(&cluster.user("bob", &[]), None, "get").await, false);
}

#[tokio::test]
async fn tokens_are_bound_to_their_account() {
    let cluster = Cluster::new().await;
    with_service_account(&cluster).await;
    let accounts = cluster.admin().resource("", "v1", "serviceaccounts");
    let request =
        json!({"apiVersion": "authentication.k8s.io/v1", "kind": "TokenRequest", "spec": {"audiences": []}});
    let made = accounts.create_sub("default", "default", "token", request).await.expect("token");
    let token = made["status"]["token"].as_str().expect("a token").to_owned();
    let reviews = cluster.admin().resource("authentication.k8s.io", "v1", "tokenreviews");
    let review = |token: &str| {
        let object = json!({"apiVersion": "authentication.k8s.io/v1", "kind": "TokenReview", "spec": {"token": token}});
        let reviews = reviews.clone();
        async move { reviews.create("", object).await.expect("review")["status"].clone() }
    };
    let status = review(&token).await;
    assert_eq!(status["user"]["username"], "system:serviceaccount:default:default");
    assert_eq!(review("nonsense").await["authenticated"], Value::Null);
    let mut forged = token.clone().into_bytes();
    let last = forged.len() - 5;
    forged[last] = if forged[last] == b'A' { b'B' } else { b'A' };
    assert_eq!(review(&String::from_utf8(forged).expect("text")).await["authenticated"], Value::Null);
    accounts.delete("default", "default", Options::default()).await.expect("delete");
    assert_eq!(review(&token).await["authenticated"], Value::Null, "the account is gone");
}

#[tokio::test]
async fn paths_that_name_nothing_are_refused() {
    let cluster = Cluster::new().await;
    let maps = cluster.config_maps();
    let mut request = maps.request(Verb::Get, "default", "a/b");
    assert_eq!(failure(cluster.admin().transport().call(request.clone()).await).0, 400);
    request.name = "x".into();
    request.resource.resource = "nothings".into();
    assert_eq!(failure(cluster.admin().transport().call(request).await).0, 404);
}

#[tokio::test]
async fn bootstrap_tokens_introduce_nodes() {
    use base64::Engine;
    let cluster = Cluster::new().await;
    let admin = cluster.admin();
    let encode = |text: &str| base64::engine::general_purpose::STANDARD.encode(text);
    let secret = json!({"apiVersion": "v1", "kind": "Secret", "type": "bootstrap.kubernetes.io/token",
        "metadata": {"name": "bootstrap-token-abcdef"},
        "data": {"token-id": encode("abcdef"), "token-secret": encode("0123456789abcdef"),
            "usage-bootstrap-authentication": encode("true"),
            "auth-extra-groups": encode("system:bootstrappers:nodes,system:masters")}});
    admin.resource("", "v1", "secrets").create("kube-system", secret).await.expect("secret");
    let reviews = admin.resource("authentication.k8s.io", "v1", "tokenreviews");
    let review = |token: &str| {
        let object = json!({"apiVersion": "authentication.k8s.io/v1", "kind": "TokenReview", "spec": {"token": token}});
        let reviews = reviews.clone();
        async move { reviews.create("", object).await.expect("review")["status"]["user"].clone() }
    };
    let user = review("abcdef.0123456789abcdef").await;
    assert_eq!(user["username"], "system:bootstrap:abcdef");
    let groups = json!(["system:bootstrappers", "system:bootstrappers:nodes", "system:authenticated"]);
    assert_eq!(user["groups"], groups, "no other group can be smuggled in");
    assert_eq!(review("abcdef.0123456789abcdeg").await["username"], Value::Null);
}

#[tokio::test]
async fn signing_requests_carry_their_maker() {
    let cluster = Cluster::new().await;
    let eve = cluster.user("eve", &["system:masters"]);
    let requests = eve.resource("certificates.k8s.io", "v1", "certificatesigningrequests");
    let key = rcgen::KeyPair::generate().expect("a key");
    let request =
        rcgen::CertificateParams::default().serialize_request(&key).and_then(|r| r.pem()).expect("a request");
    let request = base64::engine::general_purpose::STANDARD.encode(request);
    let object = json!({"apiVersion": "certificates.k8s.io/v1", "kind": "CertificateSigningRequest",
        "metadata": {"name": "r"}, "spec": {"request": request, "signerName": "example.com/s", "usages": ["client auth"],
            "username": "system:node:n1", "groups": ["system:nodes"]}});
    let made = requests.create("", object).await.expect("create");
    assert_eq!(
        (&made["spec"]["username"], &made["spec"]["groups"][0]),
        (&json!("eve"), &json!("system:masters"))
    );
}
