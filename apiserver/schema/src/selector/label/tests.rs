use super::*;
use proptest::prelude::*;

fn labels(pairs: &[(&'static str, &'static str)]) -> Vec<(&'static str, &'static str)> {
    let mut pairs = pairs.to_vec();
    pairs.sort_unstable();
    pairs
}

#[test]
fn grammar_and_canonical_text() {
    for (text, printed) in [
        ("", ""),
        ("  ", ""),
        ("x", "x"),
        ("!x", "!x"),
        ("x=a", "x=a"),
        ("x==a", "x==a"),
        ("x!=a", "x!=a"),
        ("x = a", "x=a"),
        ("x=", "x="),
        ("x==", "x=="),
        ("x= ,z= ", "x=,z="),
        ("y=b,x=a", "x=a,y=b"),
        ("x in (b,a)", "x in (a,b)"),
        ("x in (a,b,a)", "x in (a,b)"),
        ("x in ()", "x in ()"),
        ("x in (,)", "x in ()"),
        ("x in (,a)", "x in (,a)"),
        ("x in (a,)", "x in (,a)"),
        ("x in (a,,b)", "x in (,a,b)"),
        ("x in(a)", "x in (a)"),
        ("x\tnotin\r\n( a , b )", "x notin (a,b)"),
        ("x>1,z<5", "x>1,z<5"),
        ("in", "in"),
        ("notin", "notin"),
        ("in in (in)", "in in (in)"),
        ("notin notin (a)", "notin notin (a)"),
        ("in=in", "in=in"),
        ("example.com/x=y", "example.com/x=y"),
        ("x in (a),x in (b)", "x in (a),x in (b)"),
    ] {
        assert_eq!(Selector::parse(text).unwrap().to_string(), printed, "{text}");
    }
}

#[test]
fn errors_read_as_the_servers() {
    const NAME: &str = "name part must consist of alphanumeric characters, '-', '_' or '.', and must start and end with \
                        an alphanumeric character (e.g. 'MyName',  or 'my.name',  or '123-abc', regex used for \
                        validation is '([A-Za-z0-9][-A-Za-z0-9_.]*)?[A-Za-z0-9]')";
    const VALUE: &str = "a valid label must be an empty string or consist of alphanumeric characters, '-', '_' or '.', \
                         and must start and end with an alphanumeric character (e.g. 'MyValue',  or 'my_value',  or \
                         '12345', regex used for validation is '(([A-Za-z0-9][-A-Za-z0-9_.]*)?[A-Za-z0-9])?')";
    for (text, message) in [
        ("tier=web,", "found '', expected: identifier after ','"),
        (",tier=web", "found ',', expected: !, identifier, or 'end of string'"),
        ("tier=web,,rank=1", "found ',', expected: identifier after ','"),
        ("tier in web", "unable to parse requirement: found 'web' expected: '('"),
        ("tier in (web", "unable to parse requirement: found '', expected: ',' or ')'"),
        ("tier in", "unable to parse requirement: found '' expected: '('"),
        ("tier in (=)", "unable to parse requirement: found '=', expected: ',', ')' or identifier"),
        ("tier in (a,=)", "unable to parse requirement: found '=', expected: ',', or identifier"),
        ("=web", "found '=', expected: !, identifier, or 'end of string'"),
        ("==", "found '==', expected: !, identifier, or 'end of string'"),
        ("!", "unable to parse requirement: found '', expected: identifier"),
        ("!!tier", "unable to parse requirement: found '!', expected: identifier"),
        ("!in", "unable to parse requirement: found 'in', expected: identifier"),
        ("!tier=web", "found '=', expected: ',' or 'end of string'"),
        ("tier!", "unable to parse requirement: found '!', expected: in, notin, =, ==, !=, gt, lt"),
        ("tier web", "unable to parse requirement: found 'web', expected: in, notin, =, ==, !=, gt, lt"),
        ("tier=web db", "found 'db', expected: ',' or 'end of string'"),
        ("(tier)", "found '(', expected: !, identifier, or 'end of string'"),
        ("tier===web", "unable to parse requirement: found '=', expected: identifier"),
        ("rank>=1", "unable to parse requirement: found '=', expected: identifier"),
        (
            "rank>1.5",
            "unable to parse requirement: values[0]: Invalid value: \"1.5\": for 'Gt', 'Lt' operators, the value must \
             be an integer",
        ),
        ("/x", "unable to parse requirement: <nil>: Invalid value: \"/x\": prefix part must be non-empty"),
        ("-bad", &format!("unable to parse requirement: <nil>: Invalid value: \"-bad\": {NAME}")),
        ("tier=-x", &format!("unable to parse requirement: values[0][tier]: Invalid value: \"-x\": {VALUE}")),
        ("tier=été", &format!("unable to parse requirement: values[0][tier]: Invalid value: \"été\": {VALUE}")),
        ("x in (-bad)", &format!("unable to parse requirement: values[0][x]: Invalid value: \"-bad\": {VALUE}")),
        (
            "rank>",
            "unable to parse requirement: values[0]: Invalid value: \"\": for 'Gt', 'Lt' operators, the value must be \
             an integer",
        ),
    ] {
        assert_eq!(Selector::parse(text).unwrap_err().to_string(), message, "{text}");
    }
}

#[test]
fn matching() {
    let web = labels(&[("tier", "web"), ("rank", "1"), ("empty", "")]);
    for (text, expected) in [
        ("", true),
        ("tier=web", true),
        ("tier=db", false),
        ("tier!=db", true),
        ("none!=x", true),
        ("tier in (db,web)", true),
        ("tier notin (db,web)", false),
        ("none notin (x)", true),
        ("none in (x)", false),
        ("tier", true),
        ("!tier", false),
        ("!none", true),
        ("none", false),
        ("rank>0", true),
        ("rank>1", false),
        ("rank<2", true),
        ("tier>0", false),
        ("none<9", false),
        ("empty=", true),
        ("empty in ()", true),
        ("none=", false),
        ("tier=web,rank=2", false),
        ("TIER=web", false),
    ] {
        let selector = Selector::parse(text).unwrap();
        assert_eq!(selector.matches(web.as_slice()), expected, "{text}");
        let map: BTreeMap<String, String> = web.iter().map(|(k, v)| (k.to_string(), v.to_string())).collect();
        assert_eq!(selector.matches(&map), expected, "{text}");
        let json: Value = serde_json::to_value(&map).unwrap();
        assert_eq!(selector.matches(&json), expected, "{text}");
    }
    assert!(!Selector::Nothing.matches(web.as_slice()));
    let many: Vec<(String, String)> = (10..40).map(|n| (format!("k{n}"), n.to_string())).collect();
    assert!(Selector::parse("k25=25,!k99").unwrap().matches(many.as_slice()));
}

#[test]
fn label_selectors_in_json() {
    let parse = |text: &str| Selector::from_label_selector(&serde_json::from_str(text).unwrap());
    for (json, printed) in [
        ("{}", ""),
        (r#"{"matchLabels":null}"#, ""),
        (r#"{"matchLabels":{"b":"2","a":"1"}}"#, "a=1,b=2"),
        (
            r#"{"matchLabels":{"z":"1"},"matchExpressions":[{"key":"a","operator":"In","values":["y","x"]},
                {"key":"b","operator":"DoesNotExist"},{"key":"c","operator":"NotIn","values":["v"]},
                {"key":"d","operator":"Exists","values":[]}]}"#,
            "a in (x,y),!b,c notin (v),d,z=1",
        ),
    ] {
        assert_eq!(parse(json).unwrap().to_string(), printed, "{json}");
    }
    assert_eq!(parse("null").unwrap(), Selector::Nothing);
    assert_eq!(parse("{}").unwrap(), Selector::Everything);
    assert_eq!(
        parse(r#"{"matchExpressions":[{"key":"a","operator":"Like"}]}"#).unwrap_err().to_string(),
        "\"Like\" is not a valid label selector operator"
    );
    assert_eq!(
        parse(r#"{"matchExpressions":[{"key":"a","operator":"In"}]}"#).unwrap_err().to_string(),
        "values: Invalid value: []: for 'in', 'notin' operators, values set can't be empty"
    );
    for bad in ["[]", r#"{"matchLabels":[]}"#, r#"{"matchLabels":{"a":1}}"#, r#"{"matchExpressions":{}}"#] {
        assert!(parse(bad).is_err(), "{bad}");
    }
}

#[test]
fn exact_matches_for_indexes() {
    let selector = Selector::parse("a=1,b in (2),c in (3,4),d!=5").unwrap();
    let exact = |key| selector.requires_exact_match(key);
    assert_eq!((exact("a"), exact("b"), exact("c"), exact("d")), (Some("1"), Some("2"), None, None));
}

#[test]
fn recorded_selectors_read_and_match_as_in_the_real_server() {
    let scenarios = std::path::Path::new(env!("CARGO_MANIFEST_DIR")).join("../../tests/oracle/scenarios");
    let read = |name: &str| std::fs::read(scenarios.join(name)).unwrap();
    let answers: Value = serde_json::from_slice(&read("machinery-label-selectors.answers.json")).unwrap();
    let objects = [
        labels(&[("tier", "web"), ("rank", "1")]),
        labels(&[("tier", "db"), ("rank", "2"), ("empty", "")]),
        labels(&[("example.com/x", "y")]),
        labels(&[]),
    ];
    let mut compared = 0;
    for answer in answers.as_array().unwrap() {
        let Some((_, query)) = answer["do"].as_str().and_then(|line| line.split_once("?labelSelector=")) else {
            continue;
        };
        let text = percent_decoded(query.split('&').next().unwrap_or_default());
        let selector = Selector::parse(&text);
        match answer["status"].as_i64() {
            Some(200) => {
                let selector = selector.unwrap();
                let names: Vec<&str> = "abcd"
                    .split("")
                    .filter(|name| !name.is_empty())
                    .zip(&objects)
                    .filter(|(_, labels)| selector.matches(labels.as_slice()))
                    .map(|(name, _)| name)
                    .collect();
                let items = answer["body"]["items"].as_array().cloned().unwrap_or_default();
                let real: Vec<&str> = items.iter().filter_map(|item| item["metadata"]["name"].as_str()).collect();
                assert_eq!(names, real, "{text}");
            }
            _ => assert_eq!(selector.unwrap_err().to_string(), answer["body"]["message"], "{text}"),
        }
        compared += 1;
    }
    assert!(compared > 50, "{compared}");
}

fn percent_decoded(text: &str) -> String {
    let mut bytes = Vec::new();
    let mut rest = text.as_bytes();
    while let [first, tail @ ..] = rest {
        match (first, tail) {
            (b'%', [high, low, after @ ..]) => {
                let digits = [*high, *low];
                bytes.push(u8::from_str_radix(std::str::from_utf8(&digits).unwrap(), 16).unwrap());
                rest = after;
            }
            _ => {
                bytes.push(*first);
                rest = tail;
            }
        }
    }
    String::from_utf8(bytes).unwrap()
}

proptest! {
    #[test]
    fn no_text_panics(text in "\\PC{0,40}") {
        let _ = Selector::parse(&text);
    }

    #[test]
    fn the_printed_text_parses_to_the_same_selector(text in "[a-c](=|==|!=| in | notin |>|<|)[(]?[a-c1-3,]{0,5}[)]?(,!?[a-c])?") {
        if let Ok(selector) = Selector::parse(&text) {
            prop_assert_eq!(Selector::parse(&selector.to_string()).unwrap(), selector);
        }
    }
}
