//! Compares decoding with pairs of `<group>.<version>.<Kind>.pb` and `.json` in a directory: vectors
//! that another implementation made. For development: `cargo run -p schema --example vectors DIR`.

use schema::{DecodeError, decode_json, decode_protobuf, encode_protobuf, table};

#[expect(clippy::disallowed_methods, reason = "the vectors are files")]
fn main() {
    let dir = std::env::args().nth(1).expect("a directory with vectors");
    let (mut same, mut failed) = (0, Vec::new());
    let entries = std::fs::read_dir(dir).expect("the directory is readable");
    for path in entries.flatten().map(|e| e.path()).filter(|p| p.extension().is_some_and(|e| e == "pb")) {
        let body = std::fs::read(&path).expect("a vector is readable");
        let (gvk, decoded) = match decode_protobuf(&body) {
            Ok(found) => found,
            // Kinds of versions that are no longer served.
            Err(DecodeError::Type(error)) if error.starts_with("no kind") => continue,
            Err(error) => panic!("{}: {error}", path.display()),
        };
        let ty = table().kind(&gvk.group, &gvk.version, &gvk.kind).expect("it was decoded");
        let json = std::fs::read(path.with_extension("json")).expect("a vector has both forms");
        let wanted = decode_json(ty, &json).expect("a vector is good");
        let again = decode_protobuf(&encode_protobuf(ty, &decoded)).expect("what we wrote").1;
        if decoded == wanted.object && again == decoded {
            same += 1;
        } else {
            failed.push(path.display().to_string());
        }
    }
    println!("{same} match, {} differ", failed.len());
    assert!(failed.is_empty(), "{}", failed.join("\n"));
}
