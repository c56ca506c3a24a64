//! Tables: expressions and what they give, what is refused and in which words, and what is estimated.

use crate::*;
use serde_json::json;
use std::sync::Arc;

fn eval_in<'a>(source: &str, env: &Env, globals: &dyn Globals<'a>) -> String {
    let program = match env.compile(source) {
        Ok(program) => program,
        Err(issues) => return format!("refused: {}", issues.issues[0].message),
    };
    match program.eval(globals, &mut Budget::new(1_000_000)) {
        Ok(value) => value.to_json().map_or_else(|| value.type_name().into_owned(), |json| json.to_string()),
        Err(error) => format!("error: {error}"),
    }
}

#[track_caller]
fn check(table: &[(&str, &str)]) {
    for (source, want) in table {
        assert_eq!(eval_in(source, &Env::new(), &Vec::<(&str, Value<'_>)>::new()), *want, "{source}");
    }
}

#[test]
fn operators_and_literals() {
    check(&[
        ("1 + 2 * 3 - 4 / 2 % 3", "5"),
        ("-9223372036854775808", "-9223372036854775808"),
        ("9223372036854775808", "refused: invalid int literal"),
        ("-(-5)", "5"),
        ("- -5", "5"),
        ("!!true", "true"),
        ("0x1F + 1", "32"),
        ("1u + 2u", "3"),
        ("1.5e3 + .5", "1500.5"),
        ("1 / 0", "error: division by zero"),
        ("9223372036854775807 + 1", "error: integer overflow"),
        ("'a' + \"b\" + r'\\n'", "\"ab\\\\n\""),
        ("'\\u00e4\\x41\\101\\n'", "\"äAA\\n\""),
        ("'''a\n'b'''", "\"a\\n'b\""),
        ("size(b'\\xff\\x00')", "2"),
        ("true ? 1 : 2", "1"),
        ("false || true && true", "true"),
        (
            "1 == 1.0 && 1u == 1 && [1] == [1.0]",
            "refused: found no matching overload for '_==_' applied to '(int, double)'",
        ),
        ("dyn(1) == 1.0 && dyn(1u) == 1", "true"),
        ("1 < 1.5 && 2u > 1", "true"),
        ("{'a': 1, 'b': 2}['b']", "2"),
        ("{'a': 1}['c']", "error: no such key: c"),
        ("[1, 2][2]", "error: index out of bounds: 2"),
        ("2 in [1, 2] && 'a' in {'a': 1} && !(3 in [])", "true"),
        ("{'a': 1, 'a': 2}", "error: Failed with repeated key"),
        ("type(1) == int && type('a') != int && type(type) == type", "true"),
        ("[1, 'a']", "refused: expected type 'int' but found 'string'"),
        ("1 + 'a'", "refused: found no matching overload for '_+_' applied to '(int, string)'"),
        ("x", "refused: undeclared reference to 'x' (in container '')"),
        ("f(1)", "refused: undeclared reference to 'f' (in container '')"),
        ("'a'.f()", "refused: undeclared reference to 'f' (in container '')"),
        ("1 +", "refused: Syntax error: mismatched input '<EOF>' expecting an expression"),
        ("1 2", "refused: Syntax error: extraneous input a literal expecting <EOF>"),
        ("for", "refused: reserved identifier: for"),
        ("true || 1 / 0 > 0", "true"),
        ("1 / 0 > 0 || true", "true"),
        ("1 / 0 > 0 && false", "false"),
        ("1 / 0 > 0 && true", "error: division by zero"),
        ("null == null", "true"),
    ]);
}

#[test]
fn macros_loop() {
    check(&[
        ("[1, 2, 3].all(x, x > 0)", "true"),
        ("[1, 2, 3].exists(x, x > 2)", "true"),
        ("[1, 2, 2].exists_one(x, x == 2)", "false"),
        ("[1, 2, 3].map(x, x * 2)", "[2,4,6]"),
        ("[1, 2, 3].map(x, x > 1, x * 2)", "[4,6]"),
        ("[1, 2, 3].filter(x, x > 1).filter(y, y < 3)", "[2]"),
        ("[[1, 2], [3]].map(x, x.map(y, y + size(x)))", "[[3,4],[4]]"),
        ("{'a': 1, 'b': 2}.all(k, k < 'c')", "true"),
        ("[0, 2].exists(x, 4 / x == 2)", "true"),
        ("[0, 2].all(x, 4 / x == 2)", "error: division by zero"),
        ("[2, 0].all(x, 4 / x == 3)", "false"),
        ("[1, 2].all(i, v, i + 1 == v)", "true"),
        ("{'a': 1}.exists(k, v, k == 'a' && v == 1)", "true"),
        ("[3, 4].transformList(i, v, i + v)", "[3,5]"),
        ("{'a': 1, 'b': 2}.transformMap(k, v, v > 1, v * 10)", "{\"b\":20}"),
        ("['x', 'y'].transformMapEntry(i, v, {v: i})", "{\"x\":0,\"y\":1}"),
        ("['x', 'x'].transformMapEntry(i, v, {v: i})", "error: insert failed: key already exists"),
        ("has({'a': 1}.a) && !has({'a': 1}.b)", "true"),
        ("has(1)", "refused: invalid argument to has() macro"),
        (
            "1.all(x, true)",
            "refused: expression of type 'int' cannot be range of a comprehension (must be list, map, or dynamic)",
        ),
        ("[1].map(x, y)", "refused: undeclared reference to 'y' (in container '')"),
        ("[3, 1, 2].sortBy(x, -x)", "[3,2,1]"),
    ]);
}

#[test]
fn optional_values() {
    check(&[
        ("{'a': 1}[?'a'].orValue(5)", "1"),
        ("{'a': 1}[?'b'].orValue(5)", "5"),
        ("{'a': {'b': 1}}.?a.?b.hasValue()", "true"),
        ("{'a': {'b': 1}}.?x.?b.hasValue()", "false"),
        ("optional.of(1).or(optional.of(2)).value()", "1"),
        ("optional.none().value()", "error: optional.none() dereference"),
        ("optional.ofNonZeroValue(0).hasValue()", "false"),
        ("[?optional.of(1), ?optional.none(), 2]", "[1,2]"),
        ("{?'a': optional.none(), 'b': 1}", "{\"b\":1}"),
        ("optional.of(2).optMap(x, x + 1).value()", "3"),
        ("[1, 2].first().value() + [1, 2].last().value()", "3"),
    ]);
}

#[test]
fn strings_and_patterns() {
    check(&[
        ("'tacocat'.indexOf('a', 2)", "5"),
        ("'tacocat'.lastIndexOf('at')", "5"),
        ("'tacocat'.substring(0, 4)", "\"taco\""),
        ("'tacocat'.substring(9)", "error: index out of range: 9"),
        ("'a,b,c'.split(',', 2)", "[\"a\",\"b,c\"]"),
        ("['a', 'b'].join('-')", "\"a-b\""),
        ("'héllo'.charAt(1) + string(size('héllo'))", "\"é5\""),
        ("'aaa'.replace('a', 'b', 2)", "\"bba\""),
        ("' x '.trim() + 'Ab'.lowerAscii()", "\"xab\""),
        ("'abc'.matches('^[a-c]+$') && !matches('d', '^a')", "true"),
        ("'a'.matches('[')", "refused: invalid matches argument"),
        ("'123 abc 456'.find('[0-9]+')", "\"123\""),
        ("'123 abc 456'.findAll('[0-9]+', 1)", "[\"123\"]"),
        ("'%s %d %.2f %x %%'.format(['a', 3, 1.234, 255])", "\"a 3 1.23 ff %\""),
        ("'%e'.format([3.14])", "\"3.140000×10⁰⁰\""),
        ("'%s %s'.format(['a'])", "error: index 1 out of range"),
        ("'%s'.format([[1, 'a', {'k': null}]])", "refused: expected type 'int' but found 'string'"),
        ("'%s'.format([[dyn(1), dyn('a'), dyn({'k': null})]])", "\"[1, a, {k: null}]\""),
        (
            "'%d'.format(['a'])",
            "error: error during formatting: decimal clause can only be used on integers, was given string",
        ),
        ("strings.quote('a\"b\\n')", "\"\\\"a\\\\\\\"b\\\\n\\\"\""),
        ("jsonpatch.escapeKey('k8s.io/a~b')", "\"k8s.io~1a~0b\""),
    ]);
}

#[test]
fn conversions_and_times() {
    check(&[
        ("int('12') + int(3.9) + int(4u)", "19"),
        ("int('x')", "error: strconv.ParseInt: parsing \"x\": invalid syntax"),
        ("string(1.0) + string(1234567.0) + string(true)", "\"11.234567e+06true\""),
        ("uint(-1)", "error: unsigned integer overflow"),
        ("string(b'abc')", "\"abc\""),
        ("duration('1h30m').getMinutes()", "90"),
        ("string(duration('-1.5s'))", "\"-1.5s\""),
        ("duration('x')", "refused: invalid duration argument"),
        ("timestamp('2024-02-29T12:30:45.5Z').getMonth()", "1"),
        ("timestamp('2024-02-29T12:30:45.5Z').getHours('-01:30')", "11"),
        ("timestamp('2024-02-29T00:00:00Z') + duration('24h') == timestamp('2024-03-01T00:00:00Z')", "true"),
        ("timestamp('2024-03-01T00:00:00Z') - timestamp('2024-02-29T00:00:00Z') == duration('24h')", "true"),
        ("string(timestamp('2011-08-18T19:03:37.01+01:00'))", "\"2011-08-18T19:03:37.01+01:00\""),
        ("timestamp(-62135596801)", "refused: invalid timestamp argument"),
        ("timestamp('1000-01-01T00:00:00ZZ')", "refused: invalid timestamp argument"),
        ("timestamp('yesterday')", "refused: invalid timestamp argument"),
    ]);
}

#[test]
fn libraries_of_the_api_server() {
    check(&[
        ("[1, 2, 3].isSorted() && ![2, 1].isSorted()", "true"),
        ("[1, 2, 3].sum() + [1, 5].max() + [4, 3].min() + [1, 2].indexOf(2)", "15"),
        ("[].min()", "error: min called on empty list"),
        (
            "sets.contains([1, 2], [2]) && sets.intersects([1], [1, 2]) && !sets.equivalent([1], [1, 2])",
            "true",
        ),
        ("[1, 2, 3, 4].slice(1, 3)", "[2,3]"),
        ("[[1], [2, 3]].flatten()", "[1,2,3]"),
        ("[3, 1].sort() == [1, 3] && lists.range(3) == [0, 1, 2] && [1, 1].distinct() == [1]", "true"),
        ("url('https://user@example.com:80/path?k=a&k=b').getHost()", "\"example.com:80\""),
        (
            "url('https://[::1]:80/p ath')",
            "error: URL parse error during conversion from string: parse \"https://[::1]:80/p ath\": invalid URI for request",
        ),
        ("url('https://[::1]:80/path?k=a&k=%20').getQuery()['k']", "[\"a\",\" \"]"),
        ("isURL('/a/b') && !isURL('../x')", "true"),
        (
            "quantity('1.5Gi').isGreaterThan(quantity('1G')) && quantity('200M').compareTo(quantity('0.2G')) == 0",
            "true",
        ),
        ("quantity('50k').add(20).sub(quantity('20')).asInteger()", "50000"),
        ("isQuantity('20Mi') && !isQuantity('20mi') && quantity('50k') == quantity('50000')", "true"),
        ("ip('127.0.0.1').isLoopback() && ip('::1').family() == 6 && !isIP('1.2.3')", "true"),
        (
            "cidr('192.168.0.0/24').containsIP('192.168.0.7') && !cidr('10.0.0.0/8').containsCIDR('10.0.0.0/7')",
            "true",
        ),
        ("string(cidr('192.168.0.7/24').masked())", "\"192.168.0.0/24\""),
        (
            "semver('1.2.3').isLessThan(semver('1.2.4-alpha')) && semver('1.0.0-rc.2').compareTo(semver('1.0.0')) == -1",
            "true",
        ),
        ("semver('v1.2', true).minor() + semver('1.2.3').patch()", "5"),
        ("!format.dns1123Label().validate('a-b').hasValue()", "true"),
        ("format.dns1123Label().validate('A').value()[0].startsWith('a lowercase RFC 1123 label')", "true"),
        ("format.named('uuid').value().validate('x').hasValue()", "true"),
    ]);
}

fn typed() -> (Env, Arc<Decl>) {
    let item = Decl::object("item", [("name", Decl::new(Shape::String)), ("port", Decl::new(Shape::Int))]);
    let keyed = Shape::List(Arc::new(item), ListKind::Map(["name".to_string()].into()));
    let spec = Decl::object(
        "spec",
        [
            ("replicas", Decl::new(Shape::Int)),
            ("name", Decl::new(Shape::String).max(10)),
            ("tags", Decl::new(Shape::List(Arc::new(Decl::new(Shape::String).max(5)), ListKind::Set)).max(4)),
            ("items", Decl::new(keyed)),
            ("labels", Decl::map(Decl::new(Shape::String))),
            ("wait", Decl::new(Shape::Duration)),
            ("any", Decl::dynamic()),
        ],
    );
    let decl = Arc::new(Decl::object("object", [("spec", spec)]));
    (Env::new().with("self", decl.clone()).with("oldSelf", decl.clone()), decl)
}

#[test]
fn data_are_seen_through_their_shape() {
    let (env, decl) = typed();
    let data = json!({"spec": {"replicas": 3, "name": "a", "tags": ["x", "y"], "wait": "90s", "labels": {"k": "v"},
        "items": [{"name": "a", "port": 1}, {"name": "b", "port": 2}], "any": {"deep": [1, 2.5, "s"]}, "hidden": 1}});
    let old = json!({"spec": {"replicas": 2, "tags": ["y", "x"],
        "items": [{"name": "b", "port": 2}, {"name": "a", "port": 1}]}});
    let globals = vec![("self", Value::of_json(&data, &decl)), ("oldSelf", Value::of_json(&old, &decl))];
    for (source, want) in [
        ("self.spec.replicas >= oldSelf.spec.replicas", "true"),
        ("self.spec.tags == oldSelf.spec.tags", "true"),
        ("self.spec.items == oldSelf.spec.items", "true"),
        ("self.spec.items + [] == self.spec.items", "true"),
        ("(self.spec.tags + ['x', 'z']).size()", "3"),
        ("self.spec.wait.getSeconds()", "90"),
        ("self.spec.labels.k + self.spec.labels['k']", "\"vv\""),
        ("has(oldSelf.spec.name)", "false"),
        ("oldSelf.spec.name", "error: no such key: name"),
        ("self.spec.any.deep[1] + 1.0", "3.5"),
        ("self.spec.any.missing", "error: no such key: missing"),
        ("self.spec.hidden", "refused: undefined field 'hidden'"),
        ("self.spec.replicas.x", "refused: type 'int' does not support field selection"),
        (
            "self.spec.items.exists(i, i.port == 'a')",
            "refused: found no matching overload for '_==_' applied to '(int, string)'",
        ),
        ("self.spec.items.filter(i, i.port > 1)[0].name", "\"b\""),
        ("self.spec.?name.orValue('none') + oldSelf.spec.?name.orValue('none')", "\"anone\""),
    ] {
        assert_eq!(eval_in(source, &env, &globals), want, "{source}");
    }
}

#[test]
fn mistakes_show_their_place() {
    let (env, _) = typed();
    let issues = env.compile("self.spec.x == 1 &&\n  self.spec.name == 2").unwrap_err();
    assert_eq!(
        issues.to_string(),
        "ERROR: <input>:1:10: undefined field 'x'\n | self.spec.x == 1 &&\n | .........^\n\
         ERROR: <input>:2:18: found no matching overload for '_==_' applied to '(string, int)'\n |   self.spec.name == 2\n | .................^"
    );
}

#[test]
fn costs_are_limited() {
    let program =
        Env::new().compile("lists.range(1000).map(x, lists.range(1000).map(y, x * y)).size()").unwrap();
    let mut budget = Budget::new(100_000);
    assert_eq!(program.eval(&Vec::<(&str, Value<'_>)>::new(), &mut budget).unwrap_err(), Error::Cost);
    assert!(budget.used < 110_000, "{budget:?}");
    // Not hidden by what settles an answer, nor by a quantifier.
    for source in
        ["lists.range(100000).all(x, x >= 0) || true", "[1].exists(y, lists.range(100000).all(x, x >= 0))"]
    {
        let program = Env::new().compile(source).unwrap();
        assert_eq!(
            program.eval(&Vec::<(&str, Value<'_>)>::new(), &mut Budget::new(1000)).unwrap_err(),
            Error::Cost,
            "{source}"
        );
    }
}

#[test]
fn costs_are_estimated_from_shapes() {
    let (env, _) = typed();
    for (source, min, max) in [
        ("true", 0, 0),
        ("self.spec.replicas > 1", 4, 4),
        // Ten characters are one.
        ("self.spec.name == 'abcdefghij'", 4, 4),
        ("self.spec.name.startsWith('abcdefghijklmnopqrst')", 5, 5),
        // Four times: the condition (2), the accumulator (1), the variable, and the comparison.
        ("self.spec.tags.all(t, t == 'abcde')", 4, 24),
        ("has(self.spec.name)", 2, 2),
        // Two lists, the result, and twice the accumulator, the variable, a list and the sum.
        ("[1, 2].map(x, x)", 47, 47),
    ] {
        let estimate = env.compile(source).unwrap().estimate(&env);
        assert_eq!((estimate.min, estimate.max), (min, max), "{source}");
    }
    // Keys cost nothing, and parts of a text are as long as `self` is large.
    for (source, max) in [
        ("self.spec.labels.all(k, k.contains('*'))", 2_000_000),
        ("self.spec.name.split('.').exists(x, x.matches('^0[0-9]+$'))", 2_000),
    ] {
        let estimate = env.compile(source).unwrap().estimate(&env);
        assert!(estimate.max < max, "{source} {estimate:?}");
    }
    // Unbounded lists within unbounded lists are too much for any limit.
    let estimate = env
        .compile("self.spec.items.all(i, self.spec.items.all(j, i.name != j.name))")
        .unwrap()
        .estimate(&env);
    assert!(estimate.max > 1_000_000_000, "{estimate:?}");
}

#[test]
fn authorizers_are_asked() {
    #[derive(Debug)]
    struct Only;
    impl Authorize for Only {
        fn authorize(&self, asked: &Attributes) -> Decision {
            let allowed = asked.verb == "get" && asked.resource == "pods" && asked.namespace == "default";
            Decision { allowed, reason: "because".into(), error: None }
        }
    }
    let env = Env::new().with_type("authorizer", Authorizer::ty());
    let globals = vec![("authorizer", Value::opaque(Authorizer::new(Arc::new(Only))))];
    for (source, want) in [
        ("authorizer.group('').resource('pods').namespace('default').check('get').allowed()", "true"),
        ("authorizer.group('').resource('pods').check('get').allowed()", "false"),
        ("authorizer.path('/healthz').check('get').reason()", "\"because\""),
        (
            "authorizer.check('get')",
            "refused: found no matching overload for 'check' applied to 'kubernetes.authorization.Authorizer.(string)'",
        ),
    ] {
        assert_eq!(eval_in(source, &env, &globals), want, "{source}");
    }
}

#[test]
fn objects_without_a_schema_are_made() {
    let patch = Decl::object(
        "JSONPatch",
        [
            ("op", Decl::new(Shape::String)),
            ("path", Decl::new(Shape::String)),
            ("from", Decl::new(Shape::String)),
            ("value", Decl::dynamic()),
        ],
    );
    let Shape::Object(patch) = patch.shape else { panic!("it is an object") };
    let env = Env::new()
        .with_open_objects()
        .with_constructor(patch)
        .with_type("request", Type::Dyn)
        .with_type("authorizer", Authorizer::ty())
        .with_type("authorizer.requestResource", Authorizer::resource_ty());
    let data = json!({"namespace": "n"});
    let globals = vec![("request", Value::of_json(&data, &DYNAMIC))];
    for (source, want) in [
        ("Object{}", "{}"),
        ("Object{spec: Object.spec{replicas: 3}}", r#"{"spec":{"replicas":3}}"#),
        ("Object{list: [1, 2]}.list.sum()", "3"),
        ("Object{}.?nothing.hasValue()", "false"),
        ("Object{a: Object.a{b: 1}} == Object{a: Object.a{b: 0 + 1}}", "true"),
        (
            "[JSONPatch{op: 'add', path: '/a', value: Object.a{b: {'c': 1}}}]",
            r#"[{"op":"add","path":"/a","value":{"b":{"c":1}}}]"#,
        ),
        ("JSONPatch{op: 1}", "refused: expected type of field 'op' is 'string' but provided type is 'int'"),
        ("Invalid{}", "refused: undeclared reference to 'Invalid' (in container '')"),
        ("request.namespace", "\"n\""),
    ] {
        assert_eq!(eval_in(source, &env, &globals), want, "{source}");
    }
    let output = |source: &str| env.compile(source).unwrap().output().to_string();
    assert_eq!(output("Object{a: 1}"), "Object");
    assert_eq!(output("[JSONPatch{op: 'remove', path: '/a'}]"), "list(JSONPatch)");
    assert_eq!(output("authorizer.requestResource.check('get').allowed()"), "bool");
}

proptest::proptest! {
    /// Whatever is written, it is an expression or a mistake with a place inside the text.
    #[test]
    fn nothing_panics(source in "[-a-z0-9 .,()\\[\\]{}?:!&|=<>+*/%'\"\\\\]{0,60}") {
        let env = Env::new().with_type("a", Type::Dyn);
        match env.compile(&source) {
            Ok(program) => { let _ = program.eval(&vec![("a", Value::Int(1))], &mut Budget::new(10_000)); }
            Err(issues) => {
                proptest::prop_assert!(issues.issues.iter().all(|issue| issue.at <= source.len()));
                let _ = issues.to_string();
            }
        }
    }
}

/// However an expression nests, its tree is shallow enough for everything that walks it, in half of the stack that a
/// server's threads have.
#[test]
#[allow(clippy::disallowed_methods, reason = "the size of the stack is what is tested")]
fn nesting_is_bounded() {
    let thread = std::thread::Builder::new().stack_size(1 << 20);
    thread.spawn(nested_expressions).expect("a thread").join().expect("it had enough");
}

fn nested_expressions() {
    let repeat = |open: &str, inner: &str, close: &str, times: usize| {
        format!("{}{inner}{}", open.repeat(times), close.repeat(times))
    };
    let limit = "refused: expression recursion limit exceeded: 250";
    let chain = " + 1".repeat(200);
    for (source, want) in [
        (repeat("(", "1", ")", 200), "1"),
        (repeat("(", "1", ")", 300), limit),
        (repeat("size([", "1", "])", 100), "1"),
        (repeat("[", "1", "]", 300), limit),
        (repeat("true ? 2 : ", "1", "", 300), limit),
        (format!("1{chain}"), "201"),
        (format!("1{chain}{chain}"), limit),
        // Levels that are allowed each by itself add up.
        (repeat("(", "1", &format!("{chain})"), 100), limit),
        (repeat("[0].map(x, ", "x", ")", 200), limit),
        (repeat("-(", "1", ")", 300), limit),
        (format!("{{}}{}", ".a".repeat(300)), limit),
        (format!("true{}", " && true".repeat(5000)), "true"),
    ] {
        let shown: String = source.chars().take(40).collect();
        assert_eq!(eval_in(&source, &Env::new(), &Vec::<(&str, Value<'_>)>::new()), want, "{shown}");
    }
}
