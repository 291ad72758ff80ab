//! Encryption at rest with real processes: nothing that was planted in a Secret is found in any file of the store.

use std::fs;
use std::path::{Path, PathBuf};

use anyhow::{Result, ensure};
use kuorum_tests::cluster::Cluster;
use kuorum_tests::dev::Dev;
use kuorum_tests::kms::Kms;
use kuorum_tests::kubectl::Kubectl;
use kuorum_tests::{machine, wait};

/// Long and without a pattern: compression leaves it in one piece.
const PLANTED: &str = "q7Zx0vT4mKd93LwYbR5sEhUjN1cGfA8oPi2HkXyWtQz6VuBnMlJ";

/// base64, as a Secret has it in its JSON.
fn encoded() -> String {
    const ALPHABET: &[u8; 64] = b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";
    let mut out = String::new();
    for chunk in PLANTED.as_bytes().chunks(3) {
        let word = chunk.iter().fold(0u32, |word, byte| word << 8 | u32::from(*byte)) << (8 * (3 - chunk.len()));
        for place in 0..=chunk.len() {
            out.push(ALPHABET[(word >> (18 - 6 * place) & 63) as usize] as char);
        }
    }
    out
}

/// Files under `dir` that contain the planted text, as it is or as base64. The first 40 characters of the latter do not
/// depend on what follows.
fn found(dir: &Path) -> Result<Vec<PathBuf>> {
    let (plain, base64) = (PLANTED.as_bytes(), encoded());
    let mut found = Vec::new();
    let mut dirs = vec![dir.to_path_buf()];
    while let Some(dir) = dirs.pop() {
        for entry in fs::read_dir(&dir)? {
            let path = entry?.path();
            if path.is_dir() {
                dirs.push(path);
                continue;
            }
            // Files come and go while a server runs.
            let Ok(bytes) = fs::read(&path) else { continue };
            let contains = |part: &[u8]| bytes.windows(part.len()).any(|window| window == part);
            if contains(plain) || contains(&base64.as_bytes()[..40]) {
                found.push(path);
            }
        }
    }
    Ok(found)
}

fn configuration(dir: &Path, providers: &str) -> Result<PathBuf> {
    let path = dir.join("encryption.yaml");
    let text = format!(
        "apiVersion: apiserver.config.k8s.io/v1
kind: EncryptionConfiguration
resources:
- resources: [secrets]
  providers: {providers}
"
    );
    // Put in place as a whole, as an operator's tools do.
    fs::write(dir.join("encryption.new"), text)?;
    fs::rename(dir.join("encryption.new"), &path)?;
    Ok(path)
}

fn create(k: &Kubectl, name: &str) -> Result<()> {
    k.run(&["create", "secret", "generic", name, &format!("--from-literal=password={PLANTED}")]).map(drop)
}

fn read(k: &Kubectl, name: &str) -> Result<String> {
    k.run(&["get", "secret", name, "-o", "jsonpath={.data.password}"])
}

const KEY_1: &str = "{name: key1, secret: MDEyMzQ1Njc4OTAxMjM0NTY3ODkwMTIzNDU2Nzg5MDE=}";
const KEY_2: &str = "{name: key2, secret: YWJjZGVmZ2hpamtsbW5vcHFyc3R1dnd4eXphYmNkZWY=}";

#[test]
fn the_search_finds_what_is_not_sealed() -> Result<()> {
    let _machine = machine();
    let server = Dev::start::<&str>(&[])?;
    let k = Kubectl::newest(&server.kubeconfig())?;
    create(&k, "plain")?;
    ensure!(read(&k, "plain")? == encoded());
    let server = server.restart()?;
    let seen = found(&server.data_dir())?;
    println!("without encryption: {seen:?}");
    ensure!(!seen.is_empty(), "the search would not find a Secret that is there");
    Ok(())
}

#[test]
fn sealed_secrets_are_in_no_file_and_keys_can_be_changed_and_lost() -> Result<()> {
    let _machine = machine();
    let dir = tempfile::tempdir()?;
    let file = configuration(dir.path(), &format!("[{{aescbc: {{keys: [{KEY_1}]}}}}, {{identity: {{}}}}]"))?;
    let flags = [
        format!("--encryption-provider-config={}", file.display()),
        "--encryption-provider-config-automatic-reload".to_owned(),
    ];
    let server = Dev::start(&flags)?;
    let k = Kubectl::newest(&server.kubeconfig())?;
    create(&k, "kept")?;
    create(&k, "gone")?;
    k.run(&["label", "secret", "kept", "touched=yes"])?;
    k.run(&["delete", "secret", "gone"])?;
    ensure!(read(&k, "kept")? == encoded());
    // From the disk, after an orderly end and after a crash.
    let server = server.restart()?;
    let k = k.with_kubeconfig(&server.kubeconfig());
    ensure!(read(&k, "kept")? == encoded());
    let server = server.crash_and_restart()?;
    let k = k.with_kubeconfig(&server.kubeconfig());
    ensure!(read(&k, "kept")? == encoded());

    // A rotation, as the documentation of Kubernetes describes it. The new provider is taken over while it runs.
    configuration(dir.path(), &format!("[{{secretbox: {{keys: [{KEY_2}]}}}}, {{aescbc: {{keys: [{KEY_1}]}}}}]"))?;
    let version = |k: &Kubectl| k.run(&["get", "secret", "kept", "-o", "jsonpath={.metadata.resourceVersion}"]);
    let before = version(&k)?;
    let all = dir.path().join("all.json");
    wait::until("a rewrite with the new key", || {
        fs::write(&all, k.run(&["get", "secrets", "-A", "-o", "json"])?)?;
        k.run(&["replace", "-f", &all.to_string_lossy()])?;
        fs::remove_file(&all)?;
        Ok((version(&k)? != before).then_some(()))
    })?;
    ensure!(found(&server.data_dir())?.is_empty());
    configuration(dir.path(), &format!("[{{secretbox: {{keys: [{KEY_2}]}}}}]"))?;
    let server = server.restart()?;
    let k = k.with_kubeconfig(&server.kubeconfig());
    ensure!(read(&k, "kept")? == encoded(), "the old key is not needed any more");

    // The key is lost.
    configuration(dir.path(), &format!("[{{secretbox: {{keys: [{KEY_1}]}}}}]"))?;
    let server = server.restart()?;
    let k = k.with_kubeconfig(&server.kubeconfig());
    for arguments in [&["get", "secret", "kept"][..], &["get", "secrets"]] {
        let said = k.fails(arguments)?;
        ensure!(said.contains("Internal error occurred: unable to transform key"), "{said}");
        ensure!(said.contains("/secrets/default/kept"), "{said}");
    }
    k.run(&["get", "configmaps", "-A"])?;
    // And found again: no restart.
    configuration(dir.path(), &format!("[{{secretbox: {{keys: [{KEY_1}, {KEY_2}]}}}}]"))?;
    wait::until("the Secret", || Ok(read(&k, "kept").ok().filter(|text| *text == encoded())))?;
    ensure!(server.stop()?.success());
    Ok(())
}

#[test]
fn a_kms_seals_for_all_front_ends_and_no_file_or_snapshot_shows_it() -> Result<()> {
    let _machine = machine();
    let dir = tempfile::tempdir()?;
    let kms = Kms::start(&dir.path().join("kms.sock"))?;
    let provider = format!("[{{kms: {{apiVersion: v2, name: small, endpoint: '{}'}}}}]", kms.endpoint());
    let file = configuration(dir.path(), &provider)?;
    let cluster = Cluster::start_with(1, 2, &[format!("--encryption-provider-config={}", file.display())])?;
    let first = Kubectl::newest(&cluster.kubeconfig_of(1))?;
    let second = first.with_kubeconfig(&cluster.kubeconfig_of(2));
    for (index, k) in [&first, &second].into_iter().cycle().take(6).enumerate() {
        create(k, &format!("s{index}"))?;
    }
    for index in 0..6 {
        ensure!(read(&first, &format!("s{index}"))? == encoded() && read(&second, &format!("s{index}"))? == encoded());
    }
    let (encrypted, decrypted) = kms.calls();
    ensure!(encrypted == 2 && decrypted == 2, "one seed per front-end: {encrypted} sealed, {decrypted} opened");
    for path in ["/healthz/kms-providers", "/readyz/kms-providers", "/livez/kms-providers"] {
        ensure!(first.run(&["get", "--raw", path])? == "ok");
    }

    let snapshot = dir.path().join("backup.db");
    cluster.ctl(&["snapshot", "save", &snapshot.to_string_lossy()])?;
    ensure!(snapshot.metadata()?.len() > 0);
    cluster.ctl(&["hashkv"])?;
    ensure!(found(cluster.dir())?.is_empty() && found(dir.path())?.is_empty());

    // The plugin's key changes: what is written from then on carries the new one, the old ones still open.
    kms.rotate("key-2");
    wait::until("a seed with the new key", || Ok((kms.calls().0 >= 4).then_some(())))?;
    create(&first, "new")?;
    ensure!(read(&second, "new")? == encoded() && read(&second, "s0")? == encoded());

    kms.sicken(true);
    wait::until("a failing health check", || {
        Ok(first.fails(&["get", "--raw", "/healthz/kms-providers"]).ok().map(drop))
    })?;
    ensure!(read(&first, "s0")? == encoded(), "what is known is read");
    kms.sicken(false);
    wait::until("health", || Ok(first.run(&["get", "--raw", "/healthz/kms-providers"]).ok().map(drop)))?;
    cluster.restart()?;
    ensure!(read(&first, "s0")? == encoded() && read(&second, "new")? == encoded());
    ensure!(found(cluster.dir())?.is_empty());
    Ok(())
}
