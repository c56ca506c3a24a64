//! What users read of Ingresses, network policies, endpoints and ranges of Services.

use super::Good;
use serde_json::{Value, json};

fn spec(spec: Value) -> Value {
    json!({"spec": spec})
}

fn good(resource: &'static str, kind: &'static str, spec: Value) -> Good {
    Good {
        group: "networking.k8s.io",
        resource,
        api_version: "networking.k8s.io/v1",
        kind,
        object: json!({"metadata": {"name": "n"}, "spec": spec}),
    }
}

#[test]
fn ingresses() {
    let backend = json!({"service": {"name": "s", "port": {"number": 80}}});
    let ingress = good(
        "ingresses",
        "Ingress",
        json!({"rules": [{"host": "foo.bar", "http": {"paths": [{"path": "/", "pathType": "Prefix", "backend": backend}]}}]}),
    );
    let path = |path: Value| spec(json!({"rules": [{"http": {"paths": [path]}}]}));
    ingress.creates(&[
        (
            spec(json!({"rules": null})),
            &["spec: Invalid value: null: either `defaultBackend` or `rules` must be specified"],
        ),
        (
            path(json!({"path": "a//b", "pathType": "Exact", "backend": backend})),
            &[
                "spec.rules[0].http.paths[0].path: Invalid value: \"a//b\": must be an absolute path",
                "spec.rules[0].http.paths[0].path: Invalid value: \"a//b\": must not contain '//'",
            ],
        ),
        (
            path(json!({"path": "/", "pathType": "Some", "backend": {}})),
            &[
                "spec.rules[0].http.paths[0].pathType: Unsupported value: \"Some\": supported values: \"Exact\", \"ImplementationSpecific\", \"Prefix\"",
                "spec.rules[0].http.paths[0].backend: Invalid value: \"\": resource or service backend is required",
            ],
        ),
        (
            path(json!({"path": "/", "backend": backend})),
            &["spec.rules[0].http.paths[0].pathType: Required value: pathType must be specified"],
        ),
        (
            spec(json!({"defaultBackend": {"service": {"name": "s", "port": {"number": 80, "name": "x"}}}})),
            &["spec.defaultBackend: Invalid value: \"\": cannot set both port name & port number"],
        ),
        (
            spec(json!({"defaultBackend": {"service": {"name": "", "port": {}}}})),
            &[
                "spec.defaultBackend.service.name: Required value",
                "spec.defaultBackend: Required value: port name or number is required",
            ],
        ),
        (
            spec(json!({"rules": [{"host": "1.2.3.4"}]})),
            &["spec.rules[0].host: Invalid value: \"1.2.3.4\": must be a DNS name, not an IP address"],
        ),
        (
            json!({"metadata": {"annotations": {"kubernetes.io/ingress.class": "a"}}, "spec": {"ingressClassName": "b"}}),
            &["annotations.kubernetes.io/ingress.class: Invalid value: \"a\": must match `ingressClassName` when both are specified"],
        ),
    ]);
    ingress.updates(
        "status",
        &[(
            json!({}),
            json!({"status": {"loadBalancer": {"ingress": [{"ip": "01.2.3.4"}, {"hostname": "1.2.3.4"}]}}}),
            &[
                "status.loadBalancer.ingress[0].ip: Invalid value: \"01.2.3.4\": must not have leading 0s",
                "status.loadBalancer.ingress[1].hostname: Invalid value: \"1.2.3.4\": must be a DNS name, not an IP address",
            ],
        )],
    );
    ingress.warns(
        &json!({"metadata": {"annotations": {"kubernetes.io/ingress.class": "a"}}}),
        &["annotation \"kubernetes.io/ingress.class\" is deprecated, please use 'spec.ingressClassName' instead"],
    );
}

#[test]
fn ingress_classes() {
    let class = good("ingressclasses", "IngressClass", json!({"controller": "example.com/c"}));
    class.creates(&[
        (
            spec(json!({"controller": "c"})),
            &["spec.controller: Invalid value: \"c\": must be a domain-prefixed path (such as \"acme.io/foo\")"],
        ),
        (
            spec(json!({"parameters": {"kind": "K", "name": "n", "namespace": "x"}})),
            &["spec.parameters.namespace: Forbidden: `parameters.scope` is set to 'Cluster'"],
        ),
        (
            spec(json!({"parameters": {"kind": "K", "name": "n", "scope": "Namespace"}})),
            &["spec.parameters.namespace: Required value: `parameters.scope` is set to 'Namespace'"],
        ),
    ]);
    class.updates(
        "",
        &[(
            json!({}),
            spec(json!({"controller": "example.com/d"})),
            &["spec.controller: Invalid value: \"example.com/d\": field is immutable"],
        )],
    );
}

#[test]
fn network_policies() {
    let policy = good("networkpolicies", "NetworkPolicy", json!({"podSelector": {}}));
    assert_eq!(policy.with(&json!({}))["spec"]["policyTypes"], json!(["Ingress"]));
    let from = |peer: Value| spec(json!({"ingress": [{"from": [peer]}]}));
    let port = |port: Value| spec(json!({"egress": [{"ports": [port]}]}));
    policy.creates(&[
        (from(json!({})), &["spec.ingress[0].from[0]: Required value: must specify a peer"]),
        (
            from(json!({"podSelector": {}, "ipBlock": {"cidr": "10.0.0.0/8"}})),
            &["spec.ingress[0].from[0]: Forbidden: may not specify both ipBlock and another peer"],
        ),
        (
            from(json!({"ipBlock": {"cidr": "10.0.0.0/8", "except": ["10.1.0.0/16", "11.0.0.0/16"]}})),
            &["spec.ingress[0].from[0].ipBlock.except[1]: Invalid value: \"11.0.0.0/16\": must be a strict subset of `cidr`"],
        ),
        (
            from(json!({"ipBlock": {"cidr": "10.0.0.1/8"}})),
            &["spec.ingress[0].from[0].ipBlock.cidr: Invalid value: \"10.0.0.1/8\": must not have bits set beyond the prefix length"],
        ),
        (port(json!({"port": 80, "endPort": 90})), &[]),
        (
            port(json!({"port": 80, "endPort": 70})),
            &["spec.egress[0].ports[0].endPort: Invalid value: 80: must be greater than or equal to `port`"],
        ),
        (
            port(json!({"endPort": 70, "protocol": "ICMP"})),
            &[
                "spec.egress[0].ports[0].protocol: Unsupported value: \"ICMP\": supported values: \"TCP\", \"UDP\", \"SCTP\"",
                "spec.egress[0].ports[0].endPort: Invalid value: 70: may not be specified when `port` is not specified",
            ],
        ),
        (
            spec(json!({"policyTypes": ["Ingress", "Egress", "Both"]})),
            &["spec.policyTypes: Invalid value: [\"Ingress\",\"Egress\",\"Both\"]: may not specify more than two policyTypes"],
        ),
    ]);
}

#[test]
fn addresses_and_ranges() {
    let address = Good {
        object: json!({"metadata": {"name": "10.0.0.1"}, "spec": {"parentRef": {"resource": "services", "name": "s"}}}),
        ..good("ipaddresses", "IPAddress", json!({}))
    };
    address.creates(&[
        (json!({"spec": {"parentRef": null}}), &["spec.parentRef: Required value"]),
        (
            json!({"spec": {"parentRef": {"resource": "", "name": "a/b"}}}),
            &[
                "spec.parentRef.resource: Required value",
                "spec.parentRef.name: Invalid value: \"a/b\": may not contain '/'",
            ],
        ),
    ]);
    assert_eq!(address.strategy().validate_name("10.0.0.01"), ["must not have leading 0s"]);
    let range = good("servicecidrs", "ServiceCIDR", json!({"cidrs": ["10.0.0.0/24"]}));
    range.creates(&[
        (spec(json!({"cidrs": []})), &["spec.cidrs: Required value: at least one CIDR required"]),
        (
            spec(json!({"cidrs": ["10.0.0.0/24", "10.0.1.0/24"]})),
            &["spec.cidrs: Invalid value: [\"10.0.0.0/24\",\"10.0.1.0/24\"]: may specify no more than one IP for each IP family, i.e 192.168.0.0/24 and 2001:db8::/64"],
        ),
    ]);
    range.updates(
        "",
        &[
            (json!({}), spec(json!({"cidrs": ["10.0.0.0/24", "fd00::/112"]})), &[]),
            (
                json!({}),
                spec(json!({"cidrs": ["10.0.1.0/24"]})),
                &["spec.cidrs[0]: Invalid value: \"10.0.1.0/24\": field is immutable"],
            ),
        ],
    );
}

#[test]
fn endpoints_and_slices() {
    let endpoints = Good {
        group: "",
        resource: "endpoints",
        api_version: "v1",
        kind: "Endpoints",
        object: json!({"metadata": {"name": "e"}, "subsets": [{"addresses": [{"ip": "10.0.0.1"}], "ports": [{"port": 80}]}]}),
    };
    endpoints.creates(&[
        (json!({"subsets": [{}]}), &["subsets[0]: Required value: must specify `addresses` or `notReadyAddresses`"]),
        (
            json!({"subsets": [{"addresses": [{"ip": "127.0.0.1"}], "ports": [{"port": 0}, {"port": 1, "name": "b"}]}]}),
            &[
                "subsets[0].addresses[0].ip: Invalid value: \"127.0.0.1\": may not be in the loopback range (127.0.0.0/8, ::1/128)",
                "subsets[0].ports[0].name: Required value",
                "subsets[0].ports[0].port: Invalid value: 0: must be between 1 and 65535, inclusive",
            ],
        ),
    ]);
    let slice = Good {
        group: "discovery.k8s.io",
        resource: "endpointslices",
        api_version: "discovery.k8s.io/v1",
        kind: "EndpointSlice",
        object: json!({"metadata": {"name": "s"}, "addressType": "IPv4", "endpoints": [{"addresses": ["10.0.0.1"]}], "ports": [{"port": 80}]}),
    };
    slice.creates(&[
        (json!({"addressType": "IPv5"}), &["addressType: Unsupported value: \"IPv5\": supported values: \"FQDN\", \"IPv4\", \"IPv6\""]),
        (json!({"endpoints": [{"addresses": []}]}), &["endpoints[0].addresses: Required value: must contain at least 1 address"]),
        (
            json!({"endpoints": [{"addresses": ["fd00::1"], "nodeName": "N"}]}),
            &[
                "endpoints[0].addresses: Invalid value: \"fd00::1\": must be an IPv4 address",
                "endpoints[0].nodeName: Invalid value: \"N\": a lowercase RFC 1123 subdomain must consist of lower case alphanumeric characters, '-' or '.', and must start and end with an alphanumeric character (e.g. 'example.com', regex used for validation is '[a-z0-9]([-a-z0-9]*[a-z0-9])?(\\.[a-z0-9]([-a-z0-9]*[a-z0-9])?)*')",
            ],
        ),
        (json!({"ports": [{"port": 1}, {"port": 2}]}), &["ports[1].name: Duplicate value: \"\""]),
    ]);
    slice.updates(
        "",
        &[(
            json!({}),
            json!({"addressType": "IPv6", "endpoints": [{"addresses": ["fd00::1"]}]}),
            &["addressType: Invalid value: \"IPv6\": field is immutable"],
        )],
    );
}

#[test]
fn service_warnings() {
    let service = Good {
        group: "",
        resource: "services",
        api_version: "v1",
        kind: "Service",
        object: json!({"metadata": {"name": "s"}, "spec": {"type": "LoadBalancer", "ports": [{"port": 80}]}}),
    };
    service.creates(&[(
        spec(json!({"clusterIP": "None", "externalIPs": ["127.0.0.1"]})),
        &[
            "spec.clusterIPs[0]: Invalid value: \"None\": may not be set to 'None' for LoadBalancer services",
            "spec.externalIPs[0]: Invalid value: \"127.0.0.1\": may not be in the loopback range (127.0.0.0/8, ::1/128)",
        ],
    )]);
    service.warns(
        &spec(json!({"clusterIP": "2001:DB8::1", "externalIPs": ["2001:db8:0::1"], "loadBalancerSourceRanges": ["2001:DB8::/64"]})),
        &[
            "spec.clusterIPs[0]: IPv6 address \"2001:DB8::1\" should be in RFC 5952 canonical format (\"2001:db8::1\")",
            "spec.externalIPs[0]: IPv6 address \"2001:db8:0::1\" should be in RFC 5952 canonical format (\"2001:db8::1\")",
            "spec.externalIPs is deprecated and may no longer be implemented in some clusters",
            "spec.loadBalancerSourceRanges[0]: IPv6 CIDR value \"2001:DB8::/64\" should be in RFC 5952 canonical format (\"2001:db8::/64\")",
        ],
    );
}
