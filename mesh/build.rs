//! Compiles the two Istio protos this package speaks, with protox in protoc's place so a build needs no tool beside Cargo.

fn main() -> Result<(), Box<dyn std::error::Error>> {
    let descriptors = protox::compile(["istio/ca.proto", "istio/zds.proto"], ["proto"])?;
    tonic_prost_build::configure().compile_fds(descriptors)?;
    println!("cargo:rerun-if-changed=proto");
    Ok(())
}
