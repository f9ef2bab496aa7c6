//! Compiles the services of `types/proto`; their messages are those of `conclave-types`.

use std::{env, fs, path::PathBuf};

use prost::Message as _;

const PROTOS: [&str; 5] = [
    "conclave/v1/types.proto",
    "conclave/v1/submit.proto",
    "conclave/v1/sequence.proto",
    "conclave/v1/node.proto",
    "conclave/v1/settlement.proto",
];

fn main() -> Result<(), Box<dyn std::error::Error>> {
    println!("cargo::rerun-if-changed=../proto");
    let files = protox::compile(PROTOS, ["../proto"])?;
    let out = PathBuf::from(env::var_os("OUT_DIR").ok_or("cargo sets OUT_DIR")?);
    fs::write(out.join("descriptor.bin"), files.encode_to_vec())?;
    tonic_prost_build::configure()
        .extern_path(".conclave.v1", "::conclave_types::proto::v1")
        .compile_fds(files)?;
    Ok(())
}
