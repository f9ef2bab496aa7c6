//! Compiles the messages of `proto/` (the services are compiled in `types/grpc`).

const PROTOS: [&str; 5] = [
    "conclave/v1/types.proto",
    "conclave/v1/submit.proto",
    "conclave/v1/sequence.proto",
    "conclave/v1/node.proto",
    "conclave/v1/settlement.proto",
];

fn main() -> Result<(), Box<dyn std::error::Error>> {
    println!("cargo::rerun-if-changed=proto");
    let files = protox::compile(PROTOS, ["proto"])?;
    prost_build::Config::new().compile_fds(files)?;
    Ok(())
}
