//! Client libraries that controllers are written with, against `kuorum dev`.

use std::collections::BTreeSet;
use std::process::Command;
use std::time::Duration;

use anyhow::{Context, Result, bail, ensure};
use futures_util::{StreamExt, TryStreamExt};
use k8s_openapi::api::core::v1::{ConfigMap, Secret};
use kube::api::{Api, DeleteParams, ListParams, Patch, PatchParams, PostParams};
use kube::runtime::{WatchStreamExt, reflector, watcher};
use kube::{Client, ResourceExt};
use kuorum_tests::dev::{self, Dev};
use kuorum_tests::{machine, paths, script};
use serde_json::json;

/// Bounds every wait for an event; one that comes, comes in milliseconds.
const PATIENCE: Duration = Duration::from_secs(30);

fn python_script(name: &str) -> Result<()> {
    let _machine = machine();
    let mut server = Dev::start::<&str>(&[])?;
    let mut client = Command::new(paths::python());
    client.arg(paths::repository().join("tests/clients").join(name)).arg(server.kubeconfig());
    let result = script::run(name, &mut client);
    server.check_alive()?;
    result.map(drop)
}

#[test]
fn official_python_client() -> Result<()> {
    python_script("python_client.py")
}

#[test]
fn kr8s() -> Result<()> {
    python_script("kr8s_client.py")
}

fn with_client<F: Future<Output = Result<()>>>(test: impl FnOnce(Client) -> F) -> Result<()> {
    let _machine = machine();
    let mut server = Dev::start::<&str>(&[])?;
    let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(2).enable_all().build()?;
    let result = runtime.block_on(async {
        let client = dev::client(&server.kubeconfig()).await?;
        tokio::time::timeout(PATIENCE * 4, test(client)).await.context("the test did not end")?
    });
    server.check_alive()?;
    result
}

fn config_map(name: &str) -> ConfigMap {
    ConfigMap {
        metadata: kube::api::ObjectMeta { name: Some(name.to_owned()), ..Default::default() },
        data: Some([("a".to_owned(), "1".to_owned())].into()),
        ..Default::default()
    }
}

#[test]
fn kube_rs_verbs() -> Result<()> {
    with_client(|client| async move {
        let api: Api<ConfigMap> = Api::default_namespaced(client);
        let made = api.create(&PostParams::default(), &config_map("verbs")).await?;
        let conflict = api.create(&PostParams::default(), &config_map("verbs")).await;
        ensure!(matches!(&conflict, Err(kube::Error::Api(status)) if status.is_already_exists()), "{conflict:?}");

        let merge = Patch::Merge(json!({"data": {"b": "2"}}));
        let patched = api.patch("verbs", &PatchParams::default(), &merge).await?;
        ensure!(patched.data.as_ref().map(|data| data.len()) == Some(2), "{patched:?}");
        let stale = api.replace("verbs", &PostParams::default(), &made).await;
        ensure!(matches!(&stale, Err(kube::Error::Api(status)) if status.is_conflict()), "{stale:?}");

        let dry = PatchParams { dry_run: true, ..Default::default() };
        let dry = api.patch("verbs", &dry, &Patch::Merge(json!({"data": null}))).await?;
        ensure!(dry.data.is_none(), "a dry run answers as if");
        ensure!(api.get("verbs").await?.data.is_some(), "and changes nothing");

        let listed = api.list_metadata(&ListParams::default().fields("metadata.name=verbs")).await?;
        ensure!(listed.items.len() == 1 && listed.items[0].uid() == made.uid(), "{listed:?}");
        api.delete("verbs", &DeleteParams::default()).await?;
        ensure!(api.get_opt("verbs").await?.is_none());
        Ok(())
    })
}

/// A watcher of each start strategy sees what was there and what comes, once.
#[test]
fn kube_rs_watcher() -> Result<()> {
    with_client(|client| async move {
        let api: Api<Secret> = Api::default_namespaced(client);
        let secret = |name: &str| Secret {
            metadata: kube::api::ObjectMeta { name: Some(name.to_owned()), ..Default::default() },
            ..Default::default()
        };
        for i in 0..5 {
            api.create(&PostParams::default(), &secret(&format!("before-{i}"))).await?;
        }
        let listing = watcher::watcher(api.clone(), watcher::Config::default().page_size(2)).boxed();
        let streaming = watcher::watcher(api.clone(), watcher::Config::default().streaming_lists()).boxed();
        let mut watchers = Vec::new();
        for (name, stream) in [("listing", listing), ("streaming", streaming)] {
            watchers.push(tokio::spawn(async move {
                let mut touched = stream.applied_objects();
                let mut seen = Vec::new();
                while seen.len() < 10 {
                    match tokio::time::timeout(PATIENCE, touched.try_next()).await {
                        Ok(Ok(Some(object))) => seen.push(object.name_any()),
                        Ok(other) => bail!("{name}: {other:?} after {seen:?}"),
                        Err(_) => bail!("{name}: nothing more after {seen:?}"),
                    }
                }
                Ok(seen)
            }));
        }
        for i in 0..5 {
            api.create(&PostParams::default(), &secret(&format!("later-{i}"))).await?;
        }
        let wanted: BTreeSet<String> = (0..5).flat_map(|i| [format!("before-{i}"), format!("later-{i}")]).collect();
        for watcher in watchers {
            let seen = watcher.await??;
            ensure!(seen.iter().cloned().collect::<BTreeSet<_>>() == wanted, "{seen:?}");
        }
        Ok(())
    })
}

/// A reflector's store holds what the server has, after creates, changes and deletes.
#[test]
fn kube_rs_reflector() -> Result<()> {
    with_client(|client| async move {
        let api: Api<ConfigMap> = Api::default_namespaced(client);
        let (reader, writer) = reflector::store();
        let stream = reflector(writer, watcher::watcher(api.clone(), watcher::Config::default()));
        let running = tokio::spawn(stream.touched_objects().for_each(|_| async {}));
        reader.wait_until_ready().await?;
        for i in 0..20 {
            api.create(&PostParams::default(), &config_map(&format!("cm-{i}"))).await?;
        }
        for i in 0..20 {
            if i % 2 == 0 {
                api.delete(&format!("cm-{i}"), &DeleteParams::default()).await?;
            } else {
                let patch = Patch::Merge(json!({"data": {"a": "changed"}}));
                api.patch(&format!("cm-{i}"), &PatchParams::default(), &patch).await?;
            }
        }
        let converged = async {
            loop {
                // The namespace has a ConfigMap of its own: kube-root-ca.crt.
                let state: Vec<_> = reader.state().into_iter().filter(|cm| cm.name_any().starts_with("cm-")).collect();
                let changed = |cm: &ConfigMap| cm.data.as_ref().is_some_and(|data| data["a"] == "changed");
                if state.len() == 10 && state.iter().all(|cm| changed(cm)) {
                    return;
                }
                tokio::time::sleep(Duration::from_millis(10)).await;
            }
        };
        tokio::time::timeout(PATIENCE, converged).await.context("the store did not converge")?;
        running.abort();
        Ok(())
    })
}
