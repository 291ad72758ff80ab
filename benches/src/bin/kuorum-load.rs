//! `kuorum-load`: drives any Kubernetes API server and reports what it measured.

use anyhow::{Context as _, Result};
use clap::Parser as _;
use kuorum_benches::load::{args::Args, kubeconfig, plot, scenario};

fn main() -> Result<()> {
    let args = Args::parse();
    let target = kubeconfig::read(&args.kubeconfig)?;
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
    let (json, picture) = (args.json.clone(), args.plot.clone());
    let report = runtime.block_on(scenario::run(args, target))?;
    print!("{}", report.text());
    if let Some(path) = json {
        let text = serde_json::to_string_pretty(&report.json())?;
        std::fs::write(&path, text).with_context(|| format!("cannot write {}", path.display()))?;
    }
    if let Some(path) = picture {
        plot::draw(&report, &path)?;
    }
    anyhow::ensure!(report.failed == 0, "{} requests failed", report.failed);
    Ok(())
}
