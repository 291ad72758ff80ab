//! `kuorum-store-load`: kuorum's store and etcd, driven alike.

use anyhow::{Context as _, Result};
use clap::Parser as _;
use kuorum_benches::store::{Args, run};

fn main() -> Result<()> {
    let args = Args::parse();
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
    let json = args.json.clone();
    let report = runtime.block_on(run(args))?;
    print!("{}", report.text());
    if let Some(path) = json {
        let text = serde_json::to_string_pretty(&report.json())?;
        std::fs::write(&path, text).with_context(|| format!("cannot write {}", path.display()))?;
    }
    anyhow::ensure!(report.failed == 0, "{} operations failed", report.failed);
    Ok(())
}
