//! Malformed requests: refused in the real server's words, and never the end of the process.

use proptest::prelude::*;
use serde_json::json;

use crate::harness::{CONFIG_MAPS, Server, config_map};

#[tokio::test]
async fn bodies_that_are_none() {
    let server = Server::start().await;
    let table: &[(&str, u16, &str)] = &[
        ("", 400, "couldn't get version/kind; json parse error: unexpected end of JSON input (<empty>)"),
        ("{not json", 400, "invalid character 'n' looking for beginning of object key string ({not json)"),
        ("[]", 400, "json: cannot unmarshal array into Go value of type struct"),
        ("{}", 422, "metadata.name: Required value: name or generateName is required"),
        (r#"{"apiVersion":"v1","kind":"Secret","metadata":{"name":"k"}}"#, 400, "unknown conversion"),
        (r#"{"apiVersion":"a/b/c","kind":"ConfigMap"}"#, 400, "unexpected GroupVersion string: a/b/c"),
        (r#"{"kind":"ConfigMap","metadata":{"name":5}}"#, 400, "cannot unmarshal number into Go struct field"),
    ];
    for (body, code, text) in table {
        let answer = server.call_with("POST", CONFIG_MAPS, &[], Some(body.to_string())).await.is(*code);
        assert!(answer.message().contains(text), "{body}: {}", answer.message());
    }
}

#[tokio::test]
async fn limits_have_their_codes() {
    let server = Server::start().await;
    let large = format!(r#"{{"data":{{"k":"{}"}}}}"#, "x".repeat(3 * 1024 * 1024));
    let answer = server.call_with("POST", CONFIG_MAPS, &[], Some(large)).await.is(413);
    assert_eq!(answer.message(), "Request entity too large: limit is 3145728");
    let deep = format!("{}1{}", r#"{"a":"#.repeat(12_000), "}".repeat(12_000));
    server.call_with("POST", CONFIG_MAPS, &[], Some(deep)).await.is(400);
    server.call_with("POST", CONFIG_MAPS, &[("content-type", "text/plain")], Some("{}")).await.is(415);
    server.call_with("PATCH", &format!("{CONFIG_MAPS}/a"), &[], Some("{}")).await.is(415);
    server.call_with("GET", CONFIG_MAPS, &[("accept", "text/html")], None::<String>).await.is(406);
    server.call("FOO", CONFIG_MAPS, None).await.is(405);
}

#[tokio::test]
async fn unknown_fields_are_warned_about_or_refused() {
    let server = Server::start().await;
    let mut object = config_map("a");
    object["nothing"] = json!(1);
    let warned = server.post(CONFIG_MAPS, &object).await.is(201);
    assert_eq!(warned.headers["warning"], r#"299 - "unknown field \"nothing\"""#);
    let strict = format!("{CONFIG_MAPS}?fieldValidation=Strict");
    assert!(
        server
            .post(&strict, &object)
            .await
            .is(400)
            .message()
            .contains(r#"strict decoding error: unknown field "nothing""#)
    );
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 64, ..ProptestConfig::default() })]

    /// Any path, query and body gets an answer, and the server is well afterwards.
    #[test]
    fn anything_is_answered(
        method in "GET|POST|PUT|PATCH|DELETE|HEAD|FOO",
        path in "/(api|apis|api/v1|apis/apps/v1|openapi|healthz)?[a-zA-Z0-9/%._~:-]{0,60}",
        query in "[a-zA-Z0-9=&%+,.!()-]{0,60}",
        kind in "application/json|application/yaml|application/merge-patch\\+json|application/json-patch\\+json|x",
        body in proptest::collection::vec(any::<u8>(), 0..200),
    ) {
        let Ok(uri) = format!("{path}?{query}").parse::<http::Uri>() else { return Ok(()) };
        // A watch is answered for as long as its client wants.
        prop_assume!(!uri.to_string().contains("watch"));
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
        runtime.block_on(async {
            let server = Server::start().await;
            let answer = server.call_with(&method, &uri.to_string(), &[("content-type", &kind)], Some(body)).await;
            assert!(answer.code < 500 || answer.code == 501 || !answer.body.is_empty());
            server.get("/livez").await.is(200);
        });
    }
}
