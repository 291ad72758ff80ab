use super::*;
use std::path::Path;

const FILE: &str = r#"
apiVersion: v1
kind: Config
clusters:
- name: hook
  cluster: {server: "https://hook.example:8443/review", tls-server-name: hook, insecure-skip-tls-verify: true}
users:
- name: me
  user: {token: abc}
contexts:
- name: c
  context: {cluster: hook, user: me}
current-context: c
"#;

#[test]
fn the_current_context_is_read() {
    let config = Kubeconfig::parse(FILE.as_bytes(), Path::new("/")).unwrap();
    assert_eq!(config.server, "https://hook.example:8443/review");
    assert_eq!(config.tls_server_name.as_deref(), Some("hook"));
    assert!(config.insecure_skip_tls_verify);
    assert!(!format!("{config:?}").contains("abc"), "a token must not be printed");
    Client::of(&config).unwrap();
}

#[test]
fn files_that_cannot_be_used_say_why() {
    for (from, to, why) in [
        ("current-context: c", "", "current-context is not set"),
        ("current-context: c", "current-context: d", "context \"d\" does not exist"),
        ("cluster: hook", "cluster: other", "cluster \"other\" does not exist"),
        ("user: me", "user: you", "user \"you\" does not exist"),
        ("token: abc", "exec: {command: x}", "user exec is not supported"),
        ("token: abc", "client-key-data: eA==", "client-certificate and client-key must be given together"),
        ("token: abc", "client-key-data: '!'", "client-key-data: Invalid symbol 33, offset 0."),
    ] {
        let error = Kubeconfig::parse(FILE.replace(from, to).as_bytes(), Path::new("/")).unwrap_err();
        assert_eq!(error, why);
    }
}

#[tokio::test]
async fn calls_are_repeated_while_they_may_heal() {
    for (error, attempts) in
        [(|| CallError::Transport("reset".to_owned()), 5), (|| CallError::BadAnswer("no".to_owned()), 1)]
            as [(fn() -> CallError, usize); 2]
    {
        let mut count = 0;
        let outcome: Result<(), _> = Backoff { first: std::time::Duration::from_millis(1), ..Backoff::default() }
            .run(|| {
                count += 1;
                std::future::ready(Err(error()))
            })
            .await;
        assert!(outcome.is_err());
        assert_eq!(count, attempts);
    }
}
