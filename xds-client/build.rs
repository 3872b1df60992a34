//! Compiles Istio's protos with protox in protoc's place, so a build needs no tool beside Cargo, and gathers the
//! descriptors (Istio's and Envoy's) that turn raw resources into JSON for the config dump.

use std::path::{Path, PathBuf};
use std::process::Command;
use std::{env, fs};

fn main() -> Result<(), Box<dyn std::error::Error>> {
    println!("cargo:rerun-if-changed=proto");
    println!("cargo:rerun-if-changed=build.rs");
    let files = ["workloadapi/workload.proto", "security/authorization.proto", "stats/config.proto"];
    let descriptors = protox::compile(files, ["proto"])?;
    let out = PathBuf::from(env::var("OUT_DIR")?);
    fs::write(out.join("istio.bin"), prost::Message::encode_to_vec(&descriptors))?;
    fs::copy(envoy_descriptors()?, out.join("envoy.bin"))?;
    prost_build::Config::new().bytes(["."]).compile_fds(descriptors)?;
    Ok(())
}

/// `envoy-types` ships the descriptor set its code was generated from, but exports no constant for it. Not `--offline`:
/// `metadata` wants every locked package on disk, also those that this build has no use for and did not download.
fn envoy_descriptors() -> Result<PathBuf, Box<dyn std::error::Error>> {
    let manifest = Path::new(&env::var("CARGO_MANIFEST_DIR")?).join("Cargo.toml");
    let output = Command::new(env::var("CARGO")?)
        .args(["metadata", "--format-version", "1", "--locked", "--filter-platform", &env::var("TARGET")?])
        .arg("--manifest-path")
        .arg(manifest)
        .output()?;
    if !output.status.success() {
        return Err(format!("cargo metadata: {}", String::from_utf8_lossy(&output.stderr)).into());
    }
    let metadata: serde_json::Value = serde_json::from_slice(&output.stdout)?;
    let package = metadata["packages"]
        .as_array()
        .into_iter()
        .flatten()
        .find(|package| package["name"] == "envoy-types")
        .and_then(|package| package["manifest_path"].as_str())
        .ok_or("cargo metadata names no package envoy-types")?;
    Ok(Path::new(package).with_file_name("src").join("generated/types.bin"))
}
