//! `wkdb info` and `wkdb completions`.

use crate::program::{call, file, kernel, kernel_wasm, wkdb};

fn user_image() -> Vec<u8> {
    wat::parse_str(
        r#"(module (@dylink.0 (mem-info (memory 64 3) (table 2 0)))
             (import "env" "memory" (memory 1 65536 shared))
             (import "env" "__memory_base" (global i32))
             (import "env" "__wasm_syscall_3" (func (param i32 i32 i32 i32 i32 i32) (result i32)))
             (func $main (export "_start")))"#,
    )
    .unwrap()
}

#[test]
fn a_kernel_in_words_and_in_json() {
    let kernel = kernel("(call $no_init)");
    let path = kernel.path().to_str().unwrap();
    let text = call(&["info", path]);
    assert_eq!((text.code, text.stderr.as_str()), (Some(0), ""));
    for word in ["6.4", "wasm_driver_hvc_put", "memory", "jiffies_64", "name"] {
        assert!(text.stdout.contains(word), "{word}: {}", text.stdout);
    }
    let json = call(&["info", "--json", path]);
    let json: serde_json::Value = serde_json::from_str(&json.stdout).unwrap();
    assert_eq!((&json["kind"], &json["era"]), (&"kernel".into(), &"6.4".into()));
    assert_eq!(json["refusals"], serde_json::json!([]));
    assert_eq!(json["has_start"], true);
    assert_eq!(json["imports"].as_array().unwrap().len(), 5);
    let symbol = json["symbols"].as_array().unwrap().iter().find(|s| s["name"] == "jiffies_64").unwrap();
    assert_eq!(symbol["address"], 0x10700);
}

#[test]
fn a_user_image() {
    let image = file(&user_image());
    let json = call(&["info", "--json", image.path().to_str().unwrap()]);
    assert_eq!(json.code, Some(0));
    let json: serde_json::Value = serde_json::from_str(&json.stdout).unwrap();
    assert_eq!((&json["kind"], &json["refusals"]), (&"user".into(), &serde_json::json!([])));
    let text = call(&["info", image.path().to_str().unwrap()]);
    assert!(text.stdout.contains("__wasm_syscall_3"), "{}", text.stdout);
}

#[test]
fn what_the_host_would_refuse() {
    let text = wasmprinter::print_bytes(kernel_wasm("", "")).unwrap();
    let text = text.replace("2 64 shared", "2 64").replace("\"wasm_driver_hvc_get\"", "\"wasm_driver_hvc_ioctl\"");
    let kernel = file(&wat::parse_str(text).unwrap());
    let ended = call(&["info", kernel.path().to_str().unwrap()]);
    assert_eq!(ended.code, Some(0), "{ended:?}");
    assert!(
        ended.stdout.contains("not shared") && ended.stdout.contains("env.wasm_driver_hvc_ioctl"),
        "{}",
        ended.stdout
    );
}

#[test]
fn what_is_no_module() {
    for (bytes, words) in [(&b"garbage"[..], "not a WebAssembly module"), (&user_image()[..30], "truncated")] {
        for arguments in [&["info"][..], &["info", "--json"]] {
            let file = file(bytes);
            call(&[arguments, &[file.path().to_str().unwrap()]].concat()).refused(1, &["wkdb: ", words]);
        }
    }
}

#[test]
fn completions_for_every_shell() {
    for (shell, words) in [
        ("bash", &["complete -F", "--max-time"][..]),
        ("zsh", &["#compdef wkdb", "--max-time"]),
        ("fish", &["complete -c wkdb", "max-time"]),
    ] {
        let ended = call(&["completions", shell]);
        assert_eq!((ended.code, ended.stderr.as_str()), (Some(0), ""));
        for word in words {
            assert!(ended.stdout.contains(word), "{shell}: {word}");
        }
    }
}

#[test]
fn help_and_version() {
    let help = call(&["--help"]);
    assert_eq!((help.code, help.stderr.as_str()), (Some(0), ""));
    assert!(help.stdout.contains("run") && help.stdout.contains("info") && !help.stdout.contains("__machine"));
    assert_eq!(call(&["--version"]).stdout, format!("wkdb {}\n", env!("CARGO_PKG_VERSION")));
}

#[test]
fn a_reader_that_has_gone_is_no_panic() {
    let kernel = kernel("(call $no_init)");
    let path = kernel.path().to_str().unwrap();
    for arguments in
        [&["info", path][..], &["info", "--json", path], &["completions", "bash"], &["run", path, "--json"]]
    {
        let (reader, writer) = std::io::pipe().unwrap();
        drop(reader);
        let output = wkdb().args(arguments).stdout(writer).output().unwrap();
        let told = String::from_utf8(output.stderr).unwrap();
        assert!(!told.contains("panicked at"), "{arguments:?}: {told}");
        assert!(
            matches!(output.status.code(), Some(1)) && told.contains("wkdb: cannot write"),
            "{arguments:?}: {told}"
        );
    }
}
